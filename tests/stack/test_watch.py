"""Following a run to its end, with a deadline."""

from __future__ import annotations

import itertools

import pytest
import requests

from stack import watch
from stack.errors import StackError


class Airflow:
    """Returns `states` one after another, the last of them repeatedly; an exception among them is raised."""

    url = "http://127.0.0.1:1"

    def __init__(self, *states, healthy=True):
        self._states = itertools.chain(states, itertools.repeat(states[-1]))
        self.healthy = lambda: healthy

    def run(self, dag_id, run_id):
        state = next(self._states)
        if isinstance(state, Exception):
            raise state
        return {"state": state}

    def task_instances(self, dag_id, run_id):
        return [{"task_id": "back_up"}]


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only by sleeping; returns how many seconds have passed."""
    passed = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: passed[0])

        @staticmethod
        def sleep(seconds):
            passed[0] += seconds
            assert passed[0] < 2 * watch.RUN_SECONDS, "waits without a deadline"

    monkeypatch.setattr(watch, "time", Clock)
    return passed


def follow(airflow, shown=None):
    return watch.follow(airflow, "nightly", "run-1", (shown if shown is not None else []).append)


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_run_is_followed_to_its_end(clock, end):
    shown = []
    assert follow(Airflow("queued", "running", end), shown) == end
    assert len(shown) == 3


def test_an_api_server_that_is_down_for_a_moment_is_waited_for(clock):
    refused = requests.ConnectionError("refused")
    assert follow(Airflow("running", refused, requests.Timeout("slow"), refused, "running", "success")) == "success"


@pytest.mark.parametrize(
    ("airflow", "after", "reason"),
    [
        (Airflow("queued"), watch.START_SECONDS, "has not started within 300 seconds; another run"),
        (Airflow("running"), watch.RUN_SECONDS, "is still running after 60 minutes; it goes on, see http"),
        (Airflow("running", healthy=False), watch.UNHEALTHY_SECONDS, "has not been healthy for 120 seconds"),
        (Airflow(requests.ConnectionError("refused")), watch.UNHEALTHY_SECONDS, "has not been healthy for 120 seconds"),
    ],
)
def test_a_wait_that_leads_nowhere_ends_with_one_sentence(clock, airflow, after, reason):
    with pytest.raises(StackError, match=reason) as refusal:
        follow(airflow)
    assert after < clock[0] <= after + 5
    assert "\n" not in str(refusal.value)
