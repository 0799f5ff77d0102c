"""The state chart: which request is allowed in which state, and what a state means."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.states import allowed_in, biztalk_service, phase_of, states_allowing, under_way
from biztalk_services.model.service import Phase, ServiceRef

CHART = """
Active                 stop restart suspend delete scale update backup
Disabled               delete
Suspended              resume delete backup
Stopped                start restart delete backup
Service Update Failed  delete
DisableFailed          delete
EnableFailed           delete
StartFailed            start stop restart delete update
StopFailed             start stop restart delete update
RestartFailed          start stop restart delete update
SuspendedFailed        suspend resume delete
ResumeFailed           suspend resume delete
CreatedFailed          delete
RestoreFailed          delete
ConfigUpdateFailed     restart delete update
ScaleFailed            delete scale
"""
ROWS = {line[:23].strip(): set(line[23:].split()) for line in CHART.strip().splitlines()}
OPERATIONS = ("start", "stop", "restart", "suspend", "resume", "delete", "scale", "update", "backup")
SETTLED = ("Active", "Disabled", "Suspended", "Stopped")
FAILED = tuple(state for state in ROWS if state not in SETTLED)
TRANSITIONS = {
    "Creating": None,
    "Updating": "update",
    "Suspending": "suspend",
    "Resuming": "resume",
    "BackingUp": "backup",
    "Restoring": "restore",
    "Deleting": "delete",
    "Starting": "start",
    "Stopping": "stop",
    "Restarting": "restart",
    "Scaling": "scale",
    "Enabling": None,
    "Disabling": None,
}
TRANSITIONAL = tuple(TRANSITIONS)
UNKNOWN = ("Pondering", "", "Started")
PHASES = {
    "Active": Phase.RUNNING,
    "Suspended": Phase.QUIESCED,
    "Stopped": Phase.QUIESCED,
    "Disabled": Phase.DISABLED,
    **dict.fromkeys(FAILED, Phase.FAILED),
    **dict.fromkeys(TRANSITIONAL, Phase.TRANSITIONAL),
    **dict.fromkeys(UNKNOWN, Phase.UNKNOWN),
}


def test_the_state_chart_cell_by_cell():
    for operation in OPERATIONS:
        assert set(states_allowing(operation)) == {state for state in ROWS if operation in ROWS[state]}
    for state in PHASES:
        assert allowed_in(state) == ROWS.get(state, set())


@pytest.mark.parametrize("state", PHASES)
def test_phases_of_states(state):
    service = biztalk_service(ServiceRef("contoso-west", "orders"), state)
    assert phase_of(state) is service.phase is PHASES[state]
    assert service.is_transitional == (state in TRANSITIONAL or state in UNKNOWN)
    assert service.is_transitional != (state in SETTLED or state in FAILED)
    assert service.allows == allowed_in(state)


@pytest.mark.parametrize("state", PHASES)
def test_the_request_under_way(state):
    service = biztalk_service(ServiceRef("contoso-west", "orders"), state)
    assert under_way(state) == service.under_way == TRANSITIONS.get(state)
    for operation in (*OPERATIONS, "restore"):
        assert service.may_be_under(operation) == (state in UNKNOWN or TRANSITIONS.get(state) == operation)


def test_states_allowing_backup():
    assert states_allowing("backup") == ("Active", "Suspended", "Stopped")
