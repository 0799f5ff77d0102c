"""What the tracking database of a service answers: which batches hold messages, which control numbers were given out.

No call of the service reports either; a query against its tracking database does. Source: "BizTalk Services: Backup and
Restore", Create a Backup, step 1, and Restore. The schema of the real service's database is not documented; the default
queries are for the emulator's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from biztalk_services.model.control_numbers import KINDS, ControlNumberUse, UseReport
from biztalk_services.model.drain import ActiveBatch, Answer, DrainStatus

DRAIN_COLUMNS = ("agreement", "batch", "messages", "oldest")
"""Columns of the drain query, one row a batch that holds messages; further ones are ignored."""

NUMBER_COLUMNS = ("agreement", "kind", "highest", "latest", "used", "last_used")
"""Columns of the control number query, one row an agreement and kind; further ones are ignored."""

DEFAULT_DRAIN_QUERY = """
SELECT entered.agreement AS agreement, entered.batch AS batch, COUNT(*) AS messages, MIN(entered.occurred_at) AS oldest
FROM batch_events entered
LEFT JOIN batch_events gone ON gone.message_id = entered.message_id AND gone.event <> 'entered'
WHERE entered.event = 'entered' AND gone.message_id IS NULL
GROUP BY entered.agreement, entered.batch
ORDER BY entered.agreement, entered.batch
""".strip()

DEFAULT_CONTROL_NUMBER_QUERY = """
WITH given_out AS (
  SELECT agreement, kind, number, occurred_at, FIRST_VALUE(number) OVER (
    PARTITION BY agreement, kind ORDER BY occurred_at DESC, position DESC, event_id DESC) AS newest
  FROM control_number_events
  WHERE direction = 'generated' AND occurred_at >= :since)
SELECT agreement, kind, MAX(number) AS highest, MAX(newest) AS latest, COUNT(*) AS used, MAX(occurred_at) AS last_used
FROM given_out
GROUP BY agreement, kind
ORDER BY agreement, kind
""".strip()
"""``:since`` is text as :func:`since_text` writes it."""

_KIND_OF = {kind.replace("_", ""): kind for kind in KINDS} | {"acknowledgment": "acknowledgement"}

T = TypeVar("T")


def since_text(moment: datetime) -> str:
    """A moment as the emulator's tracking database writes it: ISO 8601, UTC, to the microsecond, so that it sorts.

    :raises ValueError: the moment is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("The moment since when control numbers count needs a time zone; give an aware datetime.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def drain_status(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, checked_at: datetime
) -> DrainStatus:
    """The drain status behind the rows of a drain query.

    Rows with a count of 0 are ignored. A row that cannot be read makes the status ``unknown``, unless another row shows
    a batch that certainly holds messages: then it is ``active``, with the reason beside it.

    :param columns: names of the columns, any case, any order, here and below.
    :param checked_at: aware time of the query, here and below.
    """
    read, problem = _read(columns, rows, DRAIN_COLUMNS, "drain query", _batch)
    batches = tuple(batch for batch in read if batch.messages)
    answer: Answer = "active" if batches else "unknown" if problem else "empty"
    return DrainStatus(answer=answer, batches=batches, source=source, reason=problem, checked_at=checked_at)


def use_report(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, since: datetime, checked_at: datetime
) -> UseReport:
    """The report behind the rows of a control number query.

    Rows with a count of 0 are ignored. A row that cannot be read, or two of the same agreement and kind, make the
    report one with a ``problem``; what was read stays in it.

    :param rows: a kind may be spelt in any case, with or without blank, dash or underscore.
    :param since: the requested moment, aware.
    """
    seen: dict[tuple[str, str], ControlNumberUse] = {}
    twice: set[tuple[str, str]] = set()

    def once(row: Mapping[str, Any]) -> ControlNumberUse:
        use = _use(row)
        if use.key in seen:
            twice.add(use.key)
            raise ValueError(f"{use.agreement} has the kind {use.kind} twice")
        if use.used:
            seen[use.key] = use
        return use

    _, problem = _read(columns, rows, NUMBER_COLUMNS, "control number query", once)
    uses = sorted((use for key, use in seen.items() if key not in twice), key=lambda use: (use.agreement, use.kind))
    return UseReport(uses=tuple(uses), source=source, problem=problem, since=since, checked_at=checked_at)


def _read(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    needed: Sequence[str],
    query: str,
    read: Callable[[Mapping[str, Any]], T],
) -> tuple[list[T], str | None]:
    """What the rows hold, and why not all of it could be read; None when it could."""
    names = [str(column).strip().lower() for column in columns]
    if missing := [column for column in needed if column not in names]:
        return [], (
            f"The {query} returned the columns {', '.join(names) or 'none'}; {', '.join(missing)} is missing. "
            f"It has to return {', '.join(needed)}"
        )
    values: list[T] = []
    problems: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            if len(row) != len(names):
                raise ValueError(f"it has {len(row)} values for {len(names)} columns")
            values.append(read(dict(zip(names, row, strict=True))))
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(f"Row {number} of the {query} cannot be read: {error}".rstrip("."))
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return values, "; ".join(problems[:3]) + more or None


def _batch(row: Mapping[str, Any]) -> ActiveBatch:
    return ActiveBatch(_text(row, "agreement"), _text(row, "batch"), _whole(row, "messages"), _moment(row, "oldest"))


def _use(row: Mapping[str, Any]) -> ControlNumberUse:
    used, agreement, text = _whole(row, "used"), _text(row, "agreement"), _text(row, "kind")
    kind = _KIND_OF.get(re.sub(r"[\s_-]", "", text).lower())
    if kind is None:
        raise ValueError(f"kind is {text[:40]!r}, not one of {', '.join(KINDS)}")
    highest, latest = (_whole(row, "highest"), _whole(row, "latest")) if used else (None, None)
    return ControlNumberUse(agreement, kind, highest, latest, used, _moment(row, "last_used"))


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    text = str(value).strip() if value is not None and not isinstance(value, bytes) else ""
    if not text:
        raise ValueError(f"{column} is empty")
    return text


def _whole(row: Mapping[str, Any], column: str) -> int:
    """A whole number from 0 on, whatever the database's driver makes of it."""
    value = row[column]
    whole = isinstance(value, (int, Decimal, float)) and not isinstance(value, bool) and value == value // 1
    if not whole or value < 0:
        raise ValueError(f"{column} is {str(value)[:40]!r}, not a count")
    return int(value)


def _moment(row: Mapping[str, Any], column: str) -> datetime | None:
    """A time as aware UTC; a naive one is UTC already. None stays None."""
    value = row[column]
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{column} is {value[:40]!r}, not an ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise ValueError(f"{column} is {str(value)[:40]!r}, not a time")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
