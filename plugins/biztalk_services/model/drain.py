"""Do batches of a service hold messages? Such messages are never part of a backup, and lost when it is restored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from biztalk_services.model.errors import Advice, BackupServiceError
from biztalk_services.model.plain import Plain
from biztalk_services.model.wording import how_many, in_utc, shortened

Answer = Literal["empty", "active", "unknown"]

_MOST_NAMED = 10


@dataclass(frozen=True)
class ActiveBatch:
    """A batch with one message or more; ``oldest`` is when the first of them entered, UTC, None when not known."""

    agreement: str
    batch: str
    messages: int
    oldest: datetime | None = None

    def __str__(self) -> str:
        since = f", the oldest since {in_utc(self.oldest)}" if self.oldest else ""
        return f"{self.agreement}/{self.batch} ({how_many(self.messages, 'message')}{since})"


@dataclass(frozen=True, kw_only=True)
class DrainStatus(Plain):
    """What is known of the batches of a service at one moment.

    :param batches: those that hold messages, as far as known.
    :param source: where this is from.
    :param reason: why nothing certain is known, or a further remark; None otherwise.
    :param checked_at: aware.
    :raises ValueError: answer and batches contradict each other, or the time is naive.
    """

    answer: Answer
    batches: tuple[ActiveBatch, ...] = ()
    source: str
    reason: str | None = None
    checked_at: datetime

    def __post_init__(self) -> None:
        if self.answer not in ("empty", "active", "unknown"):
            raise ValueError(f"{self.answer!r} is not a drain status: it is empty, active or unknown.")
        if (self.answer == "active") != bool(self.batches):
            raise ValueError("A drain status names batches exactly when its answer is active.")
        if self.checked_at.tzinfo is None:
            raise ValueError("The time of a drain status needs a time zone.")

    def sentence(self) -> str:
        """The status in one sentence."""
        when = f"{in_utc(self.checked_at)} ({self.source})"
        if self.answer == "empty":
            return f"No batch held messages at {when}."
        if self.answer == "unknown":
            return f"Batch status unknown at {when}: {(self.reason or 'no reason was given').rstrip('.')}."
        named = "; ".join(shortened([str(batch) for batch in self.batches], _MOST_NAMED))
        batches = how_many(len(self.batches), "batch", "batches")
        messages = how_many(sum(batch.messages for batch in self.batches), "message")
        return f"{batches} held {messages} at {when}: {named}."


class DrainUnknownError(BackupServiceError):
    """The batch status is unknown; ``drain`` says why. Advice ``stop``: another check will not help."""

    default_advice = "retry"

    def __init__(self, status: DrainStatus, *, advice: Advice | None = None) -> None:
        super().__init__(status.sentence(), advice=advice)
        self.drain = status
