"""Slots: a few services at a time, in order, each gets one; shown on whole nights."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from biztalk_services.flows.slots import may_start
from hypothesis import given, settings
from hypothesis import strategies as st

GATE, EXEMPT, RELEASE = "group.gate", "group.drain", "group.back"
TASKS = {"gate": GATE, "exempt_task_id": EXEMPT, "release_task_id": RELEASE}
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")
AT_THE_GATE = ("scheduled", "queued", "running", "deferred", "up_for_retry", "restarting")


def may(index: int, max_parallel: int, **states: str) -> bool:
    """Whether a service may start; ``gate_0="success"`` is a state."""
    named = {f"group.{name}": state for name, state in states.items()}
    return may_start(index, {f"{GATE}_{index}": "deferred"} | named, **TASKS, max_parallel=max_parallel)


def test_the_first_ones_start_at_once():
    waiting = {f"gate_{index}": "deferred" for index in range(5)}
    assert [may(index, 2, **waiting) for index in range(5)] == [True, True, False, False, False]


@pytest.mark.parametrize("state", AT_THE_GATE)
def test_one_that_waits_before_counts_as_passed(state):
    assert not may(1, 1, gate_0=state)
    assert may(0, 1, gate_1=state)


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed"])
def test_one_that_never_passes_does_not_count(state):
    assert may(1, 1, gate_0=state, back_0="upstream_failed")
    assert may(1, 1, gate_0=state)


def test_one_that_is_not_at_the_gate_does_not_count():
    assert may(1, 1, drain_0="deferred")
    assert may(1, 1)


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "up_for_retry", "success", "failed"])
def test_one_past_the_gate_counts_whatever_its_index(state):
    assert not may(1, 1, gate_0="success", drain_0=state)
    assert not may(0, 1, gate_1="success", drain_1=state)
    assert not may(0, 1, gate_1="success")


def test_one_that_waits_for_batches_does_not_count():
    assert may(0, 1, gate_1="success", drain_1="deferred")
    assert not may(0, 1, gate_1="success", drain_1="success")


@pytest.mark.parametrize("state", ENDED)
def test_one_that_has_ended_does_not_count(state):
    assert may(0, 1, gate_1="success", drain_1="success", back_1=state)


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "scheduled"])
def test_one_that_is_being_resumed_still_counts(state):
    assert not may(0, 1, gate_1="success", drain_1="success", back_1=state)


def test_indices_of_several_digits_and_other_tasks():
    assert not may(2, 1, gate_10="success")
    assert not may(11, 1, gate_9="deferred")
    assert may_start(0, {"report": "success", f"{GATE}_0": "running"}, **TASKS, max_parallel=1)


STATES = st.dictionaries(
    st.builds("{}_{}".format, st.sampled_from([GATE, EXEMPT, RELEASE]), st.integers(0, 6)),
    st.sampled_from([*AT_THE_GATE, *ENDED, None]),
)


@given(STATES, st.integers(0, 6), st.integers(1, 6))
def test_one_that_may_start_may_start_with_more_slots(states, index, max_parallel):
    states |= {f"{GATE}_{index}": "deferred"}
    if may_start(index, states, **TASKS, max_parallel=max_parallel):
        assert may_start(index, states, **TASKS, max_parallel=max_parallel + 1)
        before = [i for i in range(index) if states.get(f"{GATE}_{i}") in AT_THE_GATE]
        assert all(
            may_start(i, states, **TASKS, max_parallel=max_parallel)
            for i in before
            if states.get(f"{RELEASE}_{i}") not in ENDED
        )


@given(STATES, st.integers(1, 6))
def test_pollers_of_the_same_states_are_never_too_many(states, max_parallel):
    waiting = {f"{GATE}_{index}": "deferred" for index in range(7) if f"{GATE}_{index}" not in states}
    states |= waiting
    let_in = [
        index
        for index in range(7)
        if states[f"{GATE}_{index}"] in AT_THE_GATE
        and states.get(f"{RELEASE}_{index}") not in ENDED
        and may_start(index, states, **TASKS, max_parallel=max_parallel)
    ]
    inside = [
        index
        for index in range(7)
        if states[f"{GATE}_{index}"] == "success"
        and states.get(f"{EXEMPT}_{index}") != "deferred"
        and states.get(f"{RELEASE}_{index}") not in ENDED
    ]
    assert not let_in or len(let_in) + len(inside) <= max_parallel


@dataclass
class Plan:
    """How long the steps of one service take, in ticks; ``drain`` 0: its batches are empty at the first poll."""

    arrives: int
    drain: int
    work: int
    drain_fails: bool


class Night:
    """A night, tick by tick, as Airflow moves tasks: one stage a tick, polls at the gate at random moments.

    A poll takes time: its result counts ``delay`` ticks after the states that it read.
    """

    def __init__(self, plans: list[Plan], max_parallel: int, delay: int, random: Random) -> None:
        self.plans, self.max_parallel, self.delay, self.random = plans, max_parallel, delay, random
        self.states: dict[str, str | None] = {}
        self.late: set[int] = set()
        self.passed: list[int] = []
        self.timers: dict[int, int] = {}
        self.polls: dict[int, tuple[int, bool]] = {}

    def of(self, task: str, index: int) -> str | None:
        return self.states.get(f"{task}_{index}")

    def set(self, task: str, index: int, state: str) -> None:
        self.states[f"{task}_{index}"] = state

    def inside(self) -> list[int]:
        return [
            index
            for index in range(len(self.plans))
            if self.of(GATE, index) == "success"
            and self.of(EXEMPT, index) != "deferred"
            and self.of(RELEASE, index) not in ENDED
        ]

    def done(self) -> bool:
        return all(self.of(RELEASE, index) in ENDED for index in range(len(self.plans)))

    def tick(self, now: int) -> None:
        before = dict(self.states)
        for index, plan in enumerate(self.plans):
            gate = self.of(GATE, index)
            if gate is None and now >= plan.arrives:
                self.set(GATE, index, "scheduled")
            elif gate == "scheduled":
                self.set(GATE, index, "queued")
            elif gate == "queued":
                self.set(GATE, index, "running")
            elif gate in ("running", "deferred"):
                self._at_the_gate(index, now, before)
            elif gate == "success":
                self._past_the_gate(index, plan)

    def _at_the_gate(self, index: int, now: int, before: dict[str, str | None]) -> None:
        if index in self.polls:
            due, may_pass = self.polls[index]
            if now < due:
                return
            del self.polls[index]
            self.set(GATE, index, "success" if may_pass else "deferred")
            if may_pass:
                self.passed.append(index)
        elif self.random.random() < 0.5:
            self.polls[index] = (now + self.delay, may_start(index, before, **TASKS, max_parallel=self.max_parallel))

    def _past_the_gate(self, index: int, plan: Plan) -> None:
        drain, release = self.of(EXEMPT, index), self.of(RELEASE, index)
        left = self.timers.get(index, 0) - 1
        self.timers[index] = left
        if drain is None:
            self.set(EXEMPT, index, "running")
        elif drain == "running":
            self.set(EXEMPT, index, "deferred" if plan.drain else "success")
            self.timers[index] = plan.drain or plan.work
        elif drain == "deferred" and left <= 0:
            self.late.add(index)
            self.set(EXEMPT, index, "failed" if plan.drain_fails else "success")
            self.timers[index] = plan.work
            if plan.drain_fails:
                self.set(RELEASE, index, "upstream_failed")
        elif drain == "success" and left <= 0 and release not in ENDED:
            self.set(RELEASE, index, "success" if release == "running" else "running")


PLANS = st.lists(
    st.builds(Plan, st.integers(0, 6), st.just(0) | st.integers(1, 30), st.integers(1, 10), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(PLANS, st.integers(1, 4), st.integers(0, 1), st.randoms(use_true_random=False))
def test_a_whole_night_keeps_to_the_number_and_forgets_none(plans, max_parallel, delay, random):
    if delay:  # one that comes to the gate while one behind it is being let in may be one too many
        plans = sorted(plans, key=lambda plan: plan.arrives)
    night = Night(plans, max_parallel, delay, random)
    for now in range(10_000):
        night.tick(now)
        punctual = [index for index in night.inside() if index not in night.late]
        assert len(punctual) <= max_parallel
        if night.done():
            break
    assert night.done()
    assert sorted(night.passed) == list(range(len(plans)))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(1, 4), st.integers(1, 10), st.randoms(use_true_random=False))
def test_those_that_come_together_start_by_index(number, max_parallel, work, random):
    night = Night([Plan(0, 0, work, False)] * number, max_parallel, 0, random)
    for now in range(10_000):
        night.tick(now)
        if night.done():
            break
    # Those that may start at the same moment notice it in any order, and one may take long to notice.
    for place, index in enumerate(night.passed):
        assert len(set(range(index)) - set(night.passed[:place])) < max_parallel


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10), st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_service_that_waits_for_batches_delays_no_other(others, max_parallel, random):
    slow = [Plan(0, 5_000, 1, False)] * max_parallel
    night = Night(slow + [Plan(0, 0, 3, False)] * others, max_parallel, 0, random)
    for now in range(1_000):
        night.tick(now)
    assert [night.of(RELEASE, index) for index in range(max_parallel, max_parallel + others)] == ["success"] * others
    assert [night.of(EXEMPT, index) for index in range(max_parallel)] == ["deferred"] * max_parallel
