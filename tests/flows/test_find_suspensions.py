"""Which suspensions the watchdog checks: of several subscriptions, of two Airflows, of many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from biztalk_services.flows import watchdog
from biztalk_services.flows.watchdog import SETTLING, Action, decide, find_suspensions
from biztalk_services.model.errors import AuthenticationError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.steps import FoundSuspension

from tests.flows.test_find import FakeDriver, fails
from tests.flows.test_watchdog import service

NOW = datetime(2026, 1, 1, 5, tzinfo=UTC)
GRACE = timedelta(minutes=30)
OURS = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
THEIRS = replace(OURS, airflow="e5f60718")
"""The run of the same ids in another Airflow."""


def record(number: int = 0, run: Run = OURS, subscription_id: str = "5f3c", minutes: float = 0) -> SuspensionRecord:
    """
    :param minutes: how long ago the service had to be resumed.
    """
    resume_by = NOW - timedelta(minutes=minutes)
    opened_at = resume_by - timedelta(hours=2)
    return SuspensionRecord(f"west/orders{number}", subscription_id, run, "backup", opened_at, resume_by)


class FakeArchive:
    def __init__(self, records: list[SuspensionRecord], problems: list[str]) -> None:
        self.suspensions = SimpleNamespace(list_open=lambda: (list(records), list(problems)))


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock."""

    def sets(moment: datetime) -> None:
        monkeypatch.setattr(watchdog, "datetime", SimpleNamespace(now=lambda zone: moment))

    sets(NOW)
    return sets


def state_of(run: Run) -> RunState:
    """What this Airflow knows, in which no run is active."""
    return RunState.ENDED if run.airflow == OURS.airflow else RunState.UNKNOWN


def found(
    records: list[SuspensionRecord],
    problems: tuple[str, ...] = (),
    most: int = 500,
    state: Callable[[Run], RunState] = state_of,
    **drivers: Any,
) -> list[FoundSuspension]:
    drivers = drivers or {"north": lambda: FakeDriver("5f3c"), "south": lambda: FakeDriver("0b51")}
    return find_suspensions(drivers, FakeArchive(records, list(problems)), state, GRACE, most=most)[0]


def services(suspensions: list[FoundSuspension]) -> list[str]:
    return [each.record["service"] for each in suspensions if each.record]


def problems_of(suspensions: list[FoundSuspension]) -> list[str]:
    return [each.problem for each in suspensions if each.problem]


# --- two Airflows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Suspended", "SuspendedFailed", "ResumeFailed"])
def test_amid_the_backup_of_the_other_airflow_nothing_is_done(state):
    """The run of these ids has ended here, and that says nothing of the other Airflow's."""
    opened_at = NOW - SETTLING - timedelta(minutes=1)
    theirs = replace(record(run=THEIRS), opened_at=opened_at, resume_by=NOW + timedelta(hours=1))
    (each,) = found([theirs])
    assert each.run_state is RunState.UNKNOWN
    for at, action in ((NOW, Action.LEAVE), (theirs.resume_by, Action.RESUME)):
        decided, _ = decide(
            theirs, service(state), run_state=each.run_state, superseded=each.superseded, now=at, grace=GRACE
        )
        assert decided is action
    (own,) = found([replace(theirs, run=OURS)])
    decided, _ = decide(
        theirs, service(state), run_state=own.run_state, superseded=own.superseded, now=NOW, grace=GRACE
    )
    assert decided is Action.RESUME


def test_a_record_without_airflow_is_one_of_a_run_that_is_not_known():
    """An earlier version wrote it."""
    (each,) = found([record(run=replace(OURS, airflow=""), minutes=-60)])
    assert each.run_state is RunState.UNKNOWN


def test_each_run_is_asked_for_once():
    asked: list[Run] = []
    found([record(1), record(2), record(3, THEIRS)], state=lambda run: asked.append(run) or state_of(run))
    assert asked == [OURS, THEIRS]


