"""What the rows of the drain and the control number query mean, and the second query itself on SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from biztalk_services.drivers.biztalk.tracking import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DRAIN_COLUMNS,
    NUMBER_COLUMNS,
    drain_status,
    since_text,
    use_report,
)
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.drain import ActiveBatch, DrainStatus

NOW = datetime(2026, 1, 2, 2, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
LAST = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
ROW = ("Fabrikam X12 send", "interchange", 1020, 1020, 20, "2026-01-01T09:30:00.000000Z")
USE = ControlNumberUse("Fabrikam X12 send", "interchange", 1020, 1020, 20, LAST)


def report(*rows: object, columns: tuple[str, ...] = NUMBER_COLUMNS) -> UseReport:
    return use_report(columns, rows, source="tracking database", since=SINCE, checked_at=NOW)


def test_no_row_is_no_use():
    assert report() == UseReport(source="tracking database", since=SINCE, checked_at=NOW)
    assert report().use_of("Anybody", "group") == ControlNumberUse("Anybody", "group")
    assert report().sentence() == (
        "No control number was used from 2026-01-01 02:00:00 UTC to 2026-01-02 02:00:00 UTC (tracking database)."
    )


def test_a_row_is_use():
    result = report(ROW)
    assert result.uses == (USE,)
    assert result.use_of("FABRIKAM x12 send", "interchange") == USE
    assert result.use_of("Fabrikam X12 send", "group").used == 0
    assert "20 control numbers were used by 1 agreement from" in result.sentence()


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("Interchange", "interchange"),
        ("TransactionSet", "transaction_set"),
        (" transaction set ", "transaction_set"),
        ("TRANSACTION-SET", "transaction_set"),
        ("Acknowledgment", "acknowledgement"),
    ],
)
def test_kinds_in_every_spelling(kind, meant):
    assert report((ROW[0], kind, *ROW[2:])).uses[0].kind == meant


@pytest.mark.parametrize("highest", [1020, 1020.0, Decimal(1020)])
@pytest.mark.parametrize("last_used", [LAST, LAST.replace(tzinfo=None), LAST.astimezone(timezone(timedelta(hours=5)))])
def test_numbers_in_every_form(highest, last_used):
    assert report((*ROW[:2], highest, highest, 20, last_used)).uses == (USE,)


def test_number_columns_in_any_order_and_further_ones():
    columns = ("EXTRA", "Used", "latest", "HIGHEST", "kind", "last_used", "Agreement")
    assert report(("x", 20, 1020, 1020, "interchange", LAST, "Fabrikam X12 send"), columns=columns) == report(ROW)


def test_a_row_without_numbers_is_ignored():
    assert report((*ROW[:2], None, None, 0, None)) == report()


@pytest.mark.parametrize(
    "row",
    [
        ("", *ROW[1:]),
        (b"Fabrikam", *ROW[1:]),
        (ROW[0], "invoice", *ROW[2:]),
        (*ROW[:2], None, 1020, 20, None),
        (*ROW[:2], 1020, None, 20, None),
        (*ROW[:2], 1020, 1021, 20, None),
        (*ROW[:2], "1020", 1020, 20, None),
        (*ROW[:2], 1020.5, 1020, 20, None),
        (*ROW[:2], 1020, 1020, -1, None),
        (*ROW[:2], 1020, 1020, None, None),
        (*ROW[:2], 1020, 1020, True, None),
        (*ROW[:2], float("nan"), 1020, 20, None),
        (*ROW[:5], "yesterday"),
        (*ROW[:5], date(2026, 1, 1)),
        ROW[:5],
        (*ROW, "x"),
        5,
    ],
)
def test_a_nonsense_number_row_makes_the_rest_unknown(row):
    other = ("Litware X12 send", *ROW[1:])
    result = report(row, other)
    assert "Row 1 of the control number query cannot be read" in result.problem
    assert result.sentence().startswith("Control numbers used from 2026-01-01 02:00:00 UTC to 2026-01-02")
    assert "; at least 20: Row 1" in result.sentence()
    assert result.use_of("Fabrikam X12 send", "interchange") is None
    assert result.use_of("Litware X12 send", "interchange").used == 20


def test_two_rows_of_the_same_counter_are_none():
    result = report(ROW, (ROW[0].upper(), *ROW[1:]), ("Litware", *ROW[1:]))
    assert "has the kind interchange twice" in result.problem
    assert [use.agreement for use in result.uses] == ["Litware"]


def test_missing_columns_of_numbers_are_a_problem():
    result = report(("a", "b"), columns=("agreement", "count"))
    assert "kind, highest, latest, used, last_used is missing" in result.problem
    assert result.use_of("a", "group") is None


def test_many_problems_are_summed_up():
    assert report(*[(number,) for number in range(5)]).problem.endswith("; and 2 more")


def test_since_is_written_so_that_it_sorts():
    assert since_text(SINCE) == "2026-01-01T02:00:00.000000Z"
    assert since_text(SINCE.astimezone(timezone(timedelta(hours=-7)))) == "2026-01-01T02:00:00.000000Z"
    assert since_text(EVER) == "1970-01-01T00:00:00.000000Z"
    with pytest.raises(ValueError, match="time zone"):
        since_text(datetime(2026, 1, 1))


def test_the_control_number_query():
    table = (
        "CREATE TABLE control_number_events (event_id TEXT, position INTEGER, occurred_at TEXT, agreement TEXT, "
        "kind TEXT, direction TEXT, number INTEGER)"
    )
    before, at, later = (since_text(SINCE + timedelta(hours=hours)) for hours in (-1, 0, 1))
    events = [
        ("e1", 1, before, "Fabrikam", "group", "generated", 998),
        ("e2", 2, at, "Fabrikam", "group", "generated", 999),
        ("e3", 3, later, "Fabrikam", "group", "generated", 1),
        ("e4", 4, later, "Fabrikam", "group", "generated", 2),
        ("e5", 5, later, "Fabrikam", "group", "received", 7777),
        ("e6", 6, before, "Litware", "interchange", "generated", 5),
        ("e7:000009", 7, later, "Litware", "transaction_set", "generated", 9),
        ("e7:000010", 7, later, "Litware", "transaction_set", "generated", 10),
    ]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(table)
        connection.executemany("INSERT INTO control_number_events VALUES (?, ?, ?, ?, ?, ?, ?)", events)

        def uses_since(since: datetime) -> UseReport:
            cursor = connection.execute(DEFAULT_CONTROL_NUMBER_QUERY, {"since": since_text(since)})
            columns = [column[0] for column in cursor.description]
            return use_report(columns, cursor.fetchall(), source="s", since=since, checked_at=NOW)

        moment = SINCE + timedelta(hours=1)
        assert uses_since(SINCE).uses == (
            ControlNumberUse("Fabrikam", "group", 999, 2, 3, moment),
            ControlNumberUse("Litware", "transaction_set", 10, 10, 2, moment),
        )
        assert uses_since(EVER).use_of("Litware", "interchange").latest == 5
        assert uses_since(NOW).uses == ()


# --- batches ---------------------------------------------------------------------------------------------------------

CHECKED_AT = datetime(2026, 1, 1, 2, tzinfo=UTC)
OLDEST = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
BATCH = ("Fabrikam 850", "hourly", 5, "2026-01-01T01:30:00Z")


def drained(*rows: object, columns: tuple[str, ...] = DRAIN_COLUMNS) -> DrainStatus:
    return drain_status(columns, rows, source="tracking database", checked_at=CHECKED_AT)


def test_no_batch_row_is_empty():
    assert drained() == DrainStatus(answer="empty", source="tracking database", checked_at=CHECKED_AT)
    assert drained().sentence() == "No batch held messages at 2026-01-01 02:00:00 UTC (tracking database)."


def test_a_row_is_an_active_batch():
    result = drained(BATCH)
    assert result.answer == "active"
    assert result.batches == (ActiveBatch("Fabrikam 850", "hourly", 5, OLDEST),)
    assert "1 batch held 5 messages" in result.sentence()
    assert "Fabrikam 850/hourly (5 messages, the oldest since 2026-01-01 01:30:00 UTC)" in result.sentence()


@pytest.mark.parametrize(
    "oldest",
    [
        "2026-01-01T01:30:00Z",
        "2026-01-01 01:30:00",
        "2026-01-01T02:30:00+01:00",
        OLDEST,
        OLDEST.replace(tzinfo=None),
        OLDEST.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_times_in_every_form(oldest):
    assert drained((*BATCH[:3], oldest)).batches[0].oldest == OLDEST


@pytest.mark.parametrize("count", [5, 5.0, Decimal(5)])
def test_counts_in_every_form(count):
    assert drained((*BATCH[:2], count, None)).batches == (ActiveBatch("Fabrikam 850", "hourly", 5, None),)


def test_batch_columns_in_any_order_and_further_ones():
    result = drained(
        ("x", 5, "hourly", OLDEST, "Fabrikam 850"), columns=("EXTRA", "MESSAGES", "Batch", "oldest", "Agreement")
    )
    assert result == drained(BATCH)


def test_a_row_without_messages_is_ignored():
    assert drained((*BATCH[:2], 0, None)).answer == "empty"


@pytest.mark.parametrize(
    "row",
    [
        ("", "hourly", 5, None),
        (None, "hourly", 5, None),
        ("a", b"hourly", 5, None),
        ("a", "b", -1, None),
        ("a", "b", 1.5, None),
        ("a", "b", float("nan"), None),
        ("a", "b", float("inf"), None),
        ("a", "b", Decimal("NaN"), None),
        ("a", "b", True, None),
        ("a", "b", "5", None),
        ("a", "b", None, None),
        ("a", "b", 5, "yesterday"),
        ("a", "b", 5, 1767225600),
        ("a", "b", 5, date(2026, 1, 1)),
        ("a", "b", 5),
        ("a", "b", 5, None, "x"),
        5,
    ],
)
def test_a_nonsense_batch_row_is_unknown_with_a_reason(row):
    result = drained(row)
    assert result.answer == "unknown"
    assert "Row 1 of the drain query cannot be read" in result.reason
    assert result.reason in result.sentence()
    active = drained(row, BATCH)
    assert (active.answer, active.reason) == ("active", result.reason)


def test_missing_columns_of_batches_are_unknown():
    result = drained(("a", "b"), columns=("agreement", "count"))
    assert result.answer == "unknown"
    assert "batch, messages, oldest is missing" in result.reason


def test_many_batch_rows_are_summed_up():
    result = drained(*[("Fabrikam", f"batch {number}", 1, None) for number in range(12)])
    assert result.sentence().startswith("12 batches held 12 messages")
    assert result.sentence().endswith("; and 2 more.")
