"""How long a request to the emulator waits."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from stack import emulator_api
from stack.emulator_api import EmulatorApi
from stack.ports import HOST


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a program that accepts connections and never responds."""
    with socket.create_server((HOST, 0)) as server:
        yield f"http://{HOST}:{server.getsockname()[1]}"


def test_a_look_whether_it_responds_is_shorter_than_a_request(silent, monkeypatch):
    monkeypatch.setattr(emulator_api, "HEALTH_SECONDS", 0.1)
    began = time.monotonic()
    assert not EmulatorApi(silent).healthy()
    assert time.monotonic() - began < emulator_api.RESPONSE_SECONDS / 2


def test_one_that_does_not_run_is_not_healthy():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    assert not EmulatorApi(f"http://{HOST}:{port}").healthy()
