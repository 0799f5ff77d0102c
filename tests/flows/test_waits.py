"""What waits ask of a service and its operation, and how seldom."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.states import _CHART, _TRANSITIONS, biztalk_service
from biztalk_services.flows.waits import DeletedWait, Failed, OperationWait, Place, StateWait, Succeeded, Wait
from biztalk_services.model.errors import OperationNotFoundError, ServiceNotFoundError
from biztalk_services.model.service import Operation, Phase, Result, Service, ServiceRef

ORDERS = ServiceRef.parse("west/orders")
STATE = StateWait(str(ORDERS), ["Suspended"], "1")
DELETED = DeletedWait(str(ORDERS), "1")
UNKNOWN = "Rearranging"
SETTLED = tuple(_CHART)


def backup(operation_id: str | None = "1") -> OperationWait:
    return OperationWait(str(ORDERS), operation_id, "Backup")


class Platform:
    """A service that goes through states, one a look, and stays in the last; None: there is none. ``looks`` and
    ``asked`` count requests."""

    subscription_id = "sub-1"

    def __init__(self, *states: str | None, result: Result | None = "InProgress", **reported: Any) -> None:
        self.states = list(states)
        self.result = result
        self.reported = reported
        self.looks = self.asked = 0

    def get_service(self, ref: ServiceRef) -> Service:
        self.looks += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise ServiceNotFoundError(f"There is no {ref}.")
        return biztalk_service(ref, state, etag=f"e{self.looks}", **self.reported)

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        self.asked += 1
        if self.result is None:
            raise OperationNotFoundError("Not known any more.")
        return Operation(operation_id, self.result, code="Boom", message="It broke.")

    def place(self) -> Place:
        log = logging.getLogger(__name__)
        return Place(str(ORDERS), driver=pytest.fail, archive=pytest.fail, log=log, services=lambda: self)


def last(result: Result, operation_type: str = "Backup") -> dict[str, Any]:
    return {"last_operation": Operation(None, result, operation_type=operation_type, code="Boom")}


# --- while a service is between two states ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", _TRANSITIONS)
@pytest.mark.parametrize("wait", [STATE, backup(), DELETED], ids=lambda wait: type(wait).__name__)
def test_no_operation_is_asked_for(wait: Wait, state):
    platform = Platform(state, result="Failed")
    place = platform.place()
    assert [wait.poll(place) for _ in range(5)] == [None] * 5
    assert (platform.looks, platform.asked) == (5, 0)


# --- when it is settled ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*SETTLED, UNKNOWN])
@pytest.mark.parametrize("make", [backup, lambda: DELETED], ids=["OperationWait", "DeletedWait"])
def test_a_failed_operation_fails_the_wait_in_every_settled_or_unknown_state(make, state):
    platform = Platform(state, result="Failed")
    ending = make().poll(platform.place())
    assert isinstance(ending, Failed)
    assert "Boom It broke" in ending.message
    assert (platform.looks, platform.asked) == (1, 1)


@pytest.mark.parametrize("state", [*SETTLED, UNKNOWN])
def test_a_state_that_is_expected_needs_no_operation_one_that_failed_neither(state):
    platform = Platform(state, result="Failed")
    ending = STATE.poll(platform.place())
    phase = biztalk_service(ORDERS, state).phase
    assert isinstance(ending, Succeeded if state == "Suspended" else Failed)
    assert platform.asked == (0 if state == "Suspended" or phase is Phase.FAILED else 1)


@pytest.mark.parametrize("wait", [STATE, DELETED], ids=lambda wait: type(wait).__name__)
@pytest.mark.parametrize("result", ["InProgress", "Succeeded", None])
def test_it_goes_on_while_the_operation_has_not_failed(wait, result):
    platform = Platform("Active", result=result)
    place = platform.place()
    assert [wait.poll(place) for _ in range(3)] == [None] * 3
    assert (platform.looks, platform.asked) == (3, 3)


@pytest.mark.parametrize("state", SETTLED)
def test_an_operation_that_has_succeeded_ends_its_wait(state):
    platform = Platform("BackingUp", state, result="Succeeded")
    wait, place = backup(), platform.place()
    assert wait.poll(place) is None
    ending = wait.poll(place)
    assert isinstance(ending, Succeeded)
    assert ending.value["state"] == state
    assert (platform.looks, platform.asked) == (2, 1)


def test_it_does_not_end_in_an_unknown_state():
    platform = Platform(UNKNOWN, result="Succeeded")
    assert backup().poll(platform.place()) is None


def test_a_service_that_seems_settled_because_it_has_not_begun_is_looked_at_again():
    platform = Platform("Suspended", "BackingUp", "Suspended", result="Succeeded")
    wait, place = backup(), platform.place()
    assert wait.poll(place) is None
    assert platform.looks == 2
    ending = wait.poll(place)
    assert isinstance(ending, Succeeded)
    assert ending.value["etag"] == "e3"


def test_a_service_without_states_in_between():
    """Only its operation shows that something is under way."""
    platform = Platform("Suspended")
    wait, place = backup(), platform.place()
    assert [wait.poll(place), wait.poll(place)] == [None, None]
    platform.result = "Succeeded"
    assert isinstance(wait.poll(place), Succeeded)
    assert (platform.looks, platform.asked) == (3, 3)


def test_an_operation_that_is_over_at_once():
    platform = Platform("Suspended", result="Succeeded")
    assert isinstance(backup().poll(platform.place()), Succeeded)
    assert (platform.looks, platform.asked) == (2, 1)


# --- operations that are not known, services that are not there -------------------------------------------------------


@pytest.mark.parametrize("operation_id", ["1", None])
def test_what_the_service_reports_counts_for_an_operation_that_is_not_known(operation_id):
    def polled(reported: dict[str, Any]) -> Any:
        return backup(operation_id).poll(Platform("Suspended", result=None, **reported).place())

    assert polled({}) is None
    assert polled(last("Succeeded", "Restart")) is None
    assert polled(last("InProgress")) is None
    assert isinstance(polled(last("Succeeded")), Succeeded)
    assert isinstance(polled(last("Failed")), Failed)


def test_a_service_that_is_being_restored_may_not_be_there_yet():
    platform = Platform(None)
    wait, place = backup(), platform.place()
    assert wait.poll(place) is None
    platform.result = "Failed"
    assert isinstance(wait.poll(place), Failed)
    platform.result = "Succeeded"
    with pytest.raises(ServiceNotFoundError):
        wait.poll(place)
    platform.states = ["Suspended"]
    assert isinstance(wait.poll(place), Succeeded)


@pytest.mark.parametrize("result", ["Succeeded", None])
def test_a_service_that_is_gone_ends_the_wait_for_its_operation(result):
    with pytest.raises(ServiceNotFoundError):
        backup().poll(Platform(None, result=result).place())
    with pytest.raises(ServiceNotFoundError):
        backup(None).poll(Platform(None).place())


def test_a_service_that_is_gone_is_deleted_whatever_its_operation():
    platform = Platform("Deleting", None, result="InProgress")
    place = platform.place()
    assert DELETED.poll(place) is None
    ending = DELETED.poll(place)
    assert isinstance(ending, Succeeded)
    assert ending.value["state"] is None
    assert platform.asked == 0
