"""Do batches of a service hold messages? They are never part of a backup, and lost when it is restored.

Source: "BizTalk Services: Backup and Restore", Create a Backup, step 1. No call of the service tells; a query against
its tracking database does (the drain query, one row a batch that holds messages).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from biztalk_services.model import cells

Response = Literal["empty", "active", "unknown"]

COLUMNS = ("agreement", "batch", "messages", "oldest")
"""Columns of the drain query; further ones are passed over."""


_MOST_NAMED = 10


@dataclass(frozen=True)
class ActiveBatch:
    """A batch that holds messages.

    :param agreement: name of its agreement.
    :param batch: its name.
    :param messages: how many it holds, at least one.
    :param oldest: when the oldest of them entered, UTC; None when not known.
    """

    agreement: str
    batch: str
    messages: int
    oldest: datetime | None = None

    def __str__(self) -> str:
        since = f", the oldest since {self.oldest:%Y-%m-%d %H:%M:%S} UTC" if self.oldest else ""
        return f"{self.agreement}/{self.batch} ({_count(self.messages, 'message')}{since})"


@dataclass(frozen=True, kw_only=True)
class DrainStatus:
    """What is known of the batches of a service at one moment.

    :param answer: ``empty``, ``active`` or ``unknown``.
    :param batches: those that hold messages, as far as known.
    :param source: who says so.
    :param reason: why nothing certain is known, or what else is to be said; None otherwise.
    :param checked_at: aware time of the look.
    :raises ValueError: answer and batches contradict each other, or the time is naive.
    """

    answer: Response
    batches: tuple[ActiveBatch, ...] = ()
    source: str
    reason: str | None = None
    checked_at: datetime

    def __post_init__(self) -> None:
        if self.answer not in ("empty", "active", "unknown"):
            raise ValueError(f"{self.answer!r} is not an answer of a batch report: it is empty, active or unknown.")
        if (self.answer == "active") != bool(self.batches):
            raise ValueError("A batch report names batches exactly when its answer is active.")
        if self.checked_at.tzinfo is None:
            raise ValueError("The time of a batch report needs a time zone.")

    def sentence(self) -> str:
        """The report in one sentence."""
        when = f"{self.checked_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        if self.answer == "empty":
            return f"No batch held messages at {when} ({self.source})."
        if self.answer == "unknown":
            reason = (self.reason or "no reason was given").rstrip(".")
            return f"Nobody can say whether batches held messages at {when} ({self.source}): {reason}."
        named = "; ".join(str(batch) for batch in self.batches[:_MOST_NAMED])
        more = len(self.batches) - _MOST_NAMED
        messages = sum(batch.messages for batch in self.batches)
        return (
            f"{_count(len(self.batches), 'batch', 'batches')} held {_count(messages, 'message')} at {when} "
            f"({self.source}): "
            f"{named}{f'; and {more} more' if more > 0 else ''}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        batches = [asdict(batch) | {"oldest": _iso(batch.oldest)} for batch in self.batches]
        return {
            "answer": self.answer,
            "batches": batches,
            "source": self.source,
            "reason": self.reason,
            "checked_at": _iso(self.checked_at),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DrainStatus:
        """The report behind ``to_dict``.

        :raises ValueError: not such a report.
        """
        try:
            return cls(
                answer=values["answer"],
                batches=tuple(
                    ActiveBatch(row["agreement"], row["batch"], row["messages"], cells.moment(row["oldest"], "oldest"))
                    for row in values["batches"]
                ),
                source=values["source"],
                reason=values["reason"],
                checked_at=datetime.fromisoformat(values["checked_at"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a batch report: {error} is missing or of the wrong kind.") from None


def from_rows(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, checked_at: datetime
) -> DrainStatus:
    """The report behind the answer of a drain query.

    Rows with a count of 0 are passed over. A row that cannot be understood makes the answer ``unknown``, unless another
    row shows a batch that certainly holds messages: then it is ``active``, with the reason beside it.

    :param columns: names of the columns, any case, any order.
    :param rows: their values.
    :param source: who says so.
    :param checked_at: aware time of the look.
    """
    names = [str(column).strip().lower() for column in columns]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        reason = (
            f"The drain query answers the columns {', '.join(names) or 'none'}; {', '.join(missing)} is missing. "
            f"It has to answer {', '.join(COLUMNS)}"
        )
        return DrainStatus(answer="unknown", source=source, reason=reason, checked_at=checked_at)
    batches: list[ActiveBatch] = []
    troubles: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            if len(row) != len(names):
                raise ValueError(f"it has {len(row)} values for {len(names)} columns")
            batch = _batch(dict(zip(names, row, strict=True)))
        except (ValueError, TypeError, OverflowError) as error:
            troubles.append(f"Row {number} of the drain query cannot be understood: {error}")
        else:
            batches += [batch] if batch.messages else []
    reason = "; ".join(troubles[:3]) + (f"; and {len(troubles) - 3} more" if len(troubles) > 3 else "") or None
    answer: Response = "active" if batches else "unknown" if troubles else "empty"
    return DrainStatus(answer=answer, batches=tuple(batches), source=source, reason=reason, checked_at=checked_at)


def _batch(row: Mapping[str, Any]) -> ActiveBatch:
    return ActiveBatch(
        cells.name(row["agreement"], "agreement"),
        cells.name(row["batch"], "batch"),
        cells.count(row["messages"], "messages"),
        cells.moment(row["oldest"], "oldest"),
    )


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
