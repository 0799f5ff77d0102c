"""Waits for batches whose database accepts the connection and says nothing: a real listener, PostgreSQL's driver."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from biztalk_services.flows import poll_loop
from biztalk_services.model.requests import PROCEED, REFUSE
from biztalk_services.provider.sensors import DrainSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.emulator.driver import eventually
from tests.provider.connections import NAME, SERVICE, TRACKING
from tests.provider.fakes import EndedInTrigger, Run


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a listener that accepts and says nothing, until the test is over."""
    taken: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept)
    thread.start()
    yield listener.getsockname()[1]
    eventually(lambda: taken)  # on a busy machine later than the look was given up
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    for connection in taken:
        connection.close()


@pytest.fixture(autouse=True)
def unheard(connections, silent: int, connect, monkeypatch) -> None:
    connect(
        TRACKING,
        {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": silent,
            "login": "me",
            "password": "made-up",
            "schema": "db",
        },
    )
    monkeypatch.setattr(poll_loop, "FIRST_POLL_SECONDS", 0.2)
    monkeypatch.setattr(poll_loop, "LEAST_POLL_SECONDS", 0.2)


def drain(**options) -> DrainSensor:
    times = {"deadline_minutes": 5, "error_tolerance_seconds": 0.3}
    return DrainSensor(**{"task_id": "drain", "service": SERVICE} | times | options)


@pytest.mark.parametrize(
    "times",
    [{"error_tolerance_seconds": 0.3}, {"deadline_minutes": 1 / 60, "error_tolerance_seconds": 3600}],
    ids=["tolerance", "deadline"],
)
def test_the_wait_ends_when_its_time_or_tolerance_is_over(times, run):
    began = time.monotonic()
    status = run.execute(drain(unknown_batches_policy=PROCEED, **times))
    assert time.monotonic() - began < 10
    assert (status["answer"], status["source"]) == ("unknown", "no source")
    assert "No answer came for 0 seconds while waiting for the batches" in status["reason"]


def test_a_confirmation_counts():
    status = Run(triggering_user_name="ada").execute(drain(batches_are_empty=True))
    assert (status["answer"], status["source"]) == ("empty", "confirmation of ada for this run")


def test_it_is_refused_otherwise(run):
    with pytest.raises(EndedInTrigger, match=f"It is unknown whether batches of service {SERVICE} hold messages"):
        run.execute(drain(unknown_batches_policy=REFUSE))


def test_a_first_look_at_the_deadline(run):
    with pytest.raises(WaitFailedError, match=r"No answer came for 0 seconds .* Nothing was suspended"):
        run.execute(drain(deadline_minutes=0))


def test_the_look_itself_ends_sooner(run, monkeypatch):
    """Then the connection is named, and the wait looks again."""
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__TRACKING_QUERY_SECONDS", "1")
    monkeypatch.setattr(poll_loop, "LEAST_POLL_SECONDS", 5.0)
    monkeypatch.setattr(poll_loop, "FIRST_POLL_SECONDS", 5.0)
    with pytest.raises(EndedInTrigger, match=f"biztalk_tracking_{NAME} did not answer within 1 s"):
        run.execute(drain())
