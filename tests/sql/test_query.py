"""Queries through Airflow's hooks, as far as no server is needed, and what is refused before one is asked."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pytest
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.drivers.sql.errors import QueryRefusedError, QueryTimeoutError
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.sql import bounded, hooks, query
from biztalk_services.provider.sql.hooks import PROVIDERS

SECRET = "S3cret-of-the-tests"
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
ODBC_DRIVER_ALLOWED = "AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the connection ``tracking``."""

    def connect(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_TRACKING", json.dumps({"password": SECRET} | fields))

    return connect


@pytest.fixture
def database(tmp_path: Path, connect) -> Path:
    path = tmp_path / "tracking.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sent (agreement TEXT, at TEXT)")
        connection.executemany("INSERT INTO sent VALUES (?, ?)", [("A 100%", "2026-11-25T02:00"), ("B", "2026-11-24")])
    connect(conn_type="sqlite", host=str(path), password=None)
    return path


def ask(sql: str = "SELECT 1", seconds: float = 30, **parameters: str) -> tuple[list[str], Any]:
    return AirflowConnections().query("tracking", sql, parameters, seconds)


def refusal(sql: str = "SELECT 1", **parameters: str) -> str:
    with pytest.raises(QueryRefusedError) as caught:
        ask(sql, **parameters)
    assert caught.value.advice == "stop"
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_columns_and_rows(database):
    sql = "SELECT agreement, at AS Used_At FROM sent WHERE at >= :since AND agreement LIKE '%100%' -- 100%"
    assert ask(sql, since="2026-11-25", service="x") == (["agreement", "Used_At"], [("A 100%", "2026-11-25T02:00")])
    assert ask("SELECT at FROM sent WHERE at > '3'") == (["at"], [])


def test_a_rule_of_the_text_comes_before_the_connection(connect):
    connect(conn_type="mssql", host="127.0.0.1")
    assert "several statements" in refusal("SELECT 1; SELECT 2")
    assert "there is :since" in refusal("SELECT :service", since="x")


def test_the_thread_of_a_query_asks_airflow_for_nothing(database, connect, monkeypatch):
    """It may outlive its task, and the supervisor with it."""
    from airflow.sdk.execution_time import task_runner

    asking: list[str] = []

    class Supervisor:
        def send(self, message: object) -> None:
            asking.append(threading.current_thread().name)

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    connect(conn_type="sqlite", host=str(database), password=None, extra={"mode": "ro"})
    assert ask("SELECT 1 AS one") == (["one"], [(1,)])
    assert set(asking) == {threading.current_thread().name}


def test_there_is_no_such_connection():
    with pytest.raises(ConnectionNotFoundError, match="There is no connection tracking"):
        ask()


def test_what_the_driver_raises_is_raised(database):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        ask("SELECT a FROM missing")


def test_a_file_of_sqlite_that_is_not_there_is_not_created(connect, tmp_path):
    connect(conn_type="sqlite", host=str(tmp_path / "typo.db"), password=None)
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        ask()
    assert list(tmp_path.iterdir()) == []
    connect(conn_type="sqlite", host=":memory:", password=None)
    assert ask("SELECT 1 AS one") == (["one"], [(1,)])


def test_nothing_is_committed(database, monkeypatch):
    monkeypatch.setattr(query, "problem_of", lambda sql, offered: None)
    with pytest.raises(QueryRefusedError, match="has no columns in its answer"):
        ask("DELETE FROM sent")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT COUNT(*) FROM sent").fetchone() == (2,)


def test_an_answer_without_end_is_refused(database, monkeypatch):
    monkeypatch.setattr(query, "MOST_ROWS", 1)
    assert "more than 1 rows" in refusal("SELECT agreement FROM sent")
    assert ask("SELECT agreement FROM sent WHERE agreement = 'B'")[1] == [("B",)]


