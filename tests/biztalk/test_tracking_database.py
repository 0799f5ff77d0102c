"""A tracking database that is asked: on SQLite, right and wrong, quiet and busy, and not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.tracking import contradictions
from biztalk_services.drivers.biztalk.tracking.database import TrackingDatabase
from biztalk_services.drivers.biztalk.tracking.queries import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DEFAULT_DRAIN_QUERY,
    name_of,
    since_text,
)
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.drivers.sql.errors import QueryRefusedError, QueryTimeoutError
from biztalk_services.model.control_numbers import EVER, ControlNumberUse
from biztalk_services.model.drain import DrainUnknownError
from biztalk_services.model.errors import ServerError

NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=1)
CONN_ID = "biztalk_tracking_orders"

QUERY = """
SELECT agreement, 'interchange' AS kind, MAX({number}) AS highest, COUNT(*) AS used, MAX(at) AS last_used,
  (SELECT {number} FROM numbers newest WHERE newest.agreement = numbers.agreement ORDER BY at DESC, id DESC) AS latest
FROM numbers WHERE at >= {since} GROUP BY agreement
"""
RIGHT = QUERY.format(number="number", since=":since")


class Database:
    """Connections to one SQLite file; what is asked is recorded, and traffic may come before each query."""

    def __init__(self, file: Path) -> None:
        self.connection = sqlite3.connect(file)
        self.connection.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, agreement TEXT, number, at TEXT)")
        self.asked: list[tuple[str, str, Mapping[str, str], float]] = []
        self.before: Callable[[int], None] = lambda count: None

    def give_out(self, *numbers: Any, at: datetime | str, agreement: str = "Fabrikam") -> None:
        moment = at if isinstance(at, str) else since_text(at)
        rows = [(agreement, number, moment) for number in numbers]
        self.connection.executemany("INSERT INTO numbers (agreement, number, at) VALUES (?, ?, ?)", rows)

    def query(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        self.before(len(self.asked))
        self.asked.append((conn_id, sql, parameters, seconds))
        cursor = self.connection.execute(sql, dict(parameters))
        return [column[0] for column in cursor.description], cursor.fetchall()

    def get(self, conn_id: str) -> None:
        raise NotImplementedError

    def storage(self, conn_id: str) -> None:
        raise NotImplementedError

    describe = storage


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    database = Database(tmp_path / "tracking.db")
    yield database
    database.connection.close()


def tracking(database: Any, query: str = RIGHT, **options: Any) -> TrackingDatabase:
    return TrackingDatabase(database, CONN_ID, "Orders", BizTalkOptions(control_number_query=query, **options))


# --- control numbers -------------------------------------------------------------------------------------------------


def test_numbers_are_asked_since_and_then_ever(database):
    database.give_out(*range(1, 901), at=SINCE - timedelta(hours=1))
    database.give_out(*range(901, 911), at=SINCE + timedelta(hours=1))
    report = tracking(database, tracking_query_seconds=7).control_numbers_since(SINCE)
    assert report.problem is None
    moment = SINCE + timedelta(hours=1)
    assert report.uses == (ControlNumberUse("Fabrikam", "interchange", 910, 910, 10, moment),)
    assert report.ever == (ControlNumberUse("Fabrikam", "interchange", 910, 910, 910, moment),)
    assert (report.source, report.query) == (f"tracking database of connection {CONN_ID}", name_of(RIGHT))
    assert [(conn_id, sql, seconds) for conn_id, sql, _, seconds in database.asked] == [(CONN_ID, RIGHT, 7.0)] * 2
    assert [each[2] for each in database.asked] == [
        {"service": "Orders", "since": since_text(moment)} for moment in (SINCE, EVER)
    ]


def test_numbers_since_ever_are_asked_once(database):
    database.give_out(1, 2, 3, at=SINCE)
    report = tracking(database).control_numbers_since(EVER)
    assert (len(database.asked), report.problem) == (1, None)
    assert report.ever == report.uses
    assert report.ever_of("fabrikam", "interchange").latest == 3


def test_the_same_numbers_since_ever_from_the_future_are_a_problem(database):
    database.give_out(1, at=datetime.now(UTC) + timedelta(hours=2))
    report = tracking(database).control_numbers_since(EVER)
    assert "later than the query" in report.problem
    assert report.use_of("Fabrikam", "interchange").latest == 1


def blanks(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


DAY = SINCE.replace(hour=2, minute=0, second=0)


def lost_blanks(database: Database) -> None:
    """Times with a blank sort before those with a T: on the day of the backup nothing was used."""
    database.give_out(*range(1, 11), at=blanks(DAY - timedelta(hours=1)))
    database.give_out(*range(11, 16), at=blanks(DAY + timedelta(hours=20)))


def lost_fixed_date(database: Database) -> None:
    database.give_out(*range(1, 11), at=DAY - timedelta(hours=1))
    database.give_out(*range(11, 16), at=DAY + timedelta(hours=20))


def unpadded_text(database: Database) -> None:
    database.give_out(*map(str, range(9991, 10091)), at=DAY + timedelta(hours=1))


def too_early(database: Database) -> None:
    database.give_out(*range(1, 11), at=DAY - timedelta(days=3))


def two_cases(database: Database) -> None:
    database.give_out(1, 2, at=DAY + timedelta(hours=1))
    database.give_out(3, 4, at=DAY + timedelta(hours=2), agreement="FABRIKAM")


WRONG: dict[str, tuple[Callable[[Database], None], str, str]] = {
    "blank in place of T": (lost_blanks, RIGHT, "was not used since"),
    "since shifted by an offset": (
        lost_fixed_date,
        QUERY.format(number="number", since="datetime(:since, '+1 day')"),
        "was not used since",
    ),
    "a maximum over text": (unpadded_text, RIGHT, "take MAX(CAST(... AS bigint))"),
    "a maximum over text, cast behind": (
        unpadded_text,
        RIGHT.replace("MAX(number)", "CAST(MAX(number) AS INTEGER)").replace("(SELECT number", "(SELECT 0+number"),
        "take MAX(CAST(... AS bigint))",
    ),
    "since not compared": (too_early, QUERY.format(number="number", since="'2000' OR :since = ''"), "before"),
    "one agreement in two cases": (two_cases, RIGHT, "twice"),
    "maximum of numbers that only since shows": (
        lost_fixed_date,
        "SELECT * FROM (" + RIGHT + ") WHERE :since > '2000'",
        "and never at all",
    ),
    "a count that is cut": (
        lost_fixed_date,
        RIGHT.replace("COUNT(*)", "CASE WHEN :since < '2000' THEN MIN(COUNT(*), 4) ELSE COUNT(*) END"),
        "more were used since then than ever",
    ),
}


@pytest.mark.parametrize(("fill", "query", "said"), WRONG.values(), ids=WRONG)
def test_an_answer_that_cannot_be_true_is_a_problem_and_never_none(database, fill, query, said):
    fill(database)
    report = tracking(database, query).control_numbers_since(DAY)
    assert report.problem is not None
    assert said in report.problem
    assert report.use_of("Fabrikam", "interchange") is None
    assert "are unknown" in report.sentence()


def test_traffic_between_the_queries_is_no_contradiction(database):
    """A busy service gives numbers out before each query."""
    database.give_out(*range(1, 901), at=SINCE - timedelta(hours=1))
    database.before = lambda count: database.give_out(901 + count, at=NOW - timedelta(minutes=5 - count))
    report = tracking(database).control_numbers_since(SINCE)
    assert report.problem is None
    assert len(database.asked) == 3
    assert (report.use_of("Fabrikam", "interchange").latest, report.ever_of("Fabrikam", "interchange").latest) == (
        903,
        903,
    )


def test_the_first_number_between_the_queries_is_no_contradiction(database):
    database.before = lambda count: database.give_out(count, at=NOW - timedelta(minutes=5)) if count == 1 else None
    report = tracking(database).control_numbers_since(SINCE)
    assert report.problem is None
    assert report.use_of("Fabrikam", "interchange").latest == 1


def test_a_busy_service_is_settled_by_the_last_answer(database):
    """Each answer has one number more; the first one of another agreement comes before the last query."""
    database.give_out(*range(1, 901), at=SINCE - timedelta(hours=1))

    def traffic(count: int) -> None:
        database.give_out(901 + count, at=NOW - timedelta(minutes=5 - count))
        if count == 2:
            database.give_out(1, at=NOW - timedelta(minutes=2), agreement="Contoso")

    database.before = traffic
    report = tracking(database).control_numbers_since(SINCE)
    assert contradictions.between(SINCE, report.uses, report.ever) == []
    assert report.ever_of("Contoso", "interchange").latest == 1


def test_a_range_that_starts_over_before_the_last_query(database):
    """The answer since ever still ends before the backup."""
    database.give_out(*range(1, 1001), at=SINCE - timedelta(hours=1))
    database.give_out(1000, at=SINCE - timedelta(hours=1), agreement="Contoso")

    def traffic(count: int) -> None:
        if count == 1:
            database.give_out(1, at=NOW - timedelta(minutes=4))
        if count == 2:
            database.give_out(1, at=NOW - timedelta(minutes=3), agreement="Contoso")

    database.before = traffic
    report = tracking(database).control_numbers_since(SINCE)
    assert contradictions.between(SINCE, report.uses, report.ever) == []
    assert report.ever_of("Contoso", "interchange").latest == 1


def test_a_replica_that_goes_back_in_time_is_a_problem(database):
    database.give_out(*range(1, 11), at=SINCE + timedelta(hours=1))

    def traffic(count: int) -> None:
        if count == 1:
            database.give_out(11, at=SINCE + timedelta(hours=2))
        if count == 2:
            database.connection.execute("DELETE FROM numbers WHERE number > 5")

    database.before = traffic
    report = tracking(database).control_numbers_since(SINCE)
    assert "the same query said 10 used" in report.problem
    assert report.use_of("Fabrikam", "interchange") is None


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_query_that_fails_makes_all_unknown(database, failing):
    def traffic(count: int) -> None:
        if count == failing:
            raise QueryTimeoutError("The database did not answer within 60 s.")
        database.give_out(count + 1, at=NOW - timedelta(minutes=5 - count))

    database.before = traffic
    report = tracking(database).control_numbers_since(SINCE)
    assert "did not answer within 60 s" in report.problem
    assert report.use_of("Litware", "interchange") is None


# --- batches ---------------------------------------------------------------------------------------------------------


class Failing:
    """Connections whose queries raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def query(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "advice", "said"),
    [
        (ConnectionNotFoundError(f"There is no connection {CONN_ID}."), "stop", f"There is no connection {CONN_ID}."),
        (QueryRefusedError("The provider for mssql is missing."), "stop", "cannot be queried: The provider for mssql"),
        (QueryTimeoutError("No answer within 60 s."), "retry", "cannot be queried: No answer within 60 s."),
        (ServerError("The service is down."), "retry", "The service is down."),
        (sqlite3.OperationalError("no such table: batches"), "retry", "OperationalError: no such table: batches."),
        (RuntimeError("Password=canary; at x"), "retry", "RuntimeError: Password=***"),
        (TypeError("odd"), "retry", "TypeError: odd."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_a_failed_query_advises(error, advice, said):
    database = tracking(Failing(error), drain_query="SELECT 1 AS x")
    with pytest.raises(DrainUnknownError) as caught:
        database.drain_status()
    assert caught.value.advice == advice
    assert said in str(caught.value)
    assert caught.value.drain.answer == "unknown"
    report = database.control_numbers_since(SINCE)
    assert said in report.problem
    assert report.use_of("Fabrikam", "interchange") is None
    assert "canary" not in report.problem + str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (QUERY.format(number="number", since="'2026-01-01'"), "does not name :since"),
        (f"{RIGHT}; {RIGHT}", "statement"),
        ("DELETE FROM numbers WHERE at >= :since", "DELETE"),
    ],
)
def test_a_number_query_that_breaks_a_rule_is_not_asked(database, query, said):
    assert said in tracking(database, query).control_numbers_since(SINCE).problem
    assert database.asked == []


