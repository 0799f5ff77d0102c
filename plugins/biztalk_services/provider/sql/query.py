"""One query through any SQL hook of Airflow. It only reads: nothing is committed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from threading import Lock
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
from airflow.sdk import Connection

from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.drivers.sql.statement import problem_of, translate
from biztalk_services.provider.sql.bounded import within
from biztalk_services.provider.sql.driver import driver_of
from biztalk_services.provider.sql.hooks import hook_for, no_library

MOST_ROWS = 100_000
_DATETIMEOFFSET = -155

T = TypeVar("T")


def query(
    connection: Connection, sql: str, parameters: Mapping[str, str], seconds: float
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows; see :class:`biztalk_services.drivers.registry.Connections`."""
    if problem := problem_of(sql, offered=parameters):
        raise QueryRefusedError(problem)
    return asked(connection, seconds, lambda opened: rows_of(opened, sql, parameters))


def asked(connection: Connection, seconds: float, ask: Callable[[Opened], T]) -> T:
    """What is learned from a database within these seconds, connecting included."""
    hook = hook_for(connection, seconds)
    opened = Opened(hook.get_conn)

    def work() -> T:
        try:
            conn = hook.get_conn()
        except Exception as error:
            if _lacks_library(error):
                raise QueryRefusedError(no_library(connection, error)) from None
            raise
        with _closed_at_the_end(conn), opened.taking(conn):
            if type(conn).__module__ == "pyodbc":
                conn.add_output_converter(_DATETIMEOFFSET, _datetimeoffset)
            return ask(opened)

    return within(seconds, f"connection {connection.conn_id}", work, opened.cancel)


class Opened:
    """An open connection to a database.

    :param connect: opens another one.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._session: int | None = None
        self._closing = Lock()
        self.conn: Any = None
        self._cursor: Any = None
        self.description: Sequence[Any] = ()

    @contextmanager
    def taking(self, conn: Any) -> Iterator[None]:
        """The connection is there meanwhile; in the thread that works with it, for mysqlclient tells no other thread
        its session."""
        self.conn = conn
        session = getattr(conn, "connection_id", None) or getattr(conn, "thread_id", lambda: None)()
        self._session = session if isinstance(session, int) else None
        try:
            yield
        finally:
            with self._closing:
                self.conn = self._session = None

    @contextmanager
    def asking(self) -> Iterator[Any]:
        """A cursor of the connection."""
        with _closed_at_the_end(self.conn.cursor()) as cursor:
            self._cursor = cursor
            try:
                yield cursor
            finally:
                with self._closing:
                    self._cursor = None

    def cancel(self) -> None:
        """Ask the server to give up what it works at, as far as the driver can do so from another thread. Nothing is
        closed meanwhile: ODBC drivers do not check whether what they cancel is still there."""
        with self._closing:
            self._cancel()

    def _cancel(self) -> None:
        # Of psycopg 3, of sqlite3, of psycopg2 and others, of pyodbc.
        ways = (self.conn, "cancel_safe"), (self.conn, "interrupt"), (self.conn, "cancel"), (self._cursor, "cancel")
        for owner, name in ways:
            if callable(cancel := getattr(owner, name, None)):
                cancel()
                return
        if self._session is not None:  # both of MySQL's drivers
            with closing(self._connect()) as other, closing(other.cursor()) as cursor:
                cursor.execute(f"KILL QUERY {self._session}")


def rows_of(opened: Opened, sql: str, parameters: Mapping[str, str]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """:raises QueryRefusedError: the answer is too long, or has no columns."""
    driver = driver_of(opened.conn)
    text, values = translate(sql, parameters, driver.paramstyle, driver.doubles_percent)
    with opened.asking() as cursor:
        cursor.execute(text, *([] if values is None else [values]))
        if cursor.description is None:
            raise QueryRefusedError("The query has no columns in its answer. It has to be one SELECT.")
        opened.description = list(cursor.description)
        rows: Sequence[Any] = cursor.fetchmany(MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            raise QueryRefusedError(
                f"The query has more than {MOST_ROWS:,} rows in its answer. It has to say less: a row for each "
                "agreement or batch."
            )
        return [column[0] for column in opened.description], [tuple(row) for row in rows]


@contextmanager
def _closed_at_the_end(resource: T) -> Iterator[T]:
    """Whatever closing raises: MySQL's connector refuses to where rows are left unread, which would hide the reason."""
    try:
        yield resource
    finally:
        with suppress(Exception):
            resource.close()  # type: ignore[attr-defined]


def _datetimeoffset(value: bytes) -> datetime:
    """SQL Server's datetimeoffset, which pyodbc does not read by itself: ``SQL_SS_TIMESTAMPOFFSET_STRUCT``."""
    year, month, day, hour, minute, second, nanoseconds, hours, minutes = struct.unpack("<6hI2h", value)
    zone = timezone(timedelta(hours=hours, minutes=minutes))
    return datetime(year, month, day, hour, minute, second, nanoseconds // 1000, zone)


def _lacks_library(error: Exception) -> bool:
    """Whether a driver is not there; of ODBC that of the database, or the data source (IM002, IM003, 01000)."""
    if type(error).__module__ == "pyodbc":
        return bool(error.args) and (error.args[0] in ("IM002", "IM003") or "Can't open lib" in str(error))
    return any(
        isinstance(each, (ImportError, AirflowOptionalProviderFeatureException))
        for each in (error, error.__cause__, error.__context__)
    )