class TestRefusedByName:
    @pytest.mark.parametrize(
        ("conn_type", "package"),
        [("oracle", "apache-airflow-providers-oracle"), ("snowflake", "apache-airflow-providers-snowflake")],
    )
    def test_a_package_that_is_not_installed(self, connect, conn_type, package):
        connect(conn_type=conn_type, host="127.0.0.1")
        sentence = refusal()
        assert f"Connection tracking has the type {conn_type}" in sentence
        assert f"Install the package {package}" in sentence

    @pytest.mark.parametrize("conn_type", ["mssql", "odbc", "mysql", "postgres"])
    def test_the_usual_types_of_connection_have_their_package(self, conn_type):
        package, module = PROVIDERS[conn_type]
        assert module.replace(".", "/") + ".py" in {str(file) for file in distribution(package).files or ()}

    def test_a_driver_that_cannot_be_loaded(self, connect, monkeypatch):
        def load(name: str) -> None:
            raise ImportError("libodbc.so.2: cannot open shared object file", name="pyodbc")

        connect(conn_type="odbc", extra={"dsn": "x"})
        monkeypatch.setattr("airflow.sdk.Connection.get_hook", lambda self: load("airflow.providers.odbc.hooks.odbc"))
        monkeypatch.setattr(hooks.importlib, "import_module", load)
        sentence = refusal()
        assert "libodbc.so.2: cannot open shared object file" in sentence
        assert "Install apache-airflow-providers-odbc" in sentence
        assert "apt-get install unixodbc" in sentence

    def test_a_driver_that_the_hook_misses(self, connect):
        pytest.importorskip("airflow.providers.mysql.hooks.mysql")
        if importlib.util.find_spec("MySQLdb"):
            pytest.skip("mysqlclient is installed")
        connect(conn_type="mysql", host="127.0.0.1", extra={"client": "mysqlclient"})
        sentence = refusal()
        assert "`mysqlclient`" in sentence
        assert '{"client": "mysql-connector-python"}' in sentence

    def test_a_type_that_no_package_serves(self, connect):
        connect(conn_type="generic", host="127.0.0.1")
        assert "has the type generic, for which no installed package has a hook" in refusal()

    def test_a_database_that_goes_by_the_type_of_another(self, connect):
        connect(conn_type="mariadb", host="127.0.0.1")
        assert "mysql for MariaDB" in refusal()

    @pytest.mark.parametrize("extra", ["sslmode=require", "[1]"])
    def test_an_extra_that_airflow_passes_over(self, connect, database, extra):
        connect(conn_type="sqlite", host=str(database), password=None, extra=extra)
        assert "has an extra that is no JSON object" in refusal()

    def test_encryption_that_the_hook_for_mysql_drops(self, connect):
        connect(conn_type="mysql", host="127.0.0.1", extra={"client": "mysql-connector-python", "ssl": {"ca": "x.pem"}})
        assert "Write ssl_ca," in refusal()

    def test_a_type_that_is_no_database(self, connect):
        connect(conn_type="wasb", login="account")
        assert "has the type wasb, which leads to no database" in refusal()

    def test_sql_server_without_a_port(self, connect):
        connect(conn_type="mssql", host="contoso.database.windows.net", login="reader")
        assert "has the type mssql and no port" in refusal()
        assert "1433" in refusal()

    def test_an_odbc_driver_that_airflow_ignores(self, connect, monkeypatch):
        pytest.importorskip("pyodbc", exc_type=ImportError)
        connect(conn_type="odbc", host="127.0.0.1", extra={"Driver": "SQLite3"})
        monkeypatch.setenv(ODBC_DRIVER_ALLOWED, "False")
        assert f"{ODBC_DRIVER_ALLOWED}=True" in refusal()

    def test_an_odbc_connection_without_driver(self, connect):
        pytest.importorskip("pyodbc", exc_type=ImportError)
        connect(conn_type="odbc", host="127.0.0.1")
        assert "names neither a driver nor a data source" in refusal()

    @pytest.mark.parametrize("extra", [{"driver": "No such driver"}, {"dsn": "no-such-source"}], ids=str)
    def test_an_odbc_driver_that_is_not_there(self, connect, monkeypatch, extra):
        pytest.importorskip("pyodbc", exc_type=ImportError)
        monkeypatch.setenv(ODBC_DRIVER_ALLOWED, "True")
        connect(conn_type="odbc", host="127.0.0.1", extra=extra)
        sentence = refusal()
        assert "cannot be loaded" in sentence
        assert "the database's ODBC driver" in sentence

    @pytest.mark.parametrize("mark", ["#", "?"])
    def test_a_path_that_sqlite_cuts(self, connect, tmp_path, mark):
        path = tmp_path / f"tracking{mark}1.db"
        sqlite3.connect(path).close()
        connect(conn_type="sqlite", host=str(path), password=None)
        assert "has a # or ? in the path" in refusal()
        assert list(tmp_path.iterdir()) == [path]

    def test_an_extra_of_sqlite_that_airflow_drops(self, connect, database):
        connect(conn_type="sqlite", host=str(database), password=None, extra={"mode": "ro", "timeout": 5})
        assert "has timeout in its extra, which is no text" in refusal()
        connect(conn_type="sqlite", host=str(database), password=None, extra={"mode": "ro", "timeout": "5"})
        assert ask("SELECT 1 AS one") == (["one"], [(1,)])


