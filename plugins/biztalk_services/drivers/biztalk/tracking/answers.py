"""What the rows of the drain query and of the control number query mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from biztalk_services.drivers.biztalk.tracking import cells
from biztalk_services.drivers.biztalk.tracking.kinds import kind_of
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.drain import ActiveBatch, Answer, DrainStatus
from biztalk_services.model.wording import in_utc, shortened

DRAIN_COLUMNS = ("agreement", "batch", "messages", "oldest")
"""Columns of the drain query, one row a batch that holds messages; further ones are ignored."""

NUMBER_COLUMNS = ("agreement", "kind", "highest", "latest", "used", "last_used")
"""Columns of the control number query, one row an agreement and kind; further ones are ignored."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much the clock of a database may differ from ours."""

_MOST_NAMED = 3

_GREATEST_TEXT = "take MAX(CAST(... AS bigint)): the greatest of texts is not the greatest number"

T = TypeVar("T")


def drain_status(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, source: str, checked_at: datetime
) -> DrainStatus:
    """The drain status behind the rows of a drain query.

    Rows with a count of 0 are ignored. A row that cannot be read, or cannot be true, makes the status ``unknown``,
    unless another row shows a batch that certainly holds messages: then it is ``active``, with the reason beside it.

    :param columns: names of the columns, any case, any order, in quotes or not, here and below.
    :param checked_at: aware time of the query, here and below.
    """
    read, problem = _read(columns, rows, DRAIN_COLUMNS, "drain query", lambda row: _batch(row, checked_at))
    batches = tuple(batch for batch in read if batch.messages)
    answer: Answer = "active" if batches else "unknown" if problem else "empty"
    return DrainStatus(answer=answer, batches=batches, source=source, reason=problem, checked_at=checked_at)


def use_report(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    source: str,
    since: datetime,
    checked_at: datetime,
    query: str = "",
) -> UseReport:
    """The report behind the rows of a control number query.

    Rows with a count of 0 are ignored. A row that cannot be read, or two of the same agreement and kind, make the
    report one with a ``problem``; what was read stays in it.

    :param rows: ``highest`` and ``latest`` may be nothing: not told.
    :param since: the requested moment, aware.
    :param query: name of the query.
    """
    seen: dict[tuple[str, str], ControlNumberUse] = {}
    twice: set[tuple[str, str]] = set()

    def once(row: Mapping[str, Any]) -> ControlNumberUse:
        use = _use(row)
        if use.key in seen:
            twice.add(use.key)
            raise ValueError(
                f"{use.agreement} has the kind {use.kind} twice, as names are compared (without case); return one row "
                "an agreement and kind"
            )
        if use.used:
            seen[use.key] = use
        return use

    _, problem = _read(columns, rows, NUMBER_COLUMNS, "control number query", once)
    uses = tuple(sorted((use for key, use in seen.items() if key not in twice), key=lambda use: use.key))
    ever = uses if since == EVER else None
    return UseReport(
        uses=uses, ever=ever, source=source, query=query, problem=problem, since=since, checked_at=checked_at
    )


def names_of(columns: Sequence[str]) -> list[str]:
    """The names of columns as they are compared: without case, blanks around them, and quotes."""
    return [str(column).strip().strip("\"'`[]").strip().casefold() for column in columns]


def _read(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    needed: Sequence[str],
    query: str,
    read: Callable[[Mapping[str, Any]], T],
) -> tuple[list[T], str | None]:
    """What the rows hold, and why not all of it could be read; None when it could."""
    names = names_of(columns)
    if missing := [column for column in needed if column not in names]:
        return [], (
            f"The {query} returned the columns {', '.join(names) or 'none'}; {', '.join(missing)} is missing. "
            f"It has to return {', '.join(needed)}"
        )
    if twice := [column for column in needed if names.count(column) > 1]:
        return [], f"The {query} returned the column {twice[0]} twice. Leave one out, or give it another name"
    values: list[T] = []
    problems: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            if len(row) != len(names):
                raise ValueError(f"it has {len(row)} values for {len(names)} columns")
            values.append(read(dict(zip(names, row, strict=True))))
        except (ValueError, TypeError, ArithmeticError) as error:
            problems.append(f"Row {number} of the {query} cannot be read: {error}".rstrip("."))
    return values, "; ".join(shortened(problems, _MOST_NAMED)) or None


def _batch(row: Mapping[str, Any], checked_at: datetime) -> ActiveBatch:
    batch = ActiveBatch(
        cells.text(row["agreement"], "agreement"),
        cells.label(row["batch"], "batch"),
        cells.whole(row["messages"], "messages"),
        cells.moment(row["oldest"], "oldest"),
    )
    if batch.oldest and batch.oldest > checked_at + CLOCKS_DIFFER:
        raise ValueError(
            f"oldest is {in_utc(batch.oldest)}, later than the query; return it in UTC, and compare the clocks"
        )
    return batch


def _use(row: Mapping[str, Any]) -> ControlNumberUse:
    agreement, kind = cells.text(row["agreement"], "agreement"), kind_of(cells.text(row["kind"], "kind"))
    used = cells.whole(row["used"], "used")
    highest, latest = cells.number(row["highest"], "highest"), cells.number(row["latest"], "latest")
    if not used and (highest, latest) != (None, None):
        raise ValueError("used is 0, and there is a highest or latest number; count the rows that they are taken from")
    if 0 in (highest, latest):
        raise ValueError(
            "highest or latest is 0, which no service gives out, and some databases make of a text that is no number; "
            "return the digits alone"
        )
    if cells.is_unpadded_text(row["highest"], "highest"):
        raise ValueError(f"highest is the text '{highest}'; {_GREATEST_TEXT}")
    if highest is not None and latest is not None and latest > highest:
        raise ValueError(f"latest is {latest}, above highest, {highest}; {_GREATEST_TEXT}")
    return ControlNumberUse(agreement, kind, highest, latest, used, cells.moment(row["last_used"], "last_used"))
