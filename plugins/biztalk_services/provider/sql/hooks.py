"""The hook for a connection to a database, and what is refused before the database is asked."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.configuration import conf

from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.model.redaction import redact

PROVIDERS = {
    "mssql": ("apache-airflow-providers-microsoft-mssql", "airflow.providers.microsoft.mssql.hooks.mssql"),
    "mysql": ("apache-airflow-providers-mysql", "airflow.providers.mysql.hooks.mysql"),
    "odbc": ("apache-airflow-providers-odbc", "airflow.providers.odbc.hooks.odbc"),
    "oracle": ("apache-airflow-providers-oracle", "airflow.providers.oracle.hooks.oracle"),
    "postgres": ("apache-airflow-providers-postgres", "airflow.providers.postgres.hooks.postgres"),
    "snowflake": ("apache-airflow-providers-snowflake", "airflow.providers.snowflake.hooks.snowflake"),
    "sqlite": ("apache-airflow-providers-sqlite", "airflow.providers.sqlite.hooks.sqlite"),
}
"""Type of connection -> the package that serves it, and the module of its hook."""


class AskedConnection(Connection):
    """A connection as a thread can use it that outlives its task: Airflow's tells the supervisor of each look at it."""

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return dict(json.loads(self.extra or "{}"))


def hook_for(connection: Connection, seconds: float) -> Any:
    """The hook that asks through a connection, and through nothing else of Airflow.

    :param seconds: that a query has; where the driver has timeouts and the connection sets none, they are a little
        longer, so that a thread that was left behind ends.
    :raises QueryRefusedError: the connection, or what is installed for it, does not do.
    """
    _check_extra(connection)
    asked = AskedConnection(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type,
        host=connection.host,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        port=connection.port,
        extra=json.dumps(connection.extra_dejson),
    )
    hook = _hook(asked)
    lookup = hook.get_connection
    hook.get_connection = lambda conn_id: asked if conn_id == asked.conn_id else lookup(conn_id)
    if prepare := _PREPARE.get(asked.conn_type or ""):
        extra = asked.extra_dejson
        prepare(asked, extra, hook, math.ceil(seconds) + 1)
        asked.extra = json.dumps(extra)
    return hook


def _check_extra(connection: Connection) -> None:
    """Airflow goes on without an extra that it cannot read, and so without the encryption that it may ask for."""
    try:
        readable = isinstance(json.loads(connection.extra or "{}"), dict)
    except ValueError:
        readable = False
    if not readable:
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has an extra that is no JSON object, which Airflow passes over. Write it "
            'as {"name": "value"}.'
        )


def _hook(connection: Connection) -> Any:
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as error:  # AttributeError for the type generic
        raise QueryRefusedError(_missing(connection, error)) from None
    if not callable(getattr(hook, "get_conn", None)) or not hasattr(hook, "get_records"):
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has the type {connection.conn_type}, which leads to no database that is "
            f"asked in SQL. Give it the type of the database: {', '.join(PROVIDERS)}, ..."
        )
    return hook


def _missing(connection: Connection, error: Exception) -> str:
    """What is not there that a type of connection needs."""
    named = f"Connection {connection.conn_id} has the type {connection.conn_type}"
    if connection.conn_type not in PROVIDERS:
        return (
            f"{named}, for which no installed package has a hook. Give it the type of its database "
            f"({', '.join(PROVIDERS)}, ...; mysql for MariaDB, mssql for Azure SQL), or install Airflow's provider "
            "package for this one."
        )
    package, module = PROVIDERS[connection.conn_type]
    try:
        importlib.import_module(module)
    except ImportError as reason:
        if (reason.name or "").startswith("airflow.providers."):
            return f"{named}, and its hook is not installed. Install the package {package} where Airflow runs."
        return no_library(connection, reason)
    return f"{named}, and its hook cannot be had: {redact(str(error), limit=200)}"


def no_library(connection: Connection, error: Exception) -> str:
    """What to do about a driver that cannot be loaded."""
    package, _ = PROVIDERS.get(connection.conn_type or "", ("Airflow's provider package for it", ""))
    also = {
        "mysql": ', or set {"client": "mysql-connector-python"} in the extra, which needs no compiler',
        "odbc": ", and of the system the driver manager (`apt-get install unixodbc`) and the database's ODBC driver",
    }
    return (
        f"Connection {connection.conn_id} has the type {connection.conn_type}, and the driver behind its hook cannot "
        f"be loaded: {redact(str(error), limit=200).rstrip('.')}. Install {package} with all that it brings"
        f"{also.get(connection.conn_type or '', '')}."
    )


