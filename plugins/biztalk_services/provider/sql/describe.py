"""What is to be known about a database before its answers are believed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from airflow.sdk import Connection

from biztalk_services.drivers.sql.description import QueryDescription
from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.drivers.sql.statement import problem_of
from biztalk_services.provider.sql.driver import Driver, driver_of
from biztalk_services.provider.sql.query import Opened, asked, rows_of


@dataclass(frozen=True)
class Product:
    """How a product is asked about itself; of several queries the first that is answered counts.

    :param name: part of how ODBC names it, in lower case.
    :param servers: give product and version.
    :param zones: give the time zone of the session.
    :param clocks: give the server's time in UTC, without zone.
    """

    name: str
    servers: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()


POSTGRES = Product(
    "postgresql",
    servers=("SELECT 'PostgreSQL ' || current_setting('server_version')",),
    zones=("SELECT current_setting('TimeZone')",),
    clocks=("SELECT CAST(clock_timestamp() AT TIME ZONE 'UTC' AS text)",),
)
MYSQL = Product(
    "mysql",
    servers=("SELECT CONCAT(IF(VERSION() LIKE '%MariaDB%', 'MariaDB ', 'MySQL '), VERSION())",),
    zones=("SELECT CASE @@session.time_zone WHEN 'SYSTEM' THEN @@system_time_zone ELSE @@session.time_zone END",),
    clocks=("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)",),
)
SQL_SERVER = Product(
    "sql server",
    servers=(
        "SELECT 'SQL Server ' + CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(60))"
        " + N', ' + CAST(SERVERPROPERTY('Edition') AS nvarchar(60))",
        "SELECT @@VERSION",
    ),
    zones=("SELECT CURRENT_TIMEZONE()", "SELECT DATENAME(tzoffset, SYSDATETIMEOFFSET())"),
    clocks=("SELECT CONVERT(varchar(30), SYSUTCDATETIME(), 126)",),
)
SQLITE = Product("sqlite")
OF_TYPE = {"postgres": POSTGRES, "mysql": MYSQL, "mssql": SQL_SERVER, "sqlite": SQLITE}


def describe(connection: Connection, sql: str, parameters: Mapping[str, str], seconds: float) -> QueryDescription:
    """See :class:`biztalk_services.drivers.registry.Connections`."""
    if problem := problem_of(sql, offered=parameters):
        raise QueryRefusedError(problem)

    def ask(opened: Opened) -> QueryDescription:
        driver, began = driver_of(opened.conn), monotonic()
        columns, rows = rows_of(opened, sql, parameters)
        took = monotonic() - began
        types = [_type_of(column, driver) for column in opened.description]
        product = OF_TYPE.get(connection.conn_type or "") or _odbc_product(opened.conn)
        return QueryDescription(
            columns=columns,
            types=types,
            rows=rows,
            seconds=took,
            driver=f"{driver}{_odbc_driver(opened.conn)}",
            server=_server(opened, product, driver),
            time_zone=_first(opened.conn, product.zones),
            clock_ahead=_clock_ahead(opened.conn, product),
        )

    return asked(connection, seconds, ask)


def _first(conn: Any, queries: tuple[str, ...]) -> str:
    """What the first query says that is answered, empty where none is."""
    for query in queries:
        try:
            with closing(conn.cursor()) as cursor:
                cursor.execute(query)
                return " ".join(str(cursor.fetchone()[0]).split())
        except Exception:
            # A transaction in which a query failed answers no other.
            with suppress(Exception):
                conn.rollback()
    return ""


def _server(opened: Opened, product: Product, driver: Driver) -> str:
    if driver.name == "sqlite3":
        return f"SQLite {driver.version}"
    return _first(opened.conn, product.servers) or " ".join(_odbc_said(opened.conn, "SQL_DBMS_NAME", "SQL_DBMS_VER"))


def _clock_ahead(conn: Any, product: Product) -> float | None:
    before = datetime.now(UTC)
    said = _first(conn, product.clocks)
    middle = before + (datetime.now(UTC) - before) / 2
    try:
        return (datetime.fromisoformat(said[:26]).replace(tzinfo=UTC) - middle).total_seconds()
    except ValueError:
        return None


def _odbc_product(conn: Any) -> Product:
    name = " ".join(_odbc_said(conn, "SQL_DBMS_NAME")).lower().replace("mariadb", "mysql")
    return next((each for each in OF_TYPE.values() if each.name in name), Product(name))


def _odbc_driver(conn: Any) -> str:
    said = " ".join(_odbc_said(conn, "SQL_DRIVER_NAME", "SQL_DRIVER_VER"))
    return f" with {said}" if said else ""


def _odbc_said(conn: Any, *names: str) -> list[str]:
    """What an ODBC driver says about itself; nothing where there is none."""
    if type(conn).__module__ != "pyodbc":
        return []
    return [str(conn.getinfo(getattr(sys.modules["pyodbc"], name))) for name in names]


def _type_of(column: Sequence[Any], driver: Driver) -> str:
    """What is said of a column's type in a cursor's description; empty where nothing is."""
    code = column[1]
    if isinstance(code, type):
        return code.__name__
    if driver.name == "psycopg":
        return str(getattr(column, "type_display", ""))
    module = sys.modules[driver.name]
    if driver.name == "psycopg2":
        return str(getattr(module.extensions.string_types.get(code), "name", "")).lower()
    if driver.name == "mysql.connector":
        return str(module.FieldType.get_info(code)).lower()
    return ""
