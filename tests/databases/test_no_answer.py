"""A database that takes too long: every look ends after its seconds, and so does its query on the server.

Of servers that say nothing at all: tests/sql/test_silent.py.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest
from biztalk_services.drivers.sql.errors import QueryTimeoutError

from tests.databases.conftest import Database
from tests.databases.ways import WAYS

SECONDS = 0.3
MOST = 3.0
"""Seconds of a look here, on a busy machine; a driver alone takes from 15 s to for ever."""

ON_SERVERS = [way for way in WAYS if way.database != "sqlite"]
ON_FILES = [way for way in WAYS if way.database == "sqlite"]
SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000000) SELECT MAX(i) FROM n",
    "postgresql": "SELECT CAST(pg_sleep(20) AS text) AS x",
    "mariadb": "SELECT SLEEP(20) AS x",
}


def ask(database: Database, sql: str) -> float:
    """Seconds until it is given up."""
    began = time.monotonic()
    with pytest.raises(QueryTimeoutError, match=r"biztalk_tracking_contosoorders did not answer within 0\.3 s"):
        database.query(sql, SECONDS)
    return time.monotonic() - began


def test_a_query_that_takes_too_long(database: Database):
    assert ask(database, SLOW[database.way.database]) < MOST


@pytest.mark.parametrize("way", ON_SERVERS, indirect=True, ids=lambda way: way.name)
def test_a_query_that_was_given_up_ends_on_the_server(database: Database):
    ask(database, SLOW[database.way.database])

    deadline = time.monotonic() + 10
    while running(database) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(database) == 0


@pytest.mark.parametrize(
    "way", [way for way in WAYS if way.database == "sqlite"], indirect=True, ids=lambda way: way.name
)
def test_a_locked_file(database: Database):
    database.run("CREATE TABLE t (a)")
    with contextlib.closing(sqlite3.connect(database.place, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert ask(database, "SELECT a FROM t") < MOST


def running(database: Database) -> int:
    """How many queries the server works at that sleep."""
    queries = {
        "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT CAST(pg%'",
        "mariadb": "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(%'",
    }
    ((count,),) = database.run(queries[database.way.database])
    return count
