"""No request makes the emulator fail: it responds to every one, and keeps its state unless it accepts a change.

The same requests are sent every time; ``BIZTALK_FUZZ=2000`` sends so many new bursts instead (``pytest --timeout 0``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.emulator.driver import EmulatorProcess, eventually
from tests.emulator.raw_requests import (
    PROTOCOL_SETTINGS,
    SERVICE,
    SERVICE_HOST,
    TOKEN,
    RawAnswer,
    RawRequest,
    requests,
    send,
    send_without_tls,
)

MORE = int(os.environ.get("BIZTALK_FUZZ", 0))
READING = ("GET", "HEAD")

bursts = settings(
    max_examples=MORE or 18,
    derandomize=not MORE,
    database=None,
    phases=[Phase.generate, Phase.shrink] if MORE else [Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


class Watch:
    """Reads the state of an emulator, and checks that it keeps it."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        keys = json.loads((emulator.home / "sample-credentials.json").read_text())["services"]
        answer = emulator.request_token(SERVICE, keys[SERVICE]["access_control"]["key"])
        (token,) = parse_qs(answer.text)["wrap_access_token"]
        headers = {"Authorization": f'WRAP access_token="{token}"', "Accept": "application/json;odata=verbose"}
        found = emulator.data("GET", f"{SERVICE_HOST}/default/$PartnerManagement/ProtocolSettings", headers=headers)
        self.placeholders = {TOKEN: token, PROTOCOL_SETTINGS: str(found.json()["d"]["results"][0]["Id"])}
        self.read()

    def read(self) -> None:
        """Read its state, when everything that runs has ended."""
        for operation in self.emulator.admin("GET", "/operations")["operations"]:
            if operation["status"] == "InProgress":
                self.emulator.raw_admin("POST", f"/operations/{operation['id']}/release")
        eventually(lambda: self.emulator.admin("GET", "/health")["running_operations"] == 0, seconds=30)
        self.emulator.admin("DELETE", "/faults")
        self.state = self._state()
        self.newest = self.emulator.admin("GET", "/journal?limit=1")["newest"]
        (self.entry,) = self.emulator.journal(after=self.newest - 1)

    def check(self, *, accepted: bool) -> None:
        """It wrote nothing on standard error, responds, and has the same state; the journal has only grown."""
        assert self.emulator.errors() == ""
        if accepted:
            self.read()
        assert self._state() == self.state
        entry, *new = self.emulator.journal(after=self.newest - 1)
        assert entry == self.entry
        assert [each["seq"] for each in new] == [*range(self.newest + 1, self.newest + 1 + len(new))]
        assert self.emulator.request("GET", "/cloudservices").status_code == 200
        assert self.emulator.data("GET", "").status_code == 404

    def _state(self) -> dict[str, Any]:
        names = [service["name"] for service in self.emulator.admin("GET", "/services")["services"]]
        known = {name: self.emulator.admin("GET", f"/services/{name}") for name in names}
        return known | {
            path: self.emulator.admin("GET", path)
            for path in ("/settings", "/world", "/certificates", "/faults", "/operations")
        }


def check_answer(request: RawRequest, answer: RawAnswer) -> None:
    """It is none of an emulator in trouble, and can be read."""
    assert answer.status != 500, (request, answer)
    if not answer.is_of_the_emulator or not answer.body or request.method == "HEAD":
        return
    try:
        if request.port == "management":
            ElementTree.fromstring(answer.body)
        elif "application/json" in answer.headers["Content-Type"]:
            json.loads(answer.body)
    except (ElementTree.ParseError, ValueError) as error:
        raise AssertionError(f"{request} was answered {answer}, which cannot be read: {error}") from None


@pytest.fixture(scope="module")
def watch(tmp_path_factory) -> Iterator[Watch]:
    emulator = EmulatorProcess(tmp_path_factory.mktemp("fuzz") / "home", "--sample-fleet").start()
    emulator.admin("PATCH", "/settings", {"traffic_tick_seconds": 86400})
    yield Watch(emulator)
    assert emulator.stop() == 0


@bursts
@given(burst=st.lists(requests(), min_size=25, max_size=50))
def test_requests_that_are_nearly_right(watch, burst):
    accepted = False
    for request in burst:
        answer = send(watch.emulator, request.port, request.content(watch.placeholders))
        check_answer(request, answer)
        accepted = accepted or (request.method not in READING and 200 <= (answer.status or 0) < 300)
    watch.check(accepted=accepted)


@bursts
@given(content=st.binary(max_size=200), port=st.sampled_from(("management", "data", "admin")))
def test_bytes(watch, content, port):
    if port != "admin":
        send_without_tls(watch.emulator, port, content)
    send(watch.emulator, port, content)
    watch.check(accepted=False)
