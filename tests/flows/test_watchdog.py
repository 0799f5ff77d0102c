"""What is to be done about a suspension: every state, every state of its run, before and after its deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.flows.watchdog import SETTLING, Action, decide
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Operation, Service, ServiceRef
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.test_states import FAILED, SETTLED, TRANSITIONAL

OPENED = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
RESUME_BY = OPENED + timedelta(hours=2)
GRACE = timedelta(minutes=30)
ONE_SECOND = timedelta(seconds=1)
RECORD = SuspensionRecord(
    service="contoso-west/orders",
    subscription_id="5f3c1a52-9e0b",
    run=Run("biztalk_nightly_backup", "r1"),
    reason="backup",
    opened_at=OPENED,
    resume_by=RESUME_BY,
)
STATES = [*SETTLED, *FAILED, *TRANSITIONAL, "Hibernating"]
RESUMABLE = {"Suspended", "SuspendedFailed", "ResumeFailed"}
BEGIN = {
    RunState.ENDED: OPENED + SETTLING,
    RunState.UNKNOWN: RESUME_BY,
    RunState.ACTIVE: RESUME_BY + GRACE,
}
"""The moment from which the watchdog may act."""


def service(state: str, *, in_progress: bool = False) -> Service:
    operation = Operation("op", "InProgress") if in_progress else Operation("op", "Succeeded")
    return biztalk_service(ServiceRef("contoso-west", "orders"), state, "premium", last_operation=operation)


def decided(
    state: str | None,
    now: datetime,
    *,
    run_state: RunState = RunState.ENDED,
    superseded: bool = False,
    in_progress: bool = False,
) -> tuple[Action, str]:
    current = None if state is None else service(state, in_progress=in_progress)
    return decide(RECORD, current, run_state=run_state, superseded=superseded, now=now, grace=GRACE)


def action(*arguments: object, **options: object) -> Action:
    return decided(*arguments, **options)[0]


def test_a_subscription_is_the_same_in_capital_letters():
    assert RECORD.is_of("5F3C1A52-9E0B")
    assert not RECORD.is_of("5f3c1a52-9e0c")


def test_a_record_is_superseded_by_a_later_one_of_its_service():
    later = replace(RECORD, opened_at=OPENED + ONE_SECOND)
    assert RECORD.is_superseded([RECORD, later])
    assert RECORD.is_superseded([replace(later, service="Contoso-West/ORDERS")])
    assert not later.is_superseded([RECORD, later])
    assert not RECORD.is_superseded([replace(later, service="contoso-west/billing")])


@pytest.mark.parametrize("run_state", RunState)
@pytest.mark.parametrize("state", sorted(RESUMABLE))
def test_it_is_resumed_from_the_moment_on_and_not_before(state, run_state):
    assert action(state, BEGIN[run_state] - ONE_SECOND, run_state=run_state) is Action.LEAVE
    assert action(state, BEGIN[run_state], run_state=run_state) is Action.RESUME
    assert action(state, BEGIN[run_state] + timedelta(days=365), run_state=run_state) is Action.RESUME


@pytest.mark.parametrize("run_state", RunState)
def test_a_record_is_closed_when_the_service_is_active(run_state):
    """And no request can be under way any more."""
    assert action("Active", BEGIN[run_state] - ONE_SECOND, run_state=run_state) is Action.LEAVE
    assert action("Active", BEGIN[run_state], run_state=run_state) is Action.CLOSE
    in_progress = action("Active", BEGIN[run_state], run_state=run_state, in_progress=True)
    assert in_progress in (Action.LEAVE, Action.ALERT)


def test_a_record_is_closed_when_the_service_is_deleted():
    assert action(None, OPENED) is Action.CLOSE


@pytest.mark.parametrize("state", STATES)
def test_a_superseded_record_is_closed(state):
    """It is never a reason to resume."""
    assert action(state, RESUME_BY + timedelta(days=1), superseded=True) is Action.CLOSE


@pytest.mark.parametrize("state", [*TRANSITIONAL, "Hibernating"])
def test_a_transition_is_waited_for_and_then_alerted(state):
    assert action(state, RESUME_BY + GRACE - ONE_SECOND) is Action.LEAVE
    assert action(state, RESUME_BY + GRACE) is Action.ALERT


@pytest.mark.parametrize("state", sorted({*SETTLED, *FAILED} - RESUMABLE - {"Active"}))
def test_a_state_without_resume_is_alerted(state):
    assert action(state, BEGIN[RunState.ENDED]) is Action.ALERT


@given(
    state=st.sampled_from([None, *STATES]),
    run_state=st.sampled_from(RunState),
    in_progress=st.booleans(),
    minutes=st.integers(-60, 10_000),
)
def test_nothing_is_resumed_that_a_run_may_need(state, run_state, in_progress, minutes):
    """Nor in a state from which the chart does not allow it."""
    now = OPENED + timedelta(minutes=minutes)
    what, why = decided(state, now, run_state=run_state, in_progress=in_progress)
    if what is Action.RESUME:
        assert state in RESUMABLE
        assert not in_progress
        assert now >= BEGIN[run_state]
    assert why
    assert not why.endswith(".")
