"""What a control number query's answer means, and the query itself on SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from biztalk_services.drivers.biztalk.tracking import DEFAULT_CONTROL_NUMBER_QUERY, since_text
from biztalk_services.model.control_numbers import COLUMNS, EVER, KINDS, ControlNumberUse, UseReport, from_rows
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 2, 2, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
LAST = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
ROW = ("Fabrikam X12 send", "interchange", 1020, 1020, 20, "2026-01-01T09:30:00.000000Z")
USE = ControlNumberUse("Fabrikam X12 send", "interchange", 1020, 1020, 20, LAST)


def report(*rows: object, columns: tuple[str, ...] = COLUMNS) -> UseReport:
    return from_rows(columns, rows, source="tracking database", since=SINCE, checked_at=NOW)


def test_no_row_is_no_use():
    assert report() == UseReport(source="tracking database", since=SINCE, checked_at=NOW)
    assert report().use_of("Anybody", "group") == ControlNumberUse("Anybody", "group")
    assert report().sentence() == (
        "No control number was used from 2026-01-01 02:00:00 UTC to 2026-01-02 02:00:00 UTC (tracking database)."
    )


def test_a_row_is_use():
    found = report(ROW)
    assert found.uses == (USE,)
    assert found.use_of("FABRIKAM x12 send", "interchange") == USE
    assert found.use_of("Fabrikam X12 send", "group").used == 0
    assert "20 control numbers were used by 1 agreement from" in found.sentence()


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
def test_values_in_every_form(highest, last_used):
    assert report((*ROW[:2], highest, highest, 20, last_used)).uses == (USE,)


def test_columns_in_any_order_and_case_and_further_ones():
    columns = ("EXTRA", "Used", "latest", "HIGHEST", "kind", "last_used", "Agreement")
    assert report(("x", 20, 1020, 1020, "interchange", LAST, "Fabrikam X12 send"), columns=columns) == report(ROW)


def test_a_row_without_numbers_is_passed_over():
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
def test_a_nonsense_row_makes_the_rest_unknown(row):
    other = ("Litware X12 send", *ROW[1:])
    found = report(row, other)
    assert "Row 1 of the control number query cannot be understood" in found.trouble
    assert found.sentence().startswith("Nobody can say which control numbers were used")
    assert "; at least 20: Row 1" in found.sentence()
    assert found.use_of("Fabrikam X12 send", "interchange") is None
    assert found.use_of("Litware X12 send", "interchange").used == 20


def test_two_rows_of_the_same_counter_are_none():
    found = report(ROW, (ROW[0].upper(), *ROW[1:]), ("Litware", *ROW[1:]))
    assert "has the kind interchange twice" in found.trouble
    assert [use.agreement for use in found.uses] == ["Litware"]


def test_missing_columns_are_trouble():
    found = report(("a", "b"), columns=("agreement", "count"))
    assert "kind, highest, latest, used, last_used is missing" in found.trouble
    assert found.use_of("a", "group") is None


def test_many_troubles_are_summed_up():
    assert report(*[(number,) for number in range(5)]).trouble.endswith("; and 2 more")


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "invoice"},
        {"used": 0},
        {"used": -1},
        {"highest": None},
        {"latest": None},
        {"latest": 1021},
        {"last_used": LAST.replace(tzinfo=None)},
    ],
)
def test_contradictions_are_refused(values):
    with pytest.raises(ValueError, match="control number"):
        ControlNumberUse(**USE.to_dict() | {"last_used": LAST} | values)


def test_a_report_needs_zones_and_one_use_a_counter():
    complete = {"source": "s", "since": SINCE, "checked_at": NOW}
    for change in ({"since": datetime(2026, 1, 1)}, {"checked_at": datetime(2026, 1, 1)}, {"uses": (USE, USE)}):
        with pytest.raises(ValueError, match="report on control numbers"):
            UseReport(**complete | change)


USES = st.builds(
    lambda agreement, kind, numbers, last_used: ControlNumberUse(
        agreement,
        kind,
        max(numbers, default=None),
        numbers[-1] if numbers else None,
        len(numbers),
        last_used if numbers else None,
    ),
    st.text(min_size=1).map(str.strip).filter(bool),
    st.sampled_from(KINDS),
    st.lists(st.integers(0)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(USES)
def test_use_survives_json(original):
    assert ControlNumberUse.from_dict(json.loads(json.dumps(original.to_dict()))) == original


@pytest.mark.parametrize("values", [{}, [], None, USE.to_dict() | {"kind": "x"}, USE.to_dict() | {"last_used": 5}])
def test_what_is_no_use_is_refused(values):
    with pytest.raises(ValueError, match=r"no use of control numbers|not one of|not a time"):
        ControlNumberUse.from_dict(values)


def test_since_is_written_so_that_it_sorts():
    assert since_text(SINCE) == "2026-01-01T02:00:00.000000Z"
    assert since_text(SINCE.astimezone(timezone(timedelta(hours=-7)))) == "2026-01-01T02:00:00.000000Z"
    assert since_text(EVER) == "1970-01-01T00:00:00.000000Z"
    with pytest.raises(ValueError, match="time zone"):
        since_text(datetime(2026, 1, 1))


def test_the_query():
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

        def asked(since: datetime) -> UseReport:
            cursor = connection.execute(DEFAULT_CONTROL_NUMBER_QUERY, {"since": since_text(since)})
            columns = [column[0] for column in cursor.description]
            return from_rows(columns, cursor.fetchall(), source="s", since=since, checked_at=NOW)

        moment = SINCE + timedelta(hours=1)
        assert asked(SINCE).uses == (
            ControlNumberUse("Fabrikam", "group", 999, 2, 3, moment),
            ControlNumberUse("Litware", "transaction_set", 10, 10, 2, moment),
        )
        assert asked(EVER).use_of("Litware", "interchange").latest == 5
        assert asked(NOW).uses == ()