class TestOdbcConnectionString:
    """What Airflow's hook makes of a connection, as we give it to it."""

    @pytest.fixture(autouse=True)
    def allowed(self, monkeypatch) -> None:
        pytest.importorskip("pyodbc", exc_type=ImportError)
        monkeypatch.setenv(ODBC_DRIVER_ALLOWED, "True")

    def text(self) -> str:
        connection = AirflowConnections().get("tracking")
        return hooks.hook_for(connection, 59).odbc_connection_string

    @pytest.mark.parametrize(
        ("driver", "server"),
        [
            ("ODBC Driver 18 for SQL Server", "SERVER=contoso.database.windows.net,1433;"),
            ("PostgreSQL Unicode", "SERVER=contoso.database.windows.net;PORT=1433;"),
            ("FreeTDS", "SERVER=contoso.database.windows.net;PORT=1433;"),
        ],
        ids=["microsoft", "postgresql", "freetds"],
    )
    def test_the_port_where_the_driver_reads_it(self, connect, driver, server):
        connect(
            conn_type="odbc", host="contoso.database.windows.net", port=1433, password=None, extra={"Driver": driver}
        )
        assert self.text() == f"DRIVER={{{driver}}};{server}"

    @pytest.mark.parametrize(
        ("password", "written"),
        [
            ("plain=1 }'x", "plain=1 }'x"),
            ("a;b}c", "{a;b}}c}"),
            ("{a", "{{a}"),
            ("{a;b}", "{a;b}"),
            ("a+b%20", "{a+b%20}"),
        ],
        ids=["plain", "semicolon", "brace", "quoted", "url"],
    )
    def test_a_password_that_would_end_too_early(self, connect, password, written):
        connect(conn_type="odbc", password=password, extra={"dsn": "tracking"})
        assert self.text() == f"DSN=tracking;PWD={written};"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [({}, {"timeout": 60}), ({"timeout": 5}, {"timeout": 5}), ({"ansi": True}, {"ansi": True, "timeout": 60})],
        ids=["none", "its own", "others"],
    )
    def test_the_timeout_of_the_login(self, connect, given, kept):
        connect(conn_type="odbc", extra={"dsn": "tracking", "connect_kwargs": given})
        assert hooks.hook_for(AirflowConnections().get("tracking"), 59).connect_kwargs == kept


