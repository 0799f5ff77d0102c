"""Servers for the tests of this room, and the way to them that a test is about."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.tracking.database import TrackingDatabase
from biztalk_services.provider.connections import AirflowConnections

from tests.databases.documented import Documented, documented
from tests.databases.servers import MariaDB, MissingServerError, PostgreSQL, mariadb, postgresql
from tests.databases.tables import SERVICE
from tests.databases.ways import CONN_ID, PSYCOPG2, WAYS, Way

REQUIRED = "EVERY_DATABASE"
"""Environment variable: where it is set, what is missing fails instead of being skipped."""


def _missing(what: object) -> NoReturn:
    if os.environ.get(REQUIRED):
        pytest.fail(str(what))
    pytest.skip(str(what))


def _started(server: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(server())
        except MissingServerError as missing:
            _missing(missing)
        yield running


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    yield from _started(postgresql)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    yield from _started(mariadb)


class Database:
    """A database by one of the ways to it.

    :param place: where connections find it: a port, or the path of SQLite's file.
    :param run: runs statements, and answers the rows of the last one.
    """

    def __init__(
        self, way: Way, place: Any, run: Callable[..., list[tuple]], server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.way, self.place, self.run, self.server, self._monkeypatch = way, place, run, server, monkeypatch

    @property
    def documented(self) -> Documented:
        return documented(self.way.database)

    def connect(self, **changes: Any) -> None:
        """Make it the tracking database, with these fields of the connection changed."""
        place = changes.pop("place", self.place)
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", self.way.connection(place, **changes))

    def query(self, sql: str, seconds: float = 20, **parameters: str) -> tuple[list[str], list[tuple]]:
        columns, rows = AirflowConnections().query(CONN_ID, sql, parameters, seconds)
        return columns, [tuple(row) for row in rows]

    def tracking(self, drain_query: str = "", control_number_query: str = "", seconds: int = 20) -> TrackingDatabase:
        options = BizTalkOptions(
            drain_query=drain_query, control_number_query=control_number_query, tracking_query_seconds=seconds
        )
        return TrackingDatabase(AirflowConnections(), CONN_ID, SERVICE, options)


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    way: Way = request.param
    if way.odbc:
        _require_odbc(*way.odbc)
        monkeypatch.setenv("AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA", "True")
    if way is PSYCOPG2:
        monkeypatch.setattr("airflow.providers.postgres.hooks.postgres.USE_PSYCOPG3", False)
    return way


@pytest.fixture
def database(
    way: Way, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A database, connected; the tables in it are the test's."""
    if way.database == "sqlite":
        path = tmp_path / "tracking.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:

            def run(*statements: str) -> list[tuple]:
                return [connection.execute(statement).fetchall() for statement in statements][-1]

            found = Database(way, path, run, None, monkeypatch)
            found.connect()
            yield found
        return
    server = request.getfixturevalue(f"{way.database}_server")
    found = Database(way, server.port, server.run, server, monkeypatch)
    found.connect()
    yield found


def _require_odbc(driver: str, package: str) -> None:
    try:
        import pyodbc
    except ImportError as error:
        _missing(f"pyodbc cannot be loaded ({error}); on Debian and Ubuntu: apt-get install unixodbc.")
    if driver not in pyodbc.drivers():
        _missing(f"The ODBC driver {driver} is not installed (on Debian and Ubuntu: apt-get install {package}).")
