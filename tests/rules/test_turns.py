"""Turns: a few services at a time, in order, nobody starves; shown on whole nights."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from biztalk_services.flows.slots import may_start
from hypothesis import given, settings
from hypothesis import strategies as st

GATE, EXCUSED, LAST = "group.gate", "group.drain", "group.back"
TASKS = {"gate": GATE, "excused": EXCUSED, "last": LAST}
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")
AT_THE_GATE = ("scheduled", "queued", "running", "deferred", "up_for_retry", "restarting")


def asks(index: int, at_once: int, **states: str) -> bool:
    """Whether a service may start; ``gate_0="success"`` is a state."""
    named = {f"group.{name}": state for name, state in states.items()}
    return may_start(index, {f"{GATE}_{index}": "deferred"} | named, **TASKS, at_once=at_once)


def test_the_first_ones_go_at_once():
    waiting = {f"gate_{index}": "deferred" for index in range(5)}
    assert [asks(index, 2, **waiting) for index in range(5)] == [True, True, False, False, False]


@pytest.mark.parametrize("state", AT_THE_GATE)
def test_who_waits_before_me_counts_as_passed(state):
    assert not asks(1, 1, gate_0=state)
    assert asks(0, 1, gate_1=state)


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed"])
def test_who_never_passes_does_not_count(state):
    assert asks(1, 1, gate_0=state, back_0="upstream_failed")
    assert asks(1, 1, gate_0=state)


def test_who_has_not_come_to_the_gate_does_not_count():
    assert asks(1, 1, drain_0="deferred")
    assert asks(1, 1)


@pytest.mark.parametrize("state", ["scheduled", "queued", "running", "up_for_retry", "success", "failed"])
def test_who_is_past_the_gate_counts_whatever_its_index(state):
    assert not asks(1, 1, gate_0="success", drain_0=state)
    assert not asks(0, 1, gate_1="success", drain_1=state)
    assert not asks(0, 1, gate_1="success")


def test_who_waits_for_batches_does_not_count():
    assert asks(0, 1, gate_1="success", drain_1="deferred")
    assert not asks(0, 1, gate_1="success", drain_1="success")


@pytest.mark.parametrize("state", ENDED)
def test_who_is_done_does_not_count(state):
    assert asks(0, 1, gate_1="success", drain_1="success", back_1=state)


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "scheduled"])
def test_who_comes_back_still_counts(state):
    assert not asks(0, 1, gate_1="success", drain_1="success", back_1=state)


def test_indices_of_several_digits_and_other_tasks_are_told_apart():
    assert not asks(2, 1, gate_10="success")
    assert not asks(11, 1, gate_9="deferred")
    assert may_start(0, {"report": "success", f"{GATE}_0": "running"}, **TASKS, at_once=1)


STATES = st.dictionaries(
    st.builds("{}_{}".format, st.sampled_from([GATE, EXCUSED, LAST]), st.integers(0, 6)),
    st.sampled_from([*AT_THE_GATE, *ENDED, None]),
)


@given(STATES, st.integers(0, 6), st.integers(1, 6))
def test_who_may_start_may_start_before_those_behind_and_with_more_room(states, index, at_once):
    states |= {f"{GATE}_{index}": "deferred"}
    if may_start(index, states, **TASKS, at_once=at_once):
        assert may_start(index, states, **TASKS, at_once=at_once + 1)
        before = [i for i in range(index) if states.get(f"{GATE}_{i}") in AT_THE_GATE]
        assert all(
            may_start(i, states, **TASKS, at_once=at_once) for i in before if states.get(f"{LAST}_{i}") not in ENDED
        )


@given(STATES, st.integers(1, 6))
def test_those_who_look_at_the_same_states_are_never_too_many_together(states, at_once):
    waiting = {f"{GATE}_{index}": "deferred" for index in range(7) if f"{GATE}_{index}" not in states}
    states |= waiting
    let_in = [
        index
        for index in range(7)
        if states[f"{GATE}_{index}"] in AT_THE_GATE
        and states.get(f"{LAST}_{index}") not in ENDED
        and may_start(index, states, **TASKS, at_once=at_once)
    ]
    inside = [
        index
        for index in range(7)
        if states[f"{GATE}_{index}"] == "success"
        and states.get(f"{EXCUSED}_{index}") != "deferred"
        and states.get(f"{LAST}_{index}") not in ENDED
    ]
    assert not let_in or len(let_in) + len(inside) <= at_once


@dataclass
class Plan:
    """How long the steps of one service take, in ticks; ``drain`` 0: its batches are empty at the first look."""

    arrives: int
    drain: int
    work: int
    drain_fails: bool


class Night:
    """A night, tick by tick, as Airflow moves tasks: one stage a tick, looks at the gate at random moments.

    A look takes time: its answer counts ``delay`` ticks after the states that it saw.
    """

    def __init__(self, plans: list[Plan], at_once: int, delay: int, random: Random) -> None:
        self.plans, self.at_once, self.delay, self.random = plans, at_once, delay, random
        self.states: dict[str, str | None] = {}
        self.seen: list[dict[str, str | None]] = []
        self.late: set[int] = set()
        self.passed: list[int] = []
        self.timers: dict[int, int] = {}
        self.looks: dict[int, tuple[int, bool]] = {}

    def of(self, task: str, index: int) -> str | None:
        return self.states.get(f"{task}_{index}")

    def set(self, task: str, index: int, state: str) -> None:
        self.states[f"{task}_{index}"] = state

    def inside(self) -> list[int]:
        return [
            index
            for index in range(len(self.plans))
            if self.of(GATE, index) == "success"
            and self.of(EXCUSED, index) != "deferred"
            and self.of(LAST, index) not in ENDED
        ]

    def done(self) -> bool:
        return all(self.of(LAST, index) in ENDED for index in range(len(self.plans)))

    def tick(self, now: int) -> None:
        seen = dict(self.states)
        for index, plan in enumerate(self.plans):
            gate = self.of(GATE, index)
            if gate is None and now >= plan.arrives:
                self.set(GATE, index, "scheduled")
            elif gate == "scheduled":
                self.set(GATE, index, "queued")
            elif gate == "queued":
                self.set(GATE, index, "running")
            elif gate in ("running", "deferred"):
                self._at_the_gate(index, now, seen)
            elif gate == "success":
                self._past_the_gate(index, plan)

    def _at_the_gate(self, index: int, now: int, seen: dict[str, str | None]) -> None:
        if index in self.looks:
            due, answer = self.looks[index]
            if now < due:
                return
            del self.looks[index]
            self.set(GATE, index, "success" if answer else "deferred")
            if answer:
                self.passed.append(index)
        elif self.random.random() < 0.5:
            self.looks[index] = (now + self.delay, may_start(index, seen, **TASKS, at_once=self.at_once))

    def _past_the_gate(self, index: int, plan: Plan) -> None:
        drain, last = self.of(EXCUSED, index), self.of(LAST, index)
        left = self.timers.get(index, 0) - 1
        self.timers[index] = left
        if drain is None:
            self.set(EXCUSED, index, "running")
        elif drain == "running":
            self.set(EXCUSED, index, "deferred" if plan.drain else "success")
            self.timers[index] = plan.drain or plan.work
        elif drain == "deferred" and left <= 0:
            self.late.add(index)
            self.set(EXCUSED, index, "failed" if plan.drain_fails else "success")
            self.timers[index] = plan.work
            if plan.drain_fails:
                self.set(LAST, index, "upstream_failed")
        elif drain == "success" and left <= 0 and last not in ENDED:
            self.set(LAST, index, "success" if last == "running" else "running")


PLANS = st.lists(
    st.builds(Plan, st.integers(0, 6), st.just(0) | st.integers(1, 30), st.integers(1, 10), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(PLANS, st.integers(1, 4), st.integers(0, 1), st.randoms(use_true_random=False))
def test_a_whole_night_keeps_to_the_number_and_forgets_nobody(plans, at_once, delay, random):
    if delay:  # one that comes to the gate while one behind it is being let in may be one too many
        plans = sorted(plans, key=lambda plan: plan.arrives)
    night = Night(plans, at_once, delay, random)
    for now in range(10_000):
        night.tick(now)
        punctual = [index for index in night.inside() if index not in night.late]
        assert len(punctual) <= at_once
        if night.done():
            break
    assert night.done()
    assert sorted(night.passed) == list(range(len(plans)))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(1, 4), st.integers(1, 10), st.randoms(use_true_random=False))
def test_who_comes_together_starts_by_index(number, at_once, work, random):
    night = Night([Plan(0, 0, work, False)] * number, at_once, 0, random)
    for now in range(10_000):
        night.tick(now)
        if night.done():
            break
    # Those that may start at the same moment notice it in any order, and one may take long to notice.
    for place, index in enumerate(night.passed):
        assert len(set(range(index)) - set(night.passed[:place])) < at_once


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10), st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_service_that_waits_for_its_batches_holds_nobody_up(others, at_once, random):
    slow = [Plan(0, 5_000, 1, False)] * at_once
    night = Night(slow + [Plan(0, 0, 3, False)] * others, at_once, 0, random)
    for now in range(1_000):
        night.tick(now)
    assert [night.of(LAST, index) for index in range(at_once, at_once + others)] == ["success"] * others
    assert [night.of(EXCUSED, index) for index in range(at_once)] == ["deferred"] * at_once
