"""A server that accepts and says nothing, with each driver: the look ends, the thread too where the driver can."""

from __future__ import annotations

import importlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import pytest
from biztalk_services.drivers.sql.errors import QueryTimeoutError
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.sql.bounded import left_behind

HOST = "127.0.0.1"
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "psycopg3": ("postgres", {}),
    "psycopg2": ("postgres", {}),
    "mysql-connector": ("mysql", {}),
    "pymssql": ("mssql", {}),
    "psqlodbc": ("odbc", {"driver": "PostgreSQL Unicode"}),
    "mariadb-odbc": ("odbc", {"driver": "MariaDB Unicode"}),
    "freetds-odbc": ("odbc", {"driver": "FreeTDS", "TDS_Version": "7.4"}),
}
ENDS_BY_ITSELF = ["psycopg3", "psycopg2", "psqlodbc", "freetds-odbc"]
"""Of pymssql after twice its time and 5 s; MySQL's drivers get no timeout through Airflow's hook."""


@pytest.fixture
def silence() -> Iterator[int]:
    """The port of a server that accepts everybody and says nothing."""
    listener, accepted = socket.create_server((HOST, 0)), []

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    for each in (listener, *accepted):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def by(monkeypatch: pytest.MonkeyPatch, silence: int):
    """Makes a connection lead there by one of the ways."""

    def by(name: str, conn_id: str = "tracking") -> None:
        conn_type, extra = WAYS[name]
        if conn_type == "odbc":
            pyodbc = pytest.importorskip("pyodbc", exc_type=ImportError)
            if extra["driver"] not in pyodbc.drivers():
                _missing(f"The ODBC driver {extra['driver']} is not installed.")
        if conn_type == "postgres":
            hook = importlib.import_module("airflow.providers.postgres.hooks.postgres")
            monkeypatch.setattr(hook, "USE_PSYCOPG3", name == "psycopg3")
        fields = {"host": HOST, "port": silence, "login": "reader", "password": "S3cret", "schema": "tracking"}
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": conn_type, "extra": extra} | fields)
        )
        monkeypatch.setenv("AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA", "True")

    return by


@pytest.mark.parametrize("way", WAYS)
def test_a_look_ends_after_its_seconds(way, by):
    by(way)
    began = monotonic()
    with pytest.raises(QueryTimeoutError, match=r"connection tracking did not answer within 0\.3 s"):
        AirflowConnections().query("tracking", "SELECT 1", {}, 0.3)
    assert monotonic() - began < 10


def test_the_threads_that_are_left_end_with_the_drivers_timeouts(by):
    for way in ENDS_BY_ITSELF:
        conn_id = way.replace("-", "_")
        by(way, conn_id)
        with pytest.raises(QueryTimeoutError):
            AirflowConnections().query(conn_id, "SELECT 1", {}, 0.2)
    waiting, deadline = [f"connection {way.replace('-', '_')}" for way in ENDS_BY_ITSELF], monotonic() + 20
    while any(map(left_behind, waiting)) and monotonic() < deadline:
        sleep(0.05)
    assert [subject for subject in waiting if left_behind(subject)] == []


def _missing(sentence: str) -> None:
    if os.environ.get("EVERY_DATABASE"):
        pytest.fail(sentence)
    pytest.skip(sentence)
