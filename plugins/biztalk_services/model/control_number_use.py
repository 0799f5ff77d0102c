"""Which EDI control numbers has a service given out since a moment?

After a restore the service continues from the moment of the backup, so that all numbers given out since come again.
No call of the service tells which they are; a query against its tracking database does (the control number query, one
row an agreement and kind). Source: "BizTalk Services: Backup and Restore", Restore.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from biztalk_services.model import cells

KINDS = ("interchange", "group", "transaction_set", "acknowledgement")
"""What an agreement numbers: ISA13 or UNB 0020, GS06 or UNG 0048, ST02 or UNH 0062, and its acknowledgements."""

COLUMNS = ("agreement", "kind", "highest", "latest", "used", "last_used")
"""Columns of the control number query; further ones are passed over."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""A ``since`` before every number: then ``latest`` is the last number that was given out at all."""


_KIND_OF = {kind.replace("_", ""): kind for kind in KINDS} | {"acknowledgment": "acknowledgement"}


@dataclass(frozen=True)
class ControlNumberUse:
    """The control numbers of one kind that an agreement has given out in a span of time.

    :param agreement: its name.
    :param kind: one of ``KINDS``.
    :param highest: the highest of them, None when there is none.
    :param latest: the last one given out; lower than the highest after the range has started over.
    :param used: how many were given out; one given out twice counts twice.
    :param last_used: when the last one was, UTC; None when not known.
    :raises ValueError: the parts contradict each other.
    """

    agreement: str
    kind: str
    highest: int | None = None
    latest: int | None = None
    used: int = 0
    last_used: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of control number: it is {', '.join(KINDS)}.")
        if self.used < 0 or (self.used == 0) != (self.highest is None) or (self.used == 0) != (self.latest is None):
            raise ValueError("Use of control numbers names the highest and the latest exactly when some were used.")
        if self.highest is not None and self.latest is not None and not 0 <= self.latest <= self.highest:
            raise ValueError(f"The latest control number {self.latest} is not within 0 to the highest {self.highest}.")
        if self.last_used is not None and self.last_used.tzinfo is None:
            raise ValueError("The time of a control number needs a time zone.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return asdict(self) | {"last_used": self.last_used.isoformat() if self.last_used else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ControlNumberUse:
        """The use behind ``to_dict``.

        :raises ValueError: not such a use.
        """
        try:
            return _use({name: values[name] for name in COLUMNS})
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is no use of control numbers: {error} is missing or of the wrong kind.") from None


@dataclass(frozen=True, kw_only=True)
class UseReport:
    """What is known of the control numbers that a service has given out in a span of time.

    :param uses: one an agreement and kind, as far as known, in order.
    :param source: who says so.
    :param trouble: why not all is known; None when all is, so that what is not named was not used.
    :param since: begin of the span, aware.
    :param checked_at: its end, aware.
    :raises ValueError: a time is naive, or two uses are of the same agreement and kind.
    """

    uses: tuple[ControlNumberUse, ...] = ()
    source: str
    trouble: str | None = None
    since: datetime
    checked_at: datetime

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.checked_at.tzinfo is None:
            raise ValueError("The times of a report on control numbers need a time zone.")
        if len({_key(use.agreement, use.kind) for use in self.uses}) < len(self.uses):
            raise ValueError("A report on control numbers names an agreement and kind twice.")

    def use_of(self, agreement: str, kind: str) -> ControlNumberUse | None:
        """What one agreement has used of one kind, perhaps nothing; None when not known.

        :param agreement: its name, any case.
        """
        found = next((use for use in self.uses if _key(use.agreement, use.kind) == _key(agreement, kind)), None)
        return found or (ControlNumberUse(agreement, kind) if self.trouble is None else None)

    def sentence(self) -> str:
        """The report in one sentence."""
        span = f"from {_shown(self.since)} to {_shown(self.checked_at)} ({self.source})"
        numbers = sum(use.used for use in self.uses)
        agreements = len({use.agreement for use in self.uses})
        if self.trouble is not None:
            known = f"; at least {numbers}" if numbers else ""
            return f"Nobody can say which control numbers were used {span}{known}: {self.trouble.rstrip('.')}."
        if not numbers:
            return f"No control number was used {span}."
        named = f"{agreements} agreement{'' if agreements == 1 else 's'}"
        return f"{numbers} control number{' was' if numbers == 1 else 's were'} used by {named} {span}."


def since_text(moment: datetime) -> str:
    """A moment as the emulator's tracking database writes it: ISO 8601, UTC, to the microsecond, so that it sorts.

    :raises ValueError: the moment is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("The moment since when control numbers count needs a time zone; give an aware datetime.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_rows(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, since: datetime, checked_at: datetime
) -> UseReport:
    """The report behind the answer of a control number query.

    Rows with a count of 0 are passed over. A row that cannot be understood, or two of the same agreement and kind, make
    the report one with ``trouble``; what was understood stays in it.

    :param columns: names of the columns, any case, any order.
    :param rows: their values. A kind may be spelt in any case, with or without blank, dash or underscore.
    :param source: who says so.
    :param since: what was asked for, aware.
    :param checked_at: aware time of the look.
    """
    names = [str(column).strip().lower() for column in columns]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        trouble = (
            f"The control number query answers the columns {', '.join(names) or 'none'}; {', '.join(missing)} is "
            f"missing. It has to answer {', '.join(COLUMNS)}"
        )
        return UseReport(source=source, trouble=trouble, since=since, checked_at=checked_at)
    uses: dict[tuple[str, str], ControlNumberUse] = {}
    troubles: list[str] = []
    twice: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, start=1):
        try:
            if len(row) != len(names):
                raise ValueError(f"it has {len(row)} values for {len(names)} columns")
            use = _use(dict(zip(names, row, strict=True)))
            key = _key(use.agreement, use.kind)
            if key in uses:
                twice.add(key)
                raise ValueError(f"{use.agreement} has the kind {use.kind} twice")
        except (ValueError, TypeError, OverflowError) as error:
            troubles.append(f"Row {number} of the control number query cannot be understood: {error}".rstrip("."))
        else:
            uses |= {key: use} if use.used else {}
    trouble = "; ".join(troubles[:3]) + (f"; and {len(troubles) - 3} more" if len(troubles) > 3 else "") or None
    known = tuple(
        sorted((use for key, use in uses.items() if key not in twice), key=lambda use: (use.agreement, use.kind))
    )
    return UseReport(uses=known, source=source, trouble=trouble, since=since, checked_at=checked_at)


def _use(row: Mapping[str, Any]) -> ControlNumberUse:
    used = cells.count(row["used"], "used")
    return ControlNumberUse(
        cells.name(row["agreement"], "agreement"),
        _kind(cells.name(row["kind"], "kind")),
        cells.count(row["highest"], "highest") if used else None,
        cells.count(row["latest"], "latest") if used else None,
        used,
        cells.moment(row["last_used"], "last_used"),
    )


def _kind(text: str) -> str:
    kind = _KIND_OF.get(re.sub(r"[\s_-]", "", text).lower())
    if kind is None:
        raise ValueError(f"kind is {text[:40]!r}, not one of {', '.join(KINDS)}")
    return kind


def _key(agreement: str, kind: str) -> tuple[str, str]:
    return agreement.casefold(), kind


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