# --- several subscriptions -------------------------------------------------------------------------------------------


def test_each_is_checked_through_its_own_connection():
    records = [record(1), record(1, subscription_id="0B51"), record(1, subscription_id="another")]
    assert [(each.conn_id, each.superseded) for each in found(records)] == [("north", False), ("south", False)]


def test_a_later_record_supersedes_one_of_its_own_subscription_only():
    records = [record(1, minutes=60), record(1, subscription_id="0b51", minutes=30), record(1, minutes=10)]
    assert [each.superseded for each in found(records)] == [True, False, False]


@pytest.mark.parametrize("error", [AuthenticationError("The certificate was rejected."), KeyError("host")])
def test_a_broken_connection_is_a_problem_and_no_more(error):
    suspensions = found(
        [record(1), record(2, subscription_id="0b51")], north=fails(error), south=lambda: FakeDriver("0b51")
    )
    assert services(suspensions) == ["west/orders2"]
    (problem,) = problems_of(suspensions)
    assert problem.startswith(
        "Connection north cannot be used, so what is suspended in its subscription is not checked: "
    )


# --- many ------------------------------------------------------------------------------------------------------------

MANY = [record(number, minutes=number) for number in range(1500)]
DUE_FIRST = [each.service for each in reversed(MANY)]


def test_of_1500_those_that_are_due_first_are_checked_each_time(now):
    for minute in range(3):
        now(NOW + timedelta(minutes=minute))
        suspensions = found(MANY)
        assert len(suspensions) == 500
        assert services(suspensions)[:249] == DUE_FIRST[:249]
        assert len(set(services(suspensions))) == 499
        (problem,) = problems_of(suspensions)
        assert problem.startswith("More suspensions have to be checked than can be at once (500)")


@pytest.mark.parametrize(("most", "checks"), [(500, 7), (1024, 3), (100, 40)])
def test_none_waits_behind_those_that_only_a_person_can_help(now, most, checks):
    seen: set[str] = set()
    for minute in range(checks):
        now(NOW + timedelta(minutes=minute))
        seen.update(services(found(MANY, most=most)))
    assert seen == set(DUE_FIRST)


@pytest.mark.parametrize("count", [1, 40, 499, 600, 5000])
def test_problems_leave_room_for_suspensions(count):
    suspensions = found(MANY, tuple(f"blob {number} is none" for number in range(count)))
    assert len(suspensions) == 500
    assert len(services(suspensions)) >= 450
    assert problems_of(suspensions)[0].startswith("More suspensions have to be checked")
    assert problems_of(suspensions)[1] == "blob 0 is none" or count > 5000
    if count > 49:
        assert problems_of(suspensions)[-1].startswith("There are more problems than can be shown")


@pytest.mark.parametrize("most", [1, 2, 3, 10])
@pytest.mark.parametrize("problems", [0, 1, 5])
def test_under_a_low_limit_the_first_is_checked(most, problems):
    suspensions = found(MANY[:20], tuple(f"blob {number}" for number in range(problems)), most=most)
    assert len(suspensions) <= most
    assert services(suspensions)[0] == DUE_FIRST[-20]


def test_few_are_all_checked():
    suspensions = found(MANY[:400], tuple(f"blob {number}" for number in range(100)))
    assert (len(services(suspensions)), len(problems_of(suspensions))) == (400, 100)


def test_all_that_is_left_out_is_in_the_log(caplog):
    found(MANY[:5], tuple(f"blob {number} is none" for number in range(100)), most=10)
    assert all(f"blob {number} is none" in caplog.text for number in range(100))


def test_those_whose_run_has_time_left_are_left_out():
    active = [record(number, minutes=-60) for number in range(1500)]
    assert found([*active, record(9000)], state=lambda run: RunState.ACTIVE, most=2) == []
    late = record(9000, minutes=31)
    assert services(found([*active, late], state=lambda run: RunState.ACTIVE, most=2)) == [late.service]
