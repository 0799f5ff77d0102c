"""The ways to a database: a hook of Airflow and the driver behind it, as a connection says it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from typing import Any

from tests.databases.servers import DATABASE, HOST, PASSWORD, USER

CONN_ID = f"biztalk_tracking_{'contosoorders'}"


@dataclass(frozen=True)
class Way:
    """
    :param database: one of `documented.CHAPTERS`.
    :param module: of the driver.
    :param odbc: the ODBC driver's name, with what installs it on Debian.
    """

    name: str
    database: str
    conn_type: str
    module: str
    extra: dict[str, Any] = field(default_factory=dict)
    odbc: tuple[str, str] | None = None

    def connection(self, place: Any, **changes: Any) -> str:
        """Airflow's connection, as JSON.

        :param place: the port of the server, or the path of SQLite's file.
        """
        extra = dict(self.extra)
        if self.odbc:
            extra["driver"] = self.odbc[0]
        if self.database != "sqlite":
            account = {"login": USER, "password": PASSWORD, "schema": DATABASE}
            fields = {"host": HOST, "port": place, **account}
        elif self.odbc:
            fields, extra = {}, extra | {"Database": str(place)}
        else:
            fields = {"host": str(place)}
        return json.dumps({"conn_type": self.conn_type, **fields, "extra": extra} | changes)


PSYCOPG2 = Way("psycopg2", "postgresql", "postgres", "psycopg2")
"""The hook takes it where psycopg 3 is not installed."""

WAYS = [
    Way("sqlite", "sqlite", "sqlite", "sqlite3"),
    Way("sqlite-odbc", "sqlite", "odbc", "pyodbc", odbc=("SQLite3", "libsqliteodbc")),
    Way("psycopg3", "postgresql", "postgres", "psycopg"),
    PSYCOPG2,
    Way("psqlodbc", "postgresql", "odbc", "pyodbc", odbc=("PostgreSQL Unicode", "odbc-postgresql")),
    Way("mysql-connector", "mariadb", "mysql", "mysql.connector", {"client": "mysql-connector-python"}),
    Way("mariadb-odbc", "mariadb", "odbc", "pyodbc", odbc=("MariaDB Unicode", "odbc-mariadb")),
]
if importlib.util.find_spec("MySQLdb"):
    # Not among the locked packages: it has to be compiled.
    WAYS.append(Way("mysqlclient", "mariadb", "mysql", "MySQLdb", {"client": "mysqlclient"}))
