"""Queries, tables and servers that are not as they should be: each is trouble with a name, none reads as *nothing*."""

from __future__ import annotations

import re
import threading
import time

import pytest
from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers
from biztalk_services.drivers.biztalk.numbers.ranges import Place, Range
from biztalk_services.drivers.biztalk.numbers.settle import Answers, Before, settle
from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.drain import DrainUnknownError

from tests.databases.conftest import Database
from tests.databases.servers import PASSWORD
from tests.databases.tables import COUNTS, MOMENTS, PREFIXED, SINCE, Column, statements
from tests.databases.ways import WAYS

SERVERS = [way for way in WAYS if way.database != "sqlite"]
ON_SERVERS = pytest.mark.parametrize("way", SERVERS, indirect=True, ids=lambda way: way.name)
DRAIN = "SELECT agreement, batch, 1 AS messages, NULL AS oldest FROM batch_messages"


def fill(database: Database, moment: Column | None = None, count: str = "bigint") -> None:
    first = next(iter(MOMENTS[database.way.database].values()))[0]
    database.run(*statements(moment or first, COUNTS[count]))


def reason(database: Database, drain_query: str) -> str:
    """Why the batch status is unknown."""
    with pytest.raises(DrainUnknownError) as error:
        database.tracking(drain_query=drain_query).drain_status()
    return error.value.drain.reason


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SET search_path = edi; {}", "several statements"),
        ("{}; {} WHERE 1 = 2", "several statements"),
        ("{} WHERE agreement = %(service)s", r"%\(service\)s"),
        ("{} WHERE agreement = ?", r"\?"),
        ("DELETE FROM batch_messages", "DELETE"),
        ("{} WHERE agreement = :partner", ":partner"),
    ],
    ids=["set", "two", "pyformat", "qmark", "write", "unknown name"],
)
def test_what_is_no_query_of_ours_is_refused(database: Database, sql, named):
    fill(database)
    with pytest.raises(QueryRefusedError, match=named):
        database.query(sql.replace("{}", DRAIN), service="contosoorders")
    assert database.run("SELECT COUNT(*) FROM batch_messages") == [(6,)]


def test_more_rows_than_are_read(database: Database, monkeypatch):
    fill(database)
    monkeypatch.setattr("biztalk_services.provider.sql.query.MOST_ROWS", 2)
    with pytest.raises(QueryRefusedError, match="more than 2 rows in its answer"):
        database.query("SELECT id FROM sent_numbers")


def test_missing_table(database: Database):
    assert "nowhere" in reason(database, "SELECT agreement, batch FROM nowhere")


def test_unknown_column(database: Database):
    fill(database)
    assert "queued" in reason(database, DRAIN.replace("NULL", "queued"))


def test_missing_column_of_the_answer(database: Database):
    fill(database)
    assert "messages is missing" in reason(database, DRAIN.replace("1 AS messages", "1 AS waiting"))


@ON_SERVERS
def test_wrong_password(database: Database):
    database.connect(password="not-Th3-password")
    said = reason(database, DRAIN)
    assert "tracking_reader" in said
    assert "not-Th3" not in said


@ON_SERVERS
@pytest.mark.parametrize("password", ["a;b", "a}b", "{a", "a+b", "50%25", "Driver=x;PWD=y", 'it\'s "so"'])
def test_a_password_that_means_something_elsewhere(database: Database, password):
    """In the connection string of Airflow's hook for ODBC, whose values PostgreSQL's driver reads like a URL."""
    quoted = password.replace("'", "''")
    create = {"postgresql": "CREATE USER someone PASSWORD", "mariadb": "CREATE USER someone IDENTIFIED BY"}
    database.run("DROP USER IF EXISTS someone", f"{create[database.way.database]} '{quoted}'")
    if database.way.database == "mariadb":
        database.run("GRANT SELECT ON tracking.* TO someone")
    database.connect(login="someone", password=password)
    assert database.query("SELECT 1 AS n")[1] == [(1,)]


@ON_SERVERS
def test_no_server_there(database: Database):
    database.connect(place=1)
    said = reason(database, DRAIN)
    assert "cannot be queried" in said
    assert PASSWORD not in said


SLEEPS = {"postgresql": "SELECT CAST(pg_sleep(30) AS text) AS x", "mariadb": "SELECT SLEEP(30) AS x"}


@ON_SERVERS
def test_a_server_that_goes_away_in_the_middle(database: Database):
    def end_it() -> None:
        deadline = time.monotonic() + 10
        while not database.server.end_sessions() and time.monotonic() < deadline:
            time.sleep(0.05)

    thread = threading.Thread(target=end_it)
    thread.start()
    began = time.monotonic()
    said = reason(database, SLEEPS[database.way.database])
    thread.join()

    assert "cannot be queried" in said
    assert time.monotonic() - began < 10


def settled(report: UseReport):
    """What a restore makes of the answer: numbers, or why they are open. 9997 was the last one at the backup."""
    place = Place("ContosoRetail", "interchange", "X12", Range(1, 999_999_999))
    return settle(place, Before(9997, 8, True), Answers.of(place, report, None), margin=100)


def wrong(database: Database, change: tuple[str, str], count: str = "bigint", moment: Column | None = None):
    """What becomes of the answer to the documented query after this change, and what is said of it."""
    fill(database, moment, count)
    sql = database.documented.numbers
    assert change[0] in sql
    report = database.tracking(control_number_query=sql.replace(*change)).control_numbers_since(SINCE)
    found = settled(report)
    return found, f"{report.problem} {getattr(found, 'sentence', '')}"


