from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.flows.polling import Patience, next_interval
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("elapsed", "interval"), [(0, 0.5), (5, 0.5), (10, 1.0), (60, 6.0), (300, 30.0), (3600, 30.0), (-5, 0.5)]
)
def test_quick_at_first_slower_later(elapsed, interval):
    assert next_interval(elapsed) == pytest.approx(interval)


def test_retry_after_is_honoured_up_to_a_bound():
    assert next_interval(0, 7) == 7
    assert next_interval(300, 7) == 30
    assert next_interval(0, 60) == 60
    assert next_interval(0, 86400) == 300
    assert next_interval(0, 0) == 0.5


@given(st.floats(0, 1e9), st.none() | st.floats(0, 1e9))
def test_every_interval_is_bounded(elapsed, retry_after):
    assert 0.5 <= next_interval(elapsed) <= 30
    assert min(retry_after or 0, 300) <= next_interval(elapsed, retry_after) <= 300


def test_patience_ends_when_errors_in_a_row_have_lasted_too_long():
    patience = Patience(60)
    assert not patience.exhausted_by_trouble(NOW)
    assert not patience.exhausted_by_trouble(NOW + timedelta(seconds=59))
    assert patience.exhausted_by_trouble(NOW + timedelta(seconds=60))
    assert patience.errors == 3


def test_an_answer_restores_patience():
    patience = Patience()
    assert patience.seconds == 300
    patience.exhausted_by_trouble(NOW)
    patience.answered()
    assert not patience.exhausted_by_trouble(NOW + timedelta(hours=1))
    assert patience.errors == 1


def test_no_patience_at_all():
    assert Patience(0).exhausted_by_trouble(NOW)