def test_a_drain_query_that_breaks_a_rule_is_not_asked(database):
    with pytest.raises(DrainUnknownError, match="names the parameter :since") as caught:
        tracking(database, drain_query=RIGHT).drain_status()
    assert (caught.value.advice, database.asked) == ("stop", [])


def test_a_default_query_on_other_tables_names_the_option(database):
    tables = TrackingDatabase(database, CONN_ID, "Orders", BizTalkOptions())
    with pytest.raises(DrainUnknownError, match="option drain_query holds that for others"):
        tables.drain_status()
    assert "option control_number_query holds that for others" in tables.control_numbers_since(SINCE).problem
    assert [each[1] for each in database.asked] == [DEFAULT_DRAIN_QUERY, DEFAULT_CONTROL_NUMBER_QUERY]


def test_batches_by_a_query_of_the_user(database):
    query = "SELECT :service AS Agreement, 17 AS BATCH, '3' AS messages, date('now') AS oldest"
    status = tracking(database, drain_query=query).drain_status()
    assert [(each.agreement, each.batch, each.messages) for each in status.batches] == [("Orders", "17", 3)]
    assert database.asked[0][2] == {"service": "Orders"}


@pytest.mark.parametrize("oldest", ["datetime('now', '+1 hour')", "date('now', '+2 days')"])
def test_a_batch_from_the_future_is_unknown(database, oldest):
    query = f"SELECT 'a' AS agreement, 'b' AS batch, 0 AS messages, {oldest} AS oldest"
    with pytest.raises(DrainUnknownError, match="later than the query") as caught:
        tracking(database, drain_query=query).drain_status()
    assert caught.value.advice == "retry"
