"""Connections that Airflow keeps: one that is missing is told from one that cannot be asked for."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse, GetConnection
from biztalk_services.provider.connections import AirflowConnectionError, AirflowConnections

MISSING = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
AWAY = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": None})


class Supervisor:
    """
    :param answer: what it says of a connection; an error is raised, as the supervisor of a step does, or returned.
    """

    def __init__(self, answer: Any, raises: bool = False) -> None:
        self.answer = answer
        self.raises = raises

    def send(self, msg: GetConnection) -> Any:
        assert msg.conn_id == "stored"
        if self.raises:
            raise AirflowRuntimeError(self.answer)
        return self.answer


@pytest.fixture(autouse=True)
def not_found(monkeypatch):
    """As Airflow's hook answers in both cases."""

    def get_connection(conn_id: str) -> Any:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(BaseHook, "get_connection", get_connection)


def supervised(monkeypatch, *args: Any) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(*args), raising=False)


@pytest.mark.parametrize("raises", [True, False])
def test_one_that_is_missing(monkeypatch, raises):
    supervised(monkeypatch, MISSING, raises)
    assert AirflowConnections().get("stored") is None


@pytest.mark.parametrize("raises", [True, False])
def test_one_that_cannot_be_asked_for_is_tried_again(monkeypatch, raises):
    """The service may be suspended meanwhile: what gives up at a missing connection would leave it so."""
    supervised(monkeypatch, AWAY, raises)
    with pytest.raises(AirflowConnectionError, match="stored cannot be read now") as told:
        AirflowConnections().get("stored")
    assert told.value.advice == "retry"


def test_one_that_is_there_after_all_is_tried_again(monkeypatch):
    others = dict.fromkeys(("host", "schema", "login", "port", "extra"))
    supervised(monkeypatch, ConnectionResult(conn_id="stored", conn_type="http", password="canary", **others))
    with pytest.raises(AirflowConnectionError, match="could not be read a moment ago") as told:
        AirflowConnections().get("stored")
    assert "canary" not in str(told.value)


def test_at_a_shell_nobody_is_asked(monkeypatch):
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    assert AirflowConnections().get("stored") is None