class TestGivenUp:
    def test_after_its_seconds_the_database_is_told_to_stop(self, database):
        with pytest.raises(QueryTimeoutError, match=r"connection tracking did not answer within 0\.3 s") as caught:
            ask(FOREVER, seconds=0.3)
        assert caught.value.advice == "retry"
        assert not waits_in_the_end("tracking")

    def test_no_more_than_some_wait_at_a_time(self):
        ready = threading.Event()
        waits: list[Callable[[], object]] = [ready.wait] * bounded.MOST_LEFT_BEHIND
        for wait in waits:
            with pytest.raises(QueryTimeoutError, match="did not answer"):
                bounded.within(0.01, "connection busy", wait, lambda: None)
        with pytest.raises(QueryTimeoutError, match="4 earlier queries through connection busy still wait"):
            bounded.within(0.01, "connection busy", lambda: 1, lambda: None)
        assert bounded.within(5, "connection other", lambda: 1, lambda: None) == 1
        ready.set()
        assert not waits_in_the_end("busy")
        assert bounded.within(5, "connection busy", lambda: 1, lambda: None) == 1

    def test_whatever_the_end_of_it_raises(self):
        ready = threading.Event()

        def broken() -> None:
            ready.set()
            raise OSError("no way to the server")

        with pytest.raises(QueryTimeoutError):
            bounded.within(0.01, "connection broken", lambda: ready.wait(5), broken)
        assert not waits_in_the_end("broken")

    def test_an_error_keeps_its_type(self):
        with pytest.raises(ZeroDivisionError):
            bounded.within(5, "connection x", lambda: 1 / 0, lambda: None)


def waits_in_the_end(conn_id: str, seconds: float = 10) -> bool:
    """Whether a query that was given up still waits after this time."""
    deadline = monotonic() + seconds
    while bounded.left_behind(f"connection {conn_id}") and monotonic() < deadline:
        sleep(0.01)
    return bounded.left_behind(f"connection {conn_id}") > 0


class TestDescription:
    def test_of_sqlite(self, database):
        sql = "SELECT agreement FROM sent WHERE at >= :since"
        seen = AirflowConnections().describe("tracking", sql, {"since": "2026-11-25"}, 30)
        assert (seen.columns, seen.types, list(seen.rows)) == (["agreement"], [""], [("A 100%",)])
        assert seen.driver == f"sqlite3 {sqlite3.sqlite_version}"
        assert seen.server == f"SQLite {sqlite3.sqlite_version}"
        assert (seen.time_zone, seen.clock_ahead) == ("", None)
        assert 0 < seen.seconds < 30

    def test_a_rule_that_is_broken(self, database):
        with pytest.raises(QueryRefusedError, match="begins with DELETE"):
            AirflowConnections().describe("tracking", "DELETE FROM sent", {}, 30)


def test_a_dag_file_does_not_pay_for_it():
    """What reads a DAG imports ``provider.connections``, and neither hooks nor sqlparse with it."""
    code = (
        "import sys, biztalk_services.provider.connections; "
        "print([name for name in ('sqlparse', 'airflow.providers.common.sql.hooks.sql') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_nothing_is_closed_while_it_is_cancelled():
    """An ODBC driver crashes where a cursor is closed under its cancellation."""
    happened: list[str] = []
    asked, cancelling, ended, go_on = (threading.Event() for _ in range(4))

    class Cursor:
        def cancel(self) -> None:
            cancelling.set()
            go_on.wait(5)
            happened.append("cancelled")

        def close(self) -> None:
            happened.append("closed")

    opened = query.Opened(lambda: None)

    def ask() -> None:
        with opened.taking(SimpleNamespace(cursor=Cursor)), opened.asking():
            asked.set()
            ended.wait(5)

    asking, cancel = threading.Thread(target=ask), threading.Thread(target=opened.cancel)
    asking.start()
    assert asked.wait(5)
    cancel.start()
    assert cancelling.wait(5)
    ended.set()
    asking.join(0.05)
    assert happened == []
    go_on.set()
    asking.join(5)
    cancel.join(5)
    assert happened == ["cancelled", "closed"]
    opened.cancel()
    assert happened == ["cancelled", "closed"]
