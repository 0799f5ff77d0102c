"""Settings: known to this Airflow, on the loopback interface, secrets kept to this user."""

from __future__ import annotations

import json
import stat

import pytest

from stack import Ports, Stack
from stack.layouts import LAYOUTS
from stack.settings import (
    STORAGE_KEY,
    airflow_settings,
    base_environment,
    connection_environment,
    generated_secrets,
    management_connection,
    storage_connection,
    store_passwords,
    tracking_connection,
)
from tests.stack.airflow_options import unknown_options


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_airflow_knows_every_setting(tmp_path, layout):
    assert unknown_options(Stack(tmp_path, Ports(), layout=layout).core_settings()) == set()


def test_airflow_listens_on_this_machine_only(tmp_path):
    settings = airflow_settings(tmp_path, Ports(airflow=1234), tmp_path, tmp_path)
    assert settings["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"


@pytest.mark.parametrize(("make", "number"), [(generated_secrets, 3), (store_passwords, 2)])
def test_secrets_are_made_once_and_readable_by_this_user_alone(tmp_path, make, number):
    path = tmp_path / "new" / "secrets.json"
    first = make(path)
    assert make(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make(tmp_path / "other.json") != first
    assert len(set(first.values())) == len(first) == number


def test_the_environment_has_no_python_or_airflow_variables(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    environment = base_environment()
    assert not [name for name in environment if name.startswith(("PYTHON", "AIRFLOW"))]
    assert set(environment["NO_PROXY"].split(",")) == {"127.0.0.1", "localhost", "intranet.example"}
    assert environment["no_proxy"] == environment["NO_PROXY"]


@pytest.fixture
def connect(monkeypatch):
    """Have Airflow read a connection as its tasks do."""
    from airflow.sdk import BaseHook

    def _connect(name, fields):
        for variable, value in connection_environment({name: fields}).items():
            monkeypatch.setenv(variable, value)
        return BaseHook.get_connection(name)

    return _connect


def test_airflow_reads_the_management_connection(connect, tmp_path):
    connection = connect("biztalk_default", management_connection(Ports(emulator=4711), tmp_path, "an-id"))
    assert (connection.conn_type, connection.host, connection.port) == ("biztalk_services", "127.0.0.1", 4711)
    assert connection.login == "an-id"
    assert connection.extra_dejson["ca_bundle"] == str(tmp_path / "ca.pem")


def test_airflow_reads_the_storage_connection(connect):
    connection = connect("biztalk_backup_storage", storage_connection(Ports(azurite=4711)))
    assert connection.host == "http://127.0.0.1:4711/devstoreaccount1"
    assert connection.password == STORAGE_KEY
    assert connection.extra_dejson["api_version"] == "2026-06-06"


def test_a_tracking_connection_reads_and_cannot_write(connect, tmp_path):
    import sqlite3

    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    database = tmp_path / "contosoTracking.db"
    with sqlite3.connect(database) as made:
        made.execute("CREATE TABLE batches (name TEXT)")
        made.execute("INSERT INTO batches VALUES ('orders')")
    connect("biztalk_tracking_contoso", tracking_connection(database))
    hook = SqliteHook("biztalk_tracking_contoso")
    assert hook.get_records("SELECT name FROM batches") == [("orders",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        hook.run("DELETE FROM batches")


def test_connections_are_json_under_airflows_names():
    assert json.loads(connection_environment({"a_b": {"host": "x"}})["AIRFLOW_CONN_A_B"]) == {"host": "x"}
