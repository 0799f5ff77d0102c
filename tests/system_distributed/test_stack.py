"""The distributed stack after its start: complete, and closed to others."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg2
import pytest

from stack.ports import HOST
from tests.system.sockets import LOOPBACK, listening
from tests.system.world import DAG_ID

PARTS = [
    "postgres", "redis", "azurite", "emulator", "api-server", "scheduler-1", "scheduler-2", "dag-processor",
    "triggerer-1", "triggerer-2", "worker-1", "worker-2",
]  # fmt: skip


def test_every_part_runs_and_airflow_has_loaded_everything(distributed_stack):
    assert list(distributed_stack.running()) == PARTS
    assert all(distributed_stack.running().values())
    distributed_stack.airflow.wait_for_dag(DAG_ID)
    assert distributed_stack.airflow.get("/importErrors")["import_errors"] == []


def test_both_of_a_kind_are_known_to_airflow(distributed_stack):
    stack = distributed_stack
    assert stack.airflow.alive("SchedulerJob", since=0) == stack.airflow.alive("TriggererJob", since=0) == 2
    assert stack.layout.workers(stack.home, stack.ports) == {"worker-1", "worker-2"}


def test_every_server_listens_on_the_loopback_interface_only(distributed_stack):
    ours = listening(distributed_stack)
    assert len(ours) == 7
    assert {address.split(":")[0] for address in ours} == {LOOPBACK}


@pytest.mark.parametrize("password", [None, "wrong"])
def test_postgres_requires_its_password(distributed_stack, password):
    account = {"user": "airflow", "dbname": "airflow", "password": password}
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=HOST, port=distributed_stack.ports.postgres, **account)


@pytest.mark.parametrize(("request_line", "response"), [("PING", "-NOAUTH"), ("AUTH wrong", "-WRONGPASS")])
def test_redis_requires_its_password(distributed_stack, request_line, response):
    with socket.create_connection((HOST, distributed_stack.ports.redis), timeout=10) as connection:
        connection.sendall(f"{request_line}\r\n".encode())
        assert connection.recv(200).decode().startswith(response)


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_store_does_not_run_as_root(distributed_stack, name):
    assert Path(f"/proc/{distributed_stack.running()[name].pid}").owner() != "root"
