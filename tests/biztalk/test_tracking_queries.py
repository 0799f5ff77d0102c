"""The two queries: the default ones on SQLite, and the rules of those that a user writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.tracking.answers import DRAIN_COLUMNS, NUMBER_COLUMNS, drain_status, use_report
from biztalk_services.drivers.biztalk.tracking.queries import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DEFAULT_DRAIN_QUERY,
    name_of,
    problem_of_control_number_query,
    problem_of_drain_query,
    since_text,
)
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.options import read_option

SINCE = datetime(2026, 1, 1, 2, tzinfo=UTC)
NOW = SINCE + timedelta(days=1)
DRAIN = f"SELECT {', '.join(DRAIN_COLUMNS)} FROM batches"
NUMBERS = f"SELECT {', '.join(NUMBER_COLUMNS)} FROM numbers"


def test_since_is_written_so_that_it_sorts():
    assert since_text(SINCE) == "2026-01-01T02:00:00.000000Z"
    assert since_text(SINCE.astimezone(timezone(timedelta(hours=-7)))) == "2026-01-01T02:00:00.000000Z"
    assert since_text(EVER) == "1753-01-01T00:00:00.000000Z"
    with pytest.raises(ValueError, match="time zone"):
        since_text(datetime(2026, 1, 1))


def test_a_query_has_a_name_by_its_text():
    assert name_of(DEFAULT_DRAIN_QUERY) == name_of(DEFAULT_DRAIN_QUERY)
    assert name_of("SELECT 1") == "query e004ebd5"
    assert name_of("SELECT 2") != name_of("SELECT 1")


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


def test_the_drain_query():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE batch_events (occurred_at TEXT, agreement TEXT, event TEXT, batch TEXT, message_id TEXT)"
        )
        events = [
            (since_text(SINCE), "Fabrikam", "entered", "hourly", "m1"),
            (since_text(NOW), "Fabrikam", "entered", "hourly", "m2"),
            (since_text(NOW), "Fabrikam", "released", "hourly", "m1"),
            (since_text(SINCE), "Litware", "entered", "daily", "m3"),
            (since_text(NOW), "Litware", "lost", "daily", "m3"),
        ]
        connection.executemany("INSERT INTO batch_events VALUES (?, ?, ?, ?, ?)", events)
        cursor = connection.execute(DEFAULT_DRAIN_QUERY)
        status = drain_status([each[0] for each in cursor.description], cursor.fetchall(), source="s", checked_at=NOW)
    assert [(each.batch, each.messages, each.oldest) for each in status.batches] == [("hourly", 1, NOW)]


@pytest.mark.parametrize(
    "query",
    [
        DEFAULT_DRAIN_QUERY,
        DRAIN,
        f"{DRAIN} WHERE service = :service",
        f"{DRAIN} WHERE service = :SERVICE AND name LIKE 'EDI%';",
        f"-- the batches of :since\nWITH one AS (SELECT 1) {DRAIN}",
    ],
)
def test_drain_queries_that_keep_the_rules(query):
    assert problem_of_drain_query(query) is None


@pytest.mark.parametrize(
    "query",
    [
        DEFAULT_CONTROL_NUMBER_QUERY,
        f"{NUMBERS} WHERE given_out >= :since",
        f"{NUMBERS} WHERE given_out >= CAST(:since AS datetimeoffset(6)) AND service = :service",
        f"{NUMBERS} WHERE given_out >= :since::timestamptz",
    ],
)
def test_control_number_queries_that_keep_the_rules(query):
    assert problem_of_control_number_query(query) is None


BROKEN = {
    "no since": (f"{NUMBERS} WHERE given_out >= '2023-01-01'", ":since"),
    "since in a text": (f"{NUMBERS} WHERE given_out >= ':since'", ":since"),
    "since in a comment": (f"{NUMBERS} -- >= :since", ":since"),
    "two statements": (f"SET TIME ZONE 'UTC'; {NUMBERS} WHERE given_out >= :since", "statement"),
    "two selects": (f"{NUMBERS} WHERE at >= :since; {NUMBERS} WHERE at >= :since", "statement"),
    "a delete": ("DELETE FROM numbers WHERE given_out >= :since", "DELETE"),
    "pyformat": (f"{NUMBERS} WHERE given_out >= %(since)s", ":since"),
    "question mark": (f"{NUMBERS} WHERE given_out >= ?", ":since"),
    "another name": (f"{NUMBERS} WHERE given_out >= :since AND agreement = :agreement", ":agreement"),
}


@pytest.mark.parametrize(("query", "said"), BROKEN.values(), ids=BROKEN)
def test_a_query_that_breaks_a_rule_is_a_problem_of_its_option(query, said):
    problem = problem_of_control_number_query(query)
    assert problem is not None
    assert said in problem
    (option,) = (each for each in fields(BizTalkOptions) if each.name == "control_number_query")
    value, found = read_option(option, query)
    assert value == ""
    assert found.sentence.startswith("Option control_number_query is ")
    assert said in found.sentence
    assert "AIRFLOW__BIZTALK_SERVICES__CONTROL_NUMBER_QUERY" in found.sentence


def test_the_drain_query_has_no_since():
    assert ":since" in problem_of_drain_query(f"{DRAIN} WHERE queued >= :since")
