"""The steps of a range, and the numbers left before one that is taboo."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.numbers.ranges import Range
from biztalk_services.drivers.biztalk.numbers.walk import Walk, merged, room
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.numbering import Numbering

ROUND = Range(1, 10, rollover=True)
STRICT = Range(1, 10)


@given(st.integers(1, 20), st.integers(1, 12), st.none() | st.integers(0, 35), st.integers(1, 40), st.booleans())
def test_steps_are_the_numbers_that_a_service_gives_out(lower, size, last, count, rollover):
    pattern = Range(lower, lower + size - 1, rollover=rollover)
    walk, numbers = Walk(pattern, last), Numbering(pattern, last).give_up_to(count)
    assert [walk.number(step) for step in range(1, len(numbers) + 1)] == numbers
    for step, number in enumerate(numbers, 1):
        assert walk.step(number) == (step - 1) % size + 1
        assert walk.steps_to(number, step) == step
        spans = walk.spans(1, step)
        assert {each for begin, end in spans for each in range(begin, end + 1)} == set(numbers[:step])


@pytest.mark.parametrize(("used", "steps"), [(1, 3), (3, 3), (4, 13), (13, 13), (14, 23), (23, 23)])
def test_whole_rounds(used, steps):
    assert Walk(ROUND, 10).steps_to(3, used) == steps


def test_no_step_leads_there():
    assert Walk(ROUND, 5).step(11) is None
    assert Walk(STRICT, 5).step(5) is None
    assert Walk(STRICT, 10).step(10) is None
    assert Walk(STRICT, 5).steps_to(7, 3) is None


def test_steps_before_the_first():
    assert Walk(ROUND, 2).spans(-3, 2) == ((9, 10), (1, 4))
    assert Walk(ROUND, 2).spans(-7, 2) == ((1, 10),)
    assert Walk(ROUND, 2).spans(1, 0) == ()
    assert Walk(Range(5, 9), 6).spans(0, 2) == ((6, 8),)


def test_merged_spans():
    assert merged([(7, 9), (1, 3), (4, 4), (8, 8), (11, 12)]) == ((1, 4), (7, 9), (11, 12))


@pytest.mark.parametrize(
    ("restored", "last", "taboo", "expected"),
    [
        (ROUND, 4, (), (5, 10)),
        (STRICT, 4, (), (5, 6)),
        (ROUND, 4, ((8, 9),), (5, 3)),
        (ROUND, 4, ((2, 2),), (5, 7)),
        (ROUND, 4, ((2, 2), (5, 5)), (5, 0)),
        (STRICT, 10, (), (None, 0)),
        (ROUND, 10, ((0, 0), (11, 99)), (1, 10)),
        (Range(3, 7, rollover=True), 9, ((3, 3),), (3, 0)),
    ],
)
def test_room(restored, last, taboo, expected):
    assert room(restored, last, taboo) == expected
