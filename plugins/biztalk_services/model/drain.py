"""Do batches of a service hold messages? Such messages are never part of a backup, and lost when it is restored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from biztalk_services.model.errors import Advice, BackupServiceError
from biztalk_services.model.plain import Plain

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
        since = f", the oldest since {self.oldest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        return f"{self.agreement}/{self.batch} ({_count(self.messages, 'message')}{since})"


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
        when = f"{self.checked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({self.source})"
        if self.answer == "empty":
            return f"No batch held messages at {when}."
        if self.answer == "unknown":
            return f"Batch status unknown at {when}: {(self.reason or 'no reason was given').rstrip('.')}."
        named = "; ".join(str(batch) for batch in self.batches[:_MOST_NAMED])
        more = len(self.batches) - _MOST_NAMED
        messages = sum(batch.messages for batch in self.batches)
        return (
            f"{_count(len(self.batches), 'batch', 'batches')} held {_count(messages, 'message')} at {when}: "
            f"{named}{f'; and {more} more' if more > 0 else ''}."
        )


class DrainUnknownError(BackupServiceError):
    """The batch status is unknown; ``drain`` says why. Advice ``stop``: another check will not help."""

    default_advice = "retry"

    def __init__(self, status: DrainStatus, *, advice: Advice | None = None) -> None:
        super().__init__(status.sentence(), advice=advice)
        self.drain = status


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
