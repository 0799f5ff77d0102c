"""Answers that cannot be true together, and those that traffic between two queries explains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.tracking.contradictions import (
    all_of,
    between,
    confirmed,
    in_time,
    shrunk,
    without,
)
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from hypothesis import given
from hypothesis import strategies as st

SINCE = datetime(2026, 1, 1, 2, tzinfo=UTC)
NOW = SINCE + timedelta(days=1)
BEFORE, AFTER, LATER = (SINCE + timedelta(hours=hours) for hours in (-1, 1, 2))


def use(
    highest: int | None, latest: int | None, used: int, last_used: datetime | None = AFTER, name: str = "Fabrikam"
) -> ControlNumberUse:
    return ControlNumberUse(name, "interchange", highest, latest, used, last_used)


FITTING = {
    "nothing at all": ([], []),
    "nothing since": ([], [use(900, 900, 900, BEFORE)]),
    "some since": ([use(910, 910, 10)], [use(910, 910, 910)]),
    "another agreement too": ([use(910, 910, 10)], [use(910, 910, 910), use(5, 5, 5, BEFORE, "Litware")]),
    "rollover": ([use(999, 3, 10)], [use(999, 3, 2000)]),
    "names in another case": ([use(910, 910, 10, name="FABRIKAM")], [use(910, 910, 910)]),
    "nothing told": ([use(None, None, 10, None)], [use(None, None, 910, None)]),
    "ever says no time": ([], [use(900, 900, 900, None)]),
    "day of the backup": ([], [use(900, 900, 900, datetime(2026, 1, 1, tzinfo=UTC))]),
    "days on both sides": ([use(9, 9, 9, datetime(2026, 1, 1, tzinfo=UTC))], [use(9, 9, 9, AFTER)]),
}


@pytest.mark.parametrize(("uses", "ever"), FITTING.values(), ids=FITTING)
def test_answers_that_fit(uses, ever):
    assert between(SINCE, uses, ever) == []


CERTAIN = {
    "never at all": (
        [use(910, 910, 10)],
        [],
        "(10 used, highest 910, latest 910, last used at 2026-01-01 03:00:00 UTC",
    ),
    "more since than ever": ([use(910, 910, 10)], [use(910, 910, 9)], "more were used since then than ever"),
    "highest above highest": ([use(910, None, 10)], [use(909, None, 910)], "highest since then is above the highest"),
    "later than ever": ([use(910, 910, 10, LATER)], [use(910, 910, 910, AFTER)], "later than the last one ever"),
}


@pytest.mark.parametrize(("uses", "ever", "said"), CERTAIN.values(), ids=CERTAIN)
def test_answers_that_no_traffic_explains(uses, ever, said):
    (found,) = between(SINCE, uses, ever)
    assert said in found.sentence
    assert found.sentence.startswith("Fabrikam, interchange")
    assert not found.may_be_traffic
    grown = [use(1000, 1000, 100, NOW)]
    assert confirmed(found, uses, ever, grown)


TRAFFIC = {
    "none since": ([], [use(910, 910, 910, LATER)], "was not used since 2026-01-01 02:00:00 UTC, and was last used at"),
    "another latest": (
        [use(910, 910, 10)],
        [use(911, 911, 911, LATER)],
        "the latest since then is not the latest ever",
    ),
    "later": ([use(910, None, 10)], [use(911, None, 911, LATER)], "the last use ever is later"),
}


@pytest.mark.parametrize(("uses", "ever", "said"), TRAFFIC.values(), ids=TRAFFIC)
def test_answers_that_traffic_may_explain(uses, ever, said):
    (found,) = between(SINCE, uses, ever)
    assert said in found.sentence
    assert found.may_be_traffic
    assert confirmed(found, uses, ever, uses), "nothing moved"
    assert confirmed(found, uses, ever, [use(911, 911, 11, AFTER)]), "it moved, and does not reach what ever names"
    assert not confirmed(found, uses, ever, [use(911, 911, 11, LATER)])
    assert not confirmed(found, uses, ever, [use(920, 920, 20, NOW)])


@pytest.mark.parametrize(
    ("last_used", "said"),
    [
        (BEFORE, "before 2026-01-01 02:00:00 UTC, since when it was asked"),
        (SINCE - timedelta(seconds=2), "before"),
        (datetime(2025, 12, 31, tzinfo=UTC), "before"),
        (NOW + timedelta(minutes=6), "later than the query, 2026-01-02 02:00:00 UTC"),
    ],
)
def test_times_that_cannot_be(last_used, said):
    (found,) = in_time([use(910, 910, 10, last_used), use(5, 5, 5, AFTER, "Litware")], since=SINCE, checked_at=NOW)
    assert said in found.sentence


@pytest.mark.parametrize(
    "last_used",
    [None, SINCE, SINCE - timedelta(milliseconds=4), NOW + timedelta(minutes=4), datetime(2026, 1, 1, tzinfo=UTC)],
)
def test_times_that_can_be(last_used):
    assert in_time([use(910, 910, 10, last_used)], since=SINCE, checked_at=NOW) == []


@pytest.mark.parametrize("second", [[], [use(910, 910, 9)], [use(909, 909, 10)]])
def test_the_same_question_with_less(second):
    (found,) = shrunk([use(910, 910, 10), use(1, 1, 1, name="Litware")], [*second, use(1, 1, 1, name="LITWARE")])
    assert "the same query said 10 used, highest 910" in found.sentence
    assert shrunk(second, [use(910, 910, 10)]) == []


def test_what_contradicts_itself_is_unknown_and_the_rest_stays():
    litware = use(5, 5, 5, AFTER, "Litware")
    report = UseReport(uses=(use(910, 910, 10), litware), ever=(litware,), source="s", since=SINCE, checked_at=NOW)
    result = without(report, all_of(report, NOW))
    assert result.problem.startswith("The answers contradict themselves, so none of them is believed: Fabrikam, inter")
    assert result.problem.endswith("its times (type and time zone), or the clock.")
    assert result.use_of("Fabrikam", "interchange") is None
    assert result.ever_of("Fabrikam", "interchange") is None
    assert (result.use_of("Litware", "interchange"), result.ever_of("Litware", "interchange")) == (litware, litware)


def test_many_contradictions_are_summed_up():
    uses = tuple(use(910, 910, 10, name=f"Fabrikam {number}") for number in range(5))
    report = UseReport(uses=uses, ever=(), source="s", since=SINCE, checked_at=NOW)
    result = without(report, all_of(report, NOW))
    assert "; and 2 more. Correct" in result.problem
    assert without(report, []) is report


# --- a counter that is watched while it counts -----------------------------------------------------------------------

RANGE = 50


def seen(given_out: list[tuple[int, datetime]], since: datetime, until: datetime) -> list[ControlNumberUse]:
    """What a right query answers at a moment."""
    numbers = [number for number, at in given_out if since <= at <= until]
    last = max((at for _, at in given_out if since <= at <= until), default=None)
    return [use(max(numbers), numbers[-1], len(numbers), last)] if numbers else []


@given(
    steps=st.lists(st.integers(0, 3600), max_size=120),
    first=st.integers(1, RANGE),
    asked=st.tuples(*[st.integers(0, 7200)] * 3).map(sorted),
)
def test_a_right_query_never_contradicts_itself(steps, first, asked):
    """Numbers are given out, with rollover, while the service is asked since, since ever, and since again."""
    at, given_out = SINCE - timedelta(hours=20), []
    for count, step in enumerate(steps):
        at += timedelta(seconds=step)
        given_out.append(((first + count) % RANGE + 1, at))
    one, two, three = (SINCE + timedelta(hours=5, seconds=seconds) for seconds in asked)
    uses, ever, again = seen(given_out, SINCE, one), seen(given_out, EVER, two), seen(given_out, SINCE, three)
    found = between(SINCE, uses, ever)
    assert [each.sentence for each in found if confirmed(each, uses, ever, again)] == []
    assert shrunk(uses, again) == []


@given(
    numbers=st.lists(st.integers(60, 7200), min_size=1, max_size=40),
    shift=st.timedeltas(timedelta(hours=1), timedelta(hours=14)),
)
def test_a_comparison_that_loses_hours_is_seen_where_times_are_right(numbers, shift):
    """Rows whose times are compared as if they were earlier vanish; their ``last_used`` gives them away."""
    at, given_out = SINCE, []
    for count, step in enumerate(numbers):
        at += timedelta(seconds=step)
        given_out.append((count + 1, at))
    until = at + timedelta(hours=1)
    wrong, ever = seen(given_out, SINCE + shift, until), seen(given_out, SINCE - timedelta(days=1), until)
    found = between(SINCE, wrong, ever)
    if not wrong:
        assert any(confirmed(each, wrong, ever, wrong) for each in found)
