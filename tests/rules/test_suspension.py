"""What is to be done about a suspension of ours: every state, every owner, before and after its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.states import FAILED_STATES, SETTLED_STATES, TRANSITIONAL_STATES
from biztalk_services.flows.suspension import SETTLING, Verdict, is_same_subscription, judge
from biztalk_services.model.run import Owner
from biztalk_services.model.steps import Suspension
from hypothesis import given
from hypothesis import strategies as st

OPENED = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
BACK_BY = OPENED + timedelta(hours=2)
GRACE = timedelta(minutes=30)
JUST = timedelta(seconds=1)
LEFT = Suspension("Suspended", False, Owner.ENDED, OPENED, BACK_BY)
STATES = [*SETTLED_STATES, *FAILED_STATES, *TRANSITIONAL_STATES, "Hibernating"]
RESUMABLE = {"Suspended", "SuspendedFailed", "ResumeFailed"}
BEGIN = {
    Owner.ENDED: OPENED + SETTLING,
    Owner.UNKNOWN: BACK_BY,
    Owner.WORKS: BACK_BY + GRACE,
}
"""The moment from which the watchdog may act."""


def verdict(suspension: Suspension, now: datetime) -> Verdict:
    return judge(suspension, now=now, grace=GRACE)[0]


def test_a_subscription_is_the_same_in_capital_letters_and_no_other():
    assert is_same_subscription("5f3c1a52-9e0b", "5F3C1A52-9E0B")
    assert not is_same_subscription("5f3c1a52-9e0b", "5f3c1a52-9e0c")


@pytest.mark.parametrize("owner", Owner)
@pytest.mark.parametrize("state", sorted(RESUMABLE))
def test_it_is_resumed_from_the_moment_on_and_not_before(state, owner):
    left = replace(LEFT, state=state, owner=owner)
    assert verdict(left, BEGIN[owner] - JUST) is Verdict.LEAVE
    assert verdict(left, BEGIN[owner]) is Verdict.RESUME
    assert verdict(left, BEGIN[owner] + timedelta(days=365)) is Verdict.RESUME


@pytest.mark.parametrize("owner", Owner)
def test_a_ticket_is_closed_when_the_service_is_active_and_no_request_can_be_out_any_more(owner):
    active = replace(LEFT, state="Active", owner=owner)
    assert verdict(active, BEGIN[owner] - JUST) is Verdict.LEAVE
    assert verdict(active, BEGIN[owner]) is Verdict.CLOSE
    assert verdict(replace(active, operation_in_progress=True), BEGIN[owner]) in (Verdict.LEAVE, Verdict.CALL)


def test_a_ticket_is_closed_when_the_service_is_gone():
    assert verdict(replace(LEFT, state=None), OPENED) is Verdict.CLOSE


@pytest.mark.parametrize("state", STATES)
def test_a_superseded_ticket_is_closed_and_never_a_reason_to_resume(state):
    assert verdict(replace(LEFT, state=state, superseded=True), BACK_BY + timedelta(days=1)) is Verdict.CLOSE


@pytest.mark.parametrize("state", [*TRANSITIONAL_STATES, "Hibernating"])
def test_what_is_on_its_way_is_waited_for_and_then_a_person_is_called(state):
    moving = replace(LEFT, state=state)
    assert verdict(moving, BACK_BY + GRACE - JUST) is Verdict.LEAVE
    assert verdict(moving, BACK_BY + GRACE) is Verdict.CALL


@pytest.mark.parametrize("state", sorted({*SETTLED_STATES, *FAILED_STATES} - RESUMABLE - {"Active"}))
def test_from_any_other_state_there_is_no_way_back_that_the_chart_knows(state):
    assert verdict(replace(LEFT, state=state), BEGIN[Owner.ENDED]) is Verdict.CALL


@given(
    state=st.sampled_from([None, *STATES]),
    owner=st.sampled_from(Owner),
    in_progress=st.booleans(),
    minutes=st.integers(-60, 10_000),
)
def test_nothing_is_resumed_that_a_working_run_may_still_need_or_that_the_chart_forbids(
    state, owner, in_progress, minutes
):
    now = OPENED + timedelta(minutes=minutes)
    decided, why = judge(
        replace(LEFT, state=state, owner=owner, operation_in_progress=in_progress), now=now, grace=GRACE
    )
    if decided is Verdict.RESUME:
        assert state in RESUMABLE
        assert not in_progress
        assert now >= BEGIN[owner]
    assert why
    assert not why.endswith(".")