def test_right_answer_settles_the_numbers(database: Database):
    fill(database)
    report = database.tracking(control_number_query=database.documented.numbers).control_numbers_since(SINCE)
    assert (settled(report).steps, settled(report).latest) == (7, 10004)


def test_greatest_text_is_no_number(database: Database):
    """Of 9998 to 10004 the greatest text is 9999."""
    text = {"sqlite": "TEXT", "postgresql": "text", "mariadb": "char"}[database.way.database]
    found, said = wrong(database, ("MAX(number)", f"MAX(CAST(number AS {text}))"), "text")
    assert isinstance(found, OpenNumbers)
    assert "9999" in said


def test_greatest_text_as_a_number(database: Database):
    """Read as a number afterwards, it looks like one."""
    types = {"sqlite": ("TEXT", "INTEGER"), "postgresql": ("text", "bigint"), "mariadb": ("char", "unsigned")}
    text, whole = types[database.way.database]
    change = ("MAX(number)", f"CAST(MAX(CAST(number AS {text})) AS {whole})")
    found, said = wrong(database, change)
    assert isinstance(found, OpenNumbers)
    assert "9999" in said


def test_latest_that_is_not_the_last_one(database: Database):
    found, _ = wrong(database, ("ORDER BY id DESC", "ORDER BY id"))
    assert isinstance(found, OpenNumbers)


UTC_TYPES = {
    "sqlite": "text with T or a blank, with Z, an offset or neither (UTC)",
    "postgresql": "timestamp, UTC",
    "mariadb": "datetime, UTC",
}


@pytest.mark.parametrize("used_until_noon", [True, False], ids=["until noon", "until night"])
def test_local_time_taken_for_utc(database: Database, used_until_noon):
    """Chicago is behind: what was used within six hours of the backup seems older."""
    declared = {"sqlite": "TEXT", "postgresql": "timestamp", "mariadb": "datetime"}[database.way.database]
    fill(database, Column(declared, MOMENTS["postgresql"]["timestamp, local time"][0].written))
    if not used_until_noon:
        database.run("DELETE FROM sent_numbers WHERE control_number = 10004")
    sql = database.documented.numbers_for(UTC_TYPES[database.way.database])
    found = settled(database.tracking(control_number_query=sql).control_numbers_since(SINCE))
    assert isinstance(found, OpenNumbers) or (used_until_noon and found.latest == 10004 and found.steps == 7)


@ON_SERVERS
def test_a_zone_that_the_server_does_not_know(database: Database):
    """PostgreSQL refuses it. MariaDB says NULL, so that all numbers count as used since."""
    (kind,) = [kind for kind in database.documented.moments if "local time" in kind]
    fill(database, MOMENTS[database.way.database][kind][0])
    sql = database.documented.numbers_for(kind).replace("America/Chicago", "America/Nowhere")
    report = database.tracking(control_number_query=sql).control_numbers_since(SINCE)
    assert "America/Nowhere" in (report.problem or "") or report.uses == report.ever
    assert isinstance(settled(report), OpenNumbers)


def test_blank_compared_with_t(database: Database):
    """As text, each moment of the backup's day with a blank comes before the one with a T."""
    declared = {"sqlite": "TEXT", "postgresql": "varchar(40)", "mariadb": "varchar(40)"}[database.way.database]
    fill(database, Column(declared, MOMENTS["postgresql"]["timestamp, UTC"][0].written))
    expression = next(iter(database.documented.moments.values()))
    sql = database.documented.numbers.replace(f"{expression} AS at_utc", "logged_at AS at_utc")
    sql = re.sub(r"at_utc >= .* OR at_utc < '1971-01-01'", "at_utc >= :since", sql)
    found = settled(database.tracking(control_number_query=sql).control_numbers_since(SINCE))
    assert isinstance(found, OpenNumbers)


def test_times_that_stand_for_none(database: Database):
    """No message is dated before 1971; a row without a time may be."""
    fill(database)
    none = "0000-00-00" if database.way.database == "mariadb" else "0001-01-01"
    change = f"UPDATE sent_numbers SET logged_at = '{none}' WHERE control_number BETWEEN 9998 AND 10004"
    database.run(*(["SET sql_mode = ''"] if database.way.database == "mariadb" else []), change)
    found = settled(database.tracking(control_number_query=database.documented.numbers).control_numbers_since(SINCE))
    assert isinstance(found, OpenNumbers) or (found.steps, found.latest) == (7, 10004)


def test_another_database(database: Database):
    fill(database)
    database.run("DELETE FROM sent_numbers")
    found = settled(database.tracking(control_number_query=database.documented.numbers).control_numbers_since(SINCE))
    assert isinstance(found, OpenNumbers)


def test_numbers_that_were_purged(database: Database):
    """What is older than the backup is gone: more were counted at the backup than now are at all."""
    fill(database)
    database.run("DELETE FROM sent_numbers WHERE id < 9")
    found = settled(database.tracking(control_number_query=database.documented.numbers).control_numbers_since(SINCE))
    assert isinstance(found, OpenNumbers) or found.latest == 10004


def test_numbers_that_are_no_numbers(database: Database):
    """Numbers with a prefix: refused by the database, or not told; never 0."""
    fill(database, count="text")
    database.run(f"UPDATE sent_numbers SET control_number = {PREFIXED[database.way.database]}")
    report = database.tracking(control_number_query=database.documented.numbers).control_numbers_since(SINCE)
    assert report.problem or [use.highest for use in report.uses] == [None] * 3
    found = settled(report)
    assert isinstance(found, OpenNumbers) or found.latest == 10004
