"""Slots: a few services at a time, first come, first served; shown on whole nights."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from biztalk_services.archive.errors import StorageError
from biztalk_services.archive.suspensions import OpenName
from biztalk_services.flows import shared_look
from biztalk_services.flows.slots import FORGOTTEN_AFTER, PACE, Asker, Ledger, Slots
from hypothesis import given, settings
from hypothesis import strategies as st

NIGHT = datetime(2026, 1, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def asker(number: int) -> Asker:
    return Asker(NIGHT + timedelta(seconds=number), f"{number:012x}")


class Line:
    """A ledger and its clock."""

    def __init__(self, max_parallel: int) -> None:
        self.max_parallel = max_parallel
        self.now = 0.0
        self.ledger = Ledger(lambda: self.now)

    def may(self, number: int, *suspended: int) -> bool:
        """Whether one may pass that asks now, while these are suspended; then it has passed."""
        delay = self.passes_in(number, *suspended)
        self.now += delay or 0.0
        return delay is not None

    def passes_in(self, number: int, *suspended: int) -> float | None:
        self.ledger.ask(asker(number))
        return self.ledger.lets_through(asker(number), [asker(each).mark for each in suspended], self.max_parallel)


def test_the_first_ones_pass_at_once():
    line = Line(2)
    assert [line.may(number) for number in range(5)] == [True, True, False, False, False]


def test_those_that_find_slots_pass_one_after_the_other():
    line = Line(6)
    assert [line.passes_in(number) for number in range(6)] == [0, PACE, 2 * PACE, None, None, None]
    assert line.passes_in(1) == 0, "it has passed"
    line.now = 2 * PACE
    assert [line.passes_in(number) for number in range(3, 6)] == [PACE, 2 * PACE, None]
    line.now = 10 * PACE
    assert line.passes_in(5) == 0


def test_they_pass_in_the_order_of_their_runs():
    line = Line(1)
    assert [line.may(7, 1), line.may(5, 1), line.may(7), line.may(5)] == [False, False, False, True]
    assert [line.may(7, 5), line.may(7)] == [False, True]


def test_two_that_find_two_slots_pass_whoever_notices_first():
    line = Line(2)
    assert not any([line.may(5, 1, 2), line.may(7, 1, 2), line.may(8, 1, 2)])
    assert [line.may(8), line.may(7), line.may(5)] == [False, True, True]


def test_one_that_was_let_through_takes_a_slot_until_its_record_shows_and_then_the_record_does():
    line = Line(1)
    assert line.may(1)
    assert not line.may(2)
    assert not line.may(2, 1)
    assert line.may(2)


def test_one_that_is_let_through_and_suspends_nothing_has_no_slot_after_a_minute():
    line = Line(1)
    assert line.may(1)
    line.now = FORGOTTEN_AFTER - 1
    assert not line.may(2)
    line.now = FORGOTTEN_AFTER
    assert line.may(2)


def test_one_that_does_not_ask_any_more_keeps_nobody_waiting():
    line = Line(1)
    assert not line.may(1, 9)
    line.now = FORGOTTEN_AFTER - 1
    assert not line.may(2)
    line.now = FORGOTTEN_AFTER
    assert line.may(2)


def test_one_that_was_let_through_may_pass_again():
    """Another triggerer, or a retry, goes on with its wait."""
    line = Line(1)
    assert line.may(1)
    assert line.may(1)
    assert line.may(1, 1)
    assert not line.may(2, 1)


def test_one_that_is_suspended_passes_though_nothing_is_free():
    line = Line(1)
    assert line.may(1, 1, 2)
    assert not line.may(3, 1, 2)


def test_more_suspended_than_slots_let_nobody_through():
    assert not Line(2).may(1, 2, 3, 4, 5)


# --- the records -----------------------------------------------------------------------------------------------------


@dataclass
class Records:
    """The names of the open records; what is an error is raised. Its own archive."""

    names: list[OpenName] | StorageError = field(default_factory=list)
    looks: int = 0
    opened: int = 0

    @property
    def suspensions(self) -> Records:
        return self

    def open(self) -> Any:
        self.opened += 1
        return self

    def open_names(self) -> list[OpenName]:
        self.looks += 1
        if isinstance(self.names, StorageError):
            raise self.names
        return self.names


@pytest.fixture
def records(monkeypatch) -> Records:
    monkeypatch.setattr(shared_look, "sleep", lambda seconds: None)
    return Records()


def opened(ago: timedelta, mark: str = "0" * 12) -> OpenName:
    return OpenName(datetime.now(UTC) - ago, mark)


def test_a_record_of_long_ago_takes_no_slot(records):
    slots = Slots(records.open)
    records.names = [opened(HOUR / 2)]
    assert not slots.ask(asker(1), 1, HOUR)
    records.names = [opened(2 * HOUR), opened(30 * HOUR)]
    assert slots.ask(asker(1), 1, HOUR)


def test_an_archive_that_fails_lets_nobody_through_and_is_opened_anew(records):
    slots = Slots(records.open)
    records.names = StorageError("It is not reached.")
    with pytest.raises(StorageError):
        slots.ask(asker(1), 1, HOUR)
    records.names = []
    assert slots.ask(asker(1), 1, HOUR)
    assert not slots.ask(asker(2), 1, HOUR)
    assert (records.looks, records.opened) == (3, 2)


# --- whole nights ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What one service does, in seconds: when it comes, how soon it is suspended, for how long."""

    arrives: int
    begins: int
    work: int


class Night:
    """Services that ask every few seconds, and are suspended some time after they were let through."""

    def __init__(self, plans: list[Plan], max_parallel: int, random: Random) -> None:
        self.plans = plans
        self.line = Line(max_parallel)
        self.random = random
        self.passed: dict[int, int] = {}

    def suspended(self, now: int) -> list[int]:
        return [
            number
            for number, at in self.passed.items()
            if at + self.plans[number].begins <= now < at + self.plans[number].begins + self.plans[number].work
        ]

    def tick(self, now: int) -> None:
        self.line.now = now
        waiting = [
            number for number, plan in enumerate(self.plans) if plan.arrives <= now and number not in self.passed
        ]
        for number in self.random.sample(waiting, len(waiting)):
            if self.random.random() < 0.7 and self.line.may(number, *self.suspended(now)):
                self.passed[number] = now


PLANS = st.lists(st.builds(Plan, st.integers(0, 30), st.integers(0, 50), st.integers(1, 40)), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(PLANS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_whole_night_keeps_to_the_number_and_forgets_none(plans, max_parallel, random):
    night = Night(plans, max_parallel, random)
    for now in range(0, 12 * 400, 3):
        night.tick(now)
        assert len(night.suspended(now)) <= max_parallel
        if len(night.passed) == len(plans):
            return
    raise AssertionError("some were forgotten")


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(1, 4), st.randoms(use_true_random=False))
def test_those_that_come_together_pass_in_order(number, max_parallel, random):
    night = Night([Plan(0, 1, 5)] * number, max_parallel, random)
    for each in range(number):
        night.line.ledger.ask(asker(each))
    for now in range(200):
        night.tick(now)
    assert len(night.passed) == number
    for place, passed in enumerate(night.passed):
        assert len(set(range(passed)) - set(list(night.passed)[:place])) < max_parallel
