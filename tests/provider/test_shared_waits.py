"""Many waits in one triggerer, with the emulator: how many requests they cause, what throttling, an error and a changed
connection do to all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.flows.shared_look import SHORTEST_INTERVAL
from biztalk_services.flows.waits import OperationWait, StateWait
from biztalk_services.provider import shared
from biztalk_services.provider.triggers import PollTrigger

from tests.provider.connections import NAME, SERVICE, management
from tests.wire.pki import identity

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture(autouse=True)
def triggerer(monkeypatch) -> Callable[[], None]:
    """A triggerer of its own; each call is another one."""

    def another() -> None:
        monkeypatch.setattr(shared.SERVICES, "_made", {})

    another()
    return another


def trigger(wait: Any, seconds: float = 60) -> PollTrigger:
    now = datetime.now(UTC)
    bounds = {"since": now.isoformat(), "deadline": (now + timedelta(seconds=seconds)).isoformat()}
    return PollTrigger.of(
        wait, conn_id="biztalk_default", archive="biztalk_backup_storage/x", tolerance_seconds=60, **bounds
    )


async def ends(trigger: PollTrigger) -> TriggerEvent:
    (event,) = [event async for event in trigger.run()]
    return event


def together(*triggers: PollTrigger) -> list[TriggerEvent]:
    """The ends of triggers that run at the same time."""

    async def gathered() -> list[TriggerEvent]:
        return await asyncio.gather(*map(ends, triggers))

    return asyncio.run(gathered())


def suspend(emulator, name: str = NAME) -> str:
    return emulator.act(name, "suspend").headers["x-ms-request-id"]


@pytest.mark.parametrize("waits", [1, 25])
def test_many_waits_cause_no_more_looks_than_one(waits, emulator, requests):
    emulator.fault("stuck", "suspend", service=NAME, count=1)
    operation_id, began = suspend(emulator), time.monotonic()
    events = together(*(trigger(StateWait(SERVICE, ["Suspended"], operation_id), 3) for _ in range(waits)))
    took = time.monotonic() - began
    assert all(isinstance(event, TaskFailedEvent) for event in events)
    assert 1 <= len(requests("get_cloud_service")) <= took / SHORTEST_INTERVAL + 1
    assert requests("poll") == []


def test_waits_of_several_scopes_share_a_list(emulator, requests):
    names = {each["name"]: each["cloud_service"] for each in emulator.admin("GET", "/services")["services"]}
    assert len(set(names.values())) > 1
    stuck = [trigger(StateWait(f"{scope}/{name}", ["Suspended"]), 2) for name, scope in names.items() for _ in range(5)]
    began = time.monotonic()
    together(*stuck)
    took = time.monotonic() - began
    assert requests("list")
    assert len(requests("list") + requests("get_cloud_service")) <= took / SHORTEST_INTERVAL + 1


def test_two_triggerers_side_by_side(emulator, triggerer):
    operation_id = suspend(emulator)

    async def gathered() -> list[TriggerEvent]:
        tasks = []
        for _ in range(2):
            triggerer()
            wait = OperationWait(SERVICE, operation_id, "Suspend")
            tasks.append(asyncio.create_task(ends(trigger(wait))))
            await asyncio.sleep(0)
        return await asyncio.gather(*tasks)

    events = asyncio.run(gathered())
    assert [event.xcoms["return_value"]["state"] for event in events] == ["Suspended"] * 2


def test_every_wait_sees_what_it_waits_for(emulator):
    operation_id = suspend(emulator)
    waits = [StateWait(SERVICE, ["Suspended"], operation_id), OperationWait(SERVICE, operation_id, "Suspend")] * 5
    events = together(*map(trigger, waits))
    assert [event.xcoms["return_value"]["state"] for event in events] == ["Suspended"] * 10


def test_retry_after_of_one_look_holds_for_all(emulator, requests):
    """The time that the emulator asks for is longer than a driver waits by itself."""
    emulator.fault("status", "get_cloud_service", count=1, status=503, code="ServerBusy", retry_after=200)
    waits = [trigger(StateWait(SERVICE, ["Suspended"]), 4) for _ in range(10)]
    events = together(*waits)
    assert len(requests("get_cloud_service")) == 1
    assert all("polls failed for too long" in event.xcoms["failure"] for event in events)


def test_a_driver_is_opened_once_and_anew_after_an_error(emulator, connect, monkeypatch):
    opened = []
    original = BizTalkDriver.__init__
    monkeypatch.setattr(BizTalkDriver, "__init__", lambda *arguments: (opened.append(1), original(*arguments))[1])
    together(*(trigger(StateWait(SERVICE, ["Suspended"]), 2) for _ in range(10)))
    assert len(opened) == 1
    emulator.fault("status", "get_cloud_service", count=1, status=403, code="AuthenticationFailed")
    (event,) = together(trigger(StateWait(SERVICE, ["Active"])))
    assert isinstance(event, TaskFailedEvent)
    (event,) = together(trigger(StateWait(SERVICE, ["Active"])))
    assert isinstance(event, TaskSuccessEvent)
    assert len(opened) == 2


def test_a_connection_that_was_changed_counts_for_the_next_wait(emulator, connect):
    mine, stranger = management(emulator), identity("stranger")
    extra = mine["extra"] | {"certificate": stranger.certificate_pem}
    connect("biztalk_default", mine | {"password": stranger.key_pem, "extra": extra})
    (event,) = together(trigger(StateWait(SERVICE, ["Active"])))
    assert "management certificate" in event.xcoms["failure"]
    connect("biztalk_default", mine)
    (event,) = together(trigger(StateWait(SERVICE, ["Active"])))
    assert isinstance(event, TaskSuccessEvent)
