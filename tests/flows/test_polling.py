"""How often a wait polls, and how long it tolerates errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.flows.poll_loop import ErrorTolerance, next_interval
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("elapsed", "interval"), [(0, 0.5), (10, 0.5), (20, 1.0), (120, 6.0), (600, 30.0), (3600, 30.0), (-5, 0.5)]
)
def test_short_at_first_longer_later(elapsed, interval):
    assert next_interval(elapsed) == pytest.approx(interval)


def test_retry_after_counts_up_to_a_bound():
    assert next_interval(0, 7) == 7
    assert next_interval(600, 7) == 30
    assert next_interval(0, 60) == 60
    assert next_interval(0, 86400) == 300
    assert next_interval(0, 0) == 0.5


@given(st.floats(0, 1e9), st.none() | st.floats(0, 1e9))
def test_every_interval_is_bounded(elapsed, retry_after):
    assert 0.5 <= next_interval(elapsed) <= 30
    assert min(retry_after or 0, 300) <= next_interval(elapsed, retry_after) <= 300


def test_errors_in_a_row_are_tolerated_for_a_time():
    tolerance = ErrorTolerance(60)
    assert not tolerance.is_exceeded_by_error(NOW, NOW)
    assert not tolerance.is_exceeded_by_error(*[NOW + timedelta(seconds=59)] * 2)
    assert tolerance.is_exceeded_by_error(*[NOW + timedelta(seconds=60)] * 2)
    assert tolerance.since == NOW


def test_the_time_of_a_poll_that_failed_counts():
    assert not ErrorTolerance(60).is_exceeded_by_error(NOW, NOW + timedelta(seconds=59))
    assert ErrorTolerance(60).is_exceeded_by_error(NOW, NOW + timedelta(seconds=60))


def test_a_poll_may_take_what_earlier_ones_have_left():
    tolerance = ErrorTolerance(60)
    assert tolerance.seconds_left(NOW) == 60
    tolerance.is_exceeded_by_error(NOW, NOW)
    assert tolerance.seconds_left(NOW + timedelta(seconds=45)) == 15
    tolerance.succeeded()
    assert tolerance.seconds_left(NOW + timedelta(seconds=45)) == 60


def test_a_success_resets_the_tolerance():
    tolerance = ErrorTolerance()
    assert tolerance.seconds == 300
    tolerance.is_exceeded_by_error(NOW, NOW)
    tolerance.succeeded()
    later = NOW + timedelta(hours=1)
    assert not tolerance.is_exceeded_by_error(later, later)
    assert tolerance.since == later


def test_no_tolerance_at_all():
    assert ErrorTolerance(0).is_exceeded_by_error(NOW, NOW)