def _prepare_mssql(connection: Connection, extra: dict[str, Any], hook: Any, seconds: int) -> None:
    if not connection.port:
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has the type mssql and no port, with which Airflow's hook reaches no "
            "server. Set its port, 1433 where the server has no other."
        )
    extra.pop("as_dict", None)
    extra.setdefault("login_timeout", seconds)
    extra.setdefault("timeout", seconds)


def _prepare_mysql(connection: Connection, extra: dict[str, Any], hook: Any, seconds: int) -> None:
    extra.pop("cursor", None)
    if "client" not in extra and find_spec("MySQLdb") is None and find_spec("mysql") is not None:
        extra["client"] = "mysql-connector-python"
    if extra.get("client") == "mysql-connector-python" and extra.get("ssl"):
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has ssl in its extra, which Airflow's hook hands to mysqlclient only, so "
            "that nothing would be encrypted for it. Write ssl_ca, ssl_cert, ssl_key, ssl_verify_cert instead."
        )


def _prepare_odbc(connection: Connection, extra: dict[str, Any], hook: Any, seconds: int) -> None:
    named = {name.lower(): value for name, value in extra.items()}
    if named.get("driver") and not conf.getboolean("providers.odbc", "allow_driver_in_extra", fallback=False):
        raise QueryRefusedError(
            f"Connection {connection.conn_id} names its ODBC driver in the extra, which Airflow ignores unless it is "
            "told otherwise. Set AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA=True for all parts of Airflow."
        )
    if not (named.get("driver") or named.get("dsn") or hook.default_driver):
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has the type odbc and names neither a driver nor a data source. Add to "
            'its extra {"driver": "ODBC Driver 18 for SQL Server"} or {"dsn": "..."}.'
        )
    if "sql server" in str(named.get("driver") or hook.default_driver).lower() and connection.host and connection.port:
        # Microsoft's drivers ignore the PORT that Airflow's hook writes.
        connection.host, connection.port = f"{connection.host},{connection.port}", None
    connection.login, connection.password = map(_in_braces, (connection.login, connection.password))
    arguments = named.get("connect_kwargs")
    if arguments is None:
        extra["connect_kwargs"] = {"timeout": seconds}
    elif isinstance(arguments, dict):
        arguments.setdefault("timeout", seconds)


def _in_braces(value: str | None) -> str | None:
    """A value for an ODBC connection string, which Airflow's hook does not quote; its user may have.

    PostgreSQL's driver decodes ``+`` and ``%`` outside of braces. FreeTDS does not know ``}}`` in braces, so that they
    are left out where nothing needs them.
    """
    if not value or (value.startswith("{") and value.endswith("}")):
        return value
    needs_them = value.startswith("{") or any(sign in value for sign in ";+%")
    return "{" + value.replace("}", "}}") + "}" if needs_them else value


def _prepare_postgres(connection: Connection, extra: dict[str, Any], hook: Any, seconds: int) -> None:
    extra.pop("cursor", None)
    extra.setdefault("connect_timeout", seconds)


def _prepare_sqlite(connection: Connection, extra: dict[str, Any], hook: Any, seconds: int) -> None:
    if untold := [name for name, value in extra.items() if not isinstance(value, str)]:
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has {untold[0]} in its extra, which is no text: Airflow's hook for "
            "SQLite then drops all that the extra says. Write its value in quotation marks."
        )
    if "?" in (connection.host or "") or "#" in (connection.host or ""):
        raise QueryRefusedError(
            f"Connection {connection.conn_id} has a # or ? in the path of its SQLite file, where SQLite ends the path. "
            "Rename the file."
        )
    if ":memory:" not in (connection.host or ""):
        extra.setdefault("mode", "rw")  # else a file that is not there is created


_PREPARE: dict[str, Callable[[Connection, dict[str, Any], Any, int], None]] = {
    "mssql": _prepare_mssql,
    "mysql": _prepare_mysql,
    "odbc": _prepare_odbc,
    "postgres": _prepare_postgres,
    "sqlite": _prepare_sqlite,
}
