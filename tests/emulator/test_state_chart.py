"""Every cell of the documented state chart, requested over the wire (REST reference, section 5)."""

from __future__ import annotations

import pytest

from tests.emulator.chart import OPERATIONS, OUTCOMES, ROWS
from tests.emulator.driver import EmulatorProcess, eventually, refusal, text

SERVICE = "contosoorders"


class Desk:
    """Requests any operation of the chart, by the management API where it has it, else by the portal."""

    def __init__(self, emulator: EmulatorProcess, storage: str) -> None:
        self.emulator = emulator
        self.storage = storage
        self.backups = 0

    def request(self, operation: str, name: str = SERVICE):
        """Return status code and refusal text."""
        if operation in ("Start", "Stop", "Disable", "Enable"):
            answer = self.emulator.raw_admin("POST", f"/services/{name}/actions", {"action": operation.lower()})
            return answer.status_code, None
        if operation == "Scale":
            units = self.emulator.admin("GET", f"/services/{name}")["settings"]["UnitCount"]
            answer = self.emulator.update(name, UnitCount=str(units % 4 + 1))
        elif operation == "Update":
            answer = self.emulator.update(name, CustomDomainUrl=f"{self.emulator.etag(name)}.example.com")
        elif operation == "Delete":
            answer = self.emulator.request("DELETE", self.emulator.path(name, through=False))
        elif operation == "Backup":
            self.backups += 1
            unique = self.emulator.etag(name)[:8]
            answer = self.emulator.back_up(name, f"chart-{unique}-{self.backups}", self.storage)
        else:
            answer = self.emulator.act(name, operation.lower())
        return answer.status_code, None if answer.ok else refusal(answer)[1:]


@pytest.fixture
def desk(emulator, storage) -> Desk:
    emulator.admin("PATCH", "/settings", {"profile": {"backup_precondition": "chart"}})
    return Desk(emulator, storage)


@pytest.mark.parametrize("state", ROWS)
def test_row(desk, state):
    for operation, allowed in ROWS[state].items():
        if operation == "Delete" or (state, operation) == ("Suspended", "Suspend"):
            continue
        desk.emulator.force(SERVICE, state)
        operations_before = len(desk.emulator.admin("GET", "/operations")["operations"])
        status, reason = desk.request(operation)
        if allowed:
            assert status == 202, operation
            continue
        assert status == 409, operation
        assert reason in (None, ("ConflictError", "Operation not allowed"))
        assert desk.emulator.state(SERVICE) == state, operation
        assert len(desk.emulator.admin("GET", "/operations")["operations"]) == operations_before


@pytest.mark.parametrize("state", ROWS)
def test_every_state_allows_delete(desk, state):
    name = f"del{len(state)}{state.replace(' ', '')[:12]}"
    desk.emulator.operation(desk.emulator.create(name))
    desk.emulator.force(name, state)
    assert desk.request("Delete", name)[0] == 202
    eventually(lambda: desk.emulator.raw_admin("GET", f"/services/{name}").status_code == 404)


@pytest.mark.parametrize("operation", OUTCOMES)
def test_success_and_failure_lead_to_their_states(desk, operation):
    before, transitional, after, failed = OUTCOMES[operation]
    emulator = desk.emulator
    emulator.force(SERVICE, before)
    emulator.slow_down(operation.lower())
    emulator.admin("PATCH", "/settings", {"envelope_seconds": 0.1})
    assert desk.request(operation)[0] == 202
    assert emulator.state(SERVICE) == transitional
    running = emulator.admin("GET", f"/services/{SERVICE}")["operation"]["id"]
    emulator.admin("POST", f"/operations/{running}/release")
    emulator.reaches(SERVICE, after)
    emulator.force(SERVICE, before)
    emulator.admin("PATCH", "/settings", {"durations": {operation.lower(): 0.1}})
    emulator.fault("operation-fails", message="Out of order.", http_code=409)
    assert desk.request(operation)[0] == 202
    emulator.reaches(SERVICE, failed)
    answer = emulator.request("GET", emulator.path(SERVICE))
    assert text(answer, "OperationStatus/Result") == "Failed"
    assert text(answer, "OperationStatus/Error/Message") == "Out of order."


def test_a_transitional_state_refuses_all_but_reads(desk):
    emulator = desk.emulator
    emulator.fault("stuck", "suspend", count=1)
    assert desk.request("Suspend")[0] == 202
    for operation in OPERATIONS:
        status, reason = desk.request(operation)
        assert status == 409, operation
        assert reason in (None, ("ConflictError", "Operation not allowed"))
    assert emulator.state(SERVICE) == "Suspending"
    assert emulator.request("GET", "/cloudservices").status_code == 200


def test_suspending_a_suspended_service_does_nothing(desk):
    emulator = desk.emulator
    emulator.force(SERVICE, "Suspended")
    before = emulator.journal(kind="state", service=SERVICE)
    answer = emulator.act(SERVICE, "suspend")
    assert answer.status_code == 202
    assert emulator.operation(answer) == "Succeeded"
    assert emulator.state(SERVICE) == "Suspended"
    assert emulator.journal(kind="state", service=SERVICE) == before


def test_portal_reaches_disabled_and_back(desk):
    emulator = desk.emulator
    for action, state in (("disable", "Disabled"), ("enable", "Active"), ("stop", "Stopped"), ("start", "Active")):
        emulator.admin("POST", f"/services/{SERVICE}/actions", {"action": action})
        emulator.reaches(SERVICE, state)


def test_a_failed_version_update_has_its_own_state(desk):
    emulator = desk.emulator
    emulator.fault("operation-fails", "update", count=1)
    assert emulator.update(SERVICE, ServiceVersion="1.2.0").status_code == 202
    emulator.reaches(SERVICE, "Service Update Failed")


def test_an_update_corrects_a_service_that_did_not_start_without_starting_it(desk):
    emulator = desk.emulator
    emulator.force(SERVICE, "StartFailed")
    assert desk.request("Update")[0] == 202
    emulator.reaches(SERVICE, "StartFailed")
