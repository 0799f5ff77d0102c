"""What is recorded and said of a tracking database that is asked both queries: with fake connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.query_check import EXAMPLE, check_queries
from biztalk_services.drivers.sql.description import QueryDescription
from biztalk_services.model.control_numbers import EVER
from biztalk_services.model.query_check import DatabaseSeen, QueryCheck

NOW = datetime.now(UTC)
LATELY = NOW - timedelta(hours=3)
BATCHES, NUMBERS = (
    ("agreement", "batch", "messages", "oldest"),
    ("agreement", "kind", "highest", "latest", "used", "last_used"),
)
BERLIN = timezone(timedelta(hours=1))

Rows = list[tuple[Any, ...]]


@dataclass
class FakeConnections:
    """A database. Rows that are an error are raised; those of the numbers may follow from ``since``."""

    batches: Rows | Exception = field(default_factory=list)
    numbers: Rows | Exception | Callable[[str], Rows] = field(
        default_factory=lambda: [("Fabrikam", "interchange", 12, 12, 5, LATELY)]
    )
    columns: tuple[str, ...] = NUMBERS
    about: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    def get(self, conn_id: str) -> Any:
        return SimpleNamespace(conn_id=conn_id, conn_type="mssql", password="hunter2")

    def storage(self, conn_id: str) -> Any:
        raise NotImplementedError

    def query(self, *arguments: Any) -> Any:
        raise AssertionError("every query is described")

    def describe(self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float) -> QueryDescription:
        self.asked.append((sql, dict(parameters), seconds))
        since = parameters.get("since")
        rows = self.numbers if since else self.batches
        columns = self.columns if since else BATCHES
        if callable(rows):
            rows = rows(since or "")
        if isinstance(rows, Exception):
            raise rows
        about: dict[str, Any] = {"server": "SQL Azure 12", "time_zone": "UTC", "clock_ahead": 0.5} | self.about
        return QueryDescription(
            columns=list(columns),
            types=["varchar"] * len(columns),
            rows=rows,
            seconds=0.1234,
            driver="pymssql 2.4",
            **about,
        )


def checked(connections: FakeConnections, **options: Any) -> QueryCheck:
    return check_queries(connections, "tracking", "orders", BizTalkOptions(**options), NOW)


def test_a_good_database_has_nothing_to_say():
    connections = FakeConnections([("Fabrikam", "daily", 2, LATELY)])
    check = checked(connections, drain_query="SELECT 1 AS a FROM b", tracking_query_seconds=9)
    assert (check.problems, check.remarks) == ((), ())
    assert check.database == DatabaseSeen(
        conn_type="mssql", driver="pymssql 2.4", server="SQL Azure 12", time_zone="UTC", clock_ahead_seconds=0.5
    )
    assert [(look.option, look.since, look.rows, look.seconds) for look in check.looks] == [
        ("drain_query", None, 1, 0.123),
        ("control_number_query", NOW - EXAMPLE, 1, 0.123),
        ("control_number_query", EVER, 1, 0.123),
    ]
    assert check.looks[0].columns[2].types == ("varchar", "int")
    assert check.batches.sentence().startswith("1 batch held 2 messages at ")
    assert check.numbers.use_of("fabrikam", "interchange").highest == 12
    assert check.numbers.ever_of("fabrikam", "interchange").used == 5
    assert connections.asked[0] == ("SELECT 1 AS a FROM b", {"service": "orders"}, 9.0)


def test_what_the_database_refuses_is_told_once_and_no_secret():
    check = checked(FakeConnections(RuntimeError("login failed; password=hunter2"), RuntimeError("no such table")))
    assert len(check.problems) == 2
    assert check.problems[0].startswith(
        "The tracking database of connection tracking cannot be queried: RuntimeError: login failed; password=***."
    )
    assert "no such table" in check.problems[1]
    assert [(look.option, look.rows) for look in check.looks] == [("drain_query", None), ("control_number_query", None)]
    assert check.database == DatabaseSeen(conn_type="mssql")


def test_a_connection_that_is_not_there_is_not_asked(monkeypatch):
    monkeypatch.setattr(FakeConnections, "get", lambda self, conn_id: None)
    check = checked(connections := FakeConnections())
    (problem,) = check.problems
    assert problem.startswith("There is no connection tracking to the tracking database of service orders, or none")
    assert (check.looks, check.database, connections.asked) == ((), None, [])


def test_missing_columns():
    check = checked(FakeConnections(columns=("agreement", "kind", "top", "latest", "used", "last_used")))
    assert "highest is missing" in check.problems[0]
    assert check.looks[-1].columns[2].name == "top"


def test_the_greatest_of_texts_is_named():
    check = checked(FakeConnections(numbers=[("Fabrikam", "interchange", "9999", "9999", 100, LATELY)]))
    assert "highest is the text '9999'; take MAX(CAST(... AS bigint))" in check.problems[0]


def test_answers_that_contradict_each_other_are_named():
    ever = [("Fabrikam", "interchange", 12, 12, 5, NOW - timedelta(hours=1))]
    check = checked(FakeConnections(numbers=lambda since: ever if since.startswith("1753") else []))
    assert "The answers contradict themselves" in check.problems[0]
    assert len(check.looks) == 4


@pytest.mark.parametrize(
    ("last_used", "zone", "remark"),
    [
        (LATELY.replace(tzinfo=None), "UTC", "come without time zone and are taken as UTC."),
        (f"{LATELY:%Y-%m-%d %H:%M:%S}", "UTC", "come without time zone and are taken as UTC."),
        (
            LATELY.replace(tzinfo=None),
            "(UTC) Coordinated Universal Time",
            "come without time zone and are taken as UTC.",
        ),
        (
            LATELY.replace(tzinfo=None),
            "Europe/Berlin",
            "are taken as UTC. The session's time zone is Europe/Berlin: where the column holds that, convert it",
        ),
    ],
    ids=["datetime", "text", "azure-sql", "session-not-utc"],
)
def test_times_without_a_zone_are_told(last_used, zone, remark):
    row = ("Fabrikam", "interchange", 12, 12, 5, last_used)
    check = checked(FakeConnections(numbers=[row], about={"time_zone": zone}))
    assert check.problems == ()
    assert len(check.remarks) == 1
    assert remark in check.remarks[0]
    assert ("session's time zone" in check.remarks[0]) == (zone == "Europe/Berlin")


@pytest.mark.parametrize(
    "last_used", [LATELY, LATELY.astimezone(BERLIN), LATELY.isoformat(), None], ids=["utc", "berlin", "text", "none"]
)
def test_times_with_a_zone_need_no_remark(last_used):
    assert checked(FakeConnections(numbers=[("Fabrikam", "interchange", 12, 12, 5, last_used)])).remarks == ()


def test_a_naive_time_in_the_future_is_local():
    local = (NOW + timedelta(hours=1)).replace(tzinfo=None)
    check = checked(FakeConnections(numbers=[("Fabrikam", "interchange", 12, 12, 5, local)]))
    assert any(
        "Column last_used has a time without time zone that lies 60 minutes in the future, so it is local time" in each
        for each in check.problems
    )


def test_the_type_of_a_time_says_that_it_has_no_zone():
    check = checked(FakeConnections(numbers=[("Fabrikam", "group", 12, 12, 5, LATELY.replace(tzinfo=None))]))
    assert check.looks[1].columns[5].types == ("varchar", "datetime without time zone")


@pytest.mark.parametrize(
    ("ahead", "words"), [(301, "301 s ahead of ours"), (-4000, "4000 s behind ours")], ids=["ahead", "behind"]
)
def test_a_clock_that_is_wrong(ahead, words):
    check = checked(FakeConnections(about={"clock_ahead": ahead}))
    assert [words in each for each in check.problems] == [True]


def test_no_number_at_all_is_remarked():
    check = checked(FakeConnections(numbers=[]))
    assert check.problems == ()
    assert "No control number was found at all" in check.remarks[0]
