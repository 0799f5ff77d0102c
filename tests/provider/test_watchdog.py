"""The watchdog over suspended services: on the emulator, Azurite, and tickets of runs that are dead or alive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec
from uuid import uuid4

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.flows.watchdog import LeftSuspendedError
from biztalk_services.model.errors import BackupServiceError, OperationNotAllowedError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run as RunOfTicket
from biztalk_services.operators import watchdog
from biztalk_services.provider.alerts import AlertNotifier, FirstFailureNotifier
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator, FindSuspensionsOperator

from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Died, Run, dies_once
from tests.emulator.driver import SUBSCRIPTION

pytestmark = pytest.mark.usefixtures("connections", "clock")

AWAY = {
    "conn_type": "wasb",
    "login": "x",
    "password": "eA==",
    "host": "http://127.0.0.1:1/x",
    "extra": {"retry_total": 0},
}


@pytest.fixture
def places() -> dict[str, str]:
    return {"storage_conn_id": "biztalk_backup_storage", "catalog_container": f"watched-{uuid4().hex[:12]}"}


@pytest.fixture
def tickets(blobs, places) -> SuspensionRecords:
    return SuspensionRecords(blobs, places["catalog_container"])


@pytest.fixture
def left(tickets, emulator) -> Callable[..., SuspensionRecord]:
    """Leaves a service suspended: its state, and an open ticket."""

    def leave(state: str = "Suspended", run_id: str = "dead", hours: float = -1, **changes: Any) -> SuspensionRecord:
        emulator.force(NAME, state)
        opened_at = datetime.now(UTC) + timedelta(hours=hours)
        fields = {"service": SERVICE, "subscription_id": SUBSCRIPTION, "reason": "backup"} | changes
        ticket = SuspensionRecord(
            run=RunOfTicket("nightly", run_id), opened_at=opened_at, back_by=opened_at + timedelta(hours=2), **fields
        )
        tickets.open(ticket)
        return ticket

    return leave


@pytest.fixture
def alerts(monkeypatch) -> list[str]:
    """What was told to people."""
    told: list[str] = []
    monkeypatch.setattr(AlertNotifier, "notify", lambda self, context: told.append(self.subject))
    return told


@pytest.fixture
def watch(places, clock, monkeypatch) -> Callable[..., list[Any]]:
    """One run of the watchdog; answers what each of its looks came to, errors included."""
    clock.rule(monkeypatch, watchdog)

    def once(run: Run | None = None) -> list[Any]:
        run = run or Run(others_that_run={"alive"}, unknown_runs={"unknown"})
        found = run.execute(FindSuspensionsOperator(task_id="find_suspensions", **places))
        answers: list[Any] = []
        for index, entry in enumerate(found):
            step = CheckSuspensionOperator(task_id="bring_back", found=entry, **places)
            try:
                answers.append(run.execute(step, map_index=index))
            except BackupServiceError as error:
                answers.append(error)
        return answers

    return once


def verdicts(answers: list[Any]) -> list[str]:
    return [answer["verdict"] for answer in answers]


def test_without_tickets_nothing_is_looked_at(watch, emulator, asked):
    emulator.force(NAME, "Suspended")
    assert watch() == []
    assert (asked("get"), asked("resume")) == ([], [])
    assert emulator.state(NAME) == "Suspended"


def test_what_a_dead_run_left_is_brought_back_and_told(watch, left, tickets, emulator, happened, alerts):
    ticket = left()
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    assert verdicts(watch()) == ["close"]
    assert tickets.look() == ([], [])
    assert watch() == []
    assert len(happened("resume")) == 1
    resumed, over = alerts
    assert f"Service {SERVICE} was left suspended by run dead of nightly (backup)" in resumed
    assert "It was asked to resume" in resumed
    assert "That is over: it is Active" in over
    assert ticket.service == SERVICE


def test_while_it_resumes_it_is_waited_for(watch, left, emulator, happened):
    emulator.fault("stuck", "resume", service=NAME, count=1)
    left()
    assert verdicts(watch()) == ["resume"]
    assert verdicts(watch()) == ["leave"]
    assert len(happened("resume")) == 1


@pytest.mark.parametrize(("run_id", "hours"), [("alive", -2.4), ("unknown", -1.9), ("dead", -0.01)])
def test_whoever_may_still_bring_it_back_is_given_the_time(run_id, hours, watch, left, emulator, asked):
    left(run_id=run_id, hours=hours)
    assert all(answer["verdict"] == "leave" for answer in watch())
    assert asked("resume") == []
    assert emulator.state(NAME) == "Suspended"


@pytest.mark.parametrize(("run_id", "hours"), [("alive", -2.6), ("unknown", -2.1), ("dead", -0.04)])
def test_and_no_longer(run_id, hours, watch, left, emulator, happened):
    left(run_id=run_id, hours=hours)
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


@pytest.mark.parametrize("state", ["SuspendedFailed", "ResumeFailed"])
def test_a_failed_suspension_or_resumption_is_tried_again(state, watch, left, emulator):
    left(state)
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


def test_a_resumption_that_fails_is_asked_for_again_and_told(watch, left, emulator, happened, alerts):
    emulator.fault("operation-fails", "resume", service=NAME, count=1, message="no machine")
    left()
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "ResumeFailed")
    (error,) = watch()
    assert isinstance(error, LeftSuspendedError)
    emulator.reaches(NAME, "Active")
    assert verdicts(watch()) == ["close"]
    assert len(happened("resume")) == 2
    _, failed, over = alerts
    assert failed.startswith(f"Service {SERVICE} was left suspended by run dead of nightly (backup) and is not back: ")
    assert "It was asked to resume before, and is ResumeFailed." in failed
    assert "failed: InjectedFault no machine. It was asked once more." in failed
    assert "That is over" in over


def test_resumptions_that_keep_failing_are_asked_for_at_each_look_and_told_once_an_hour(
    watch, left, emulator, happened, alerts, clock
):
    emulator.fault("operation-fails", "resume", service=NAME, count=4)
    left()
    assert verdicts(watch()) == ["resume"]
    for hours in (0, 0, 1):
        emulator.reaches(NAME, "ResumeFailed")
        clock.forward(hours=hours)
        (error,) = watch()
        assert isinstance(error, LeftSuspendedError)
    assert len(happened("resume")) == 4
    assert ["is not back" in alert for alert in alerts] == [False, True, True]


def test_a_service_that_is_suspended_still_after_it_was_asked_is_told(watch, left, emulator, alerts):
    left()
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    emulator.force(NAME, "Suspended")
    (error,) = watch()
    assert "and is Suspended. It reports no failed operation. It was asked once more." in str(error)
    emulator.reaches(NAME, "Active")


def test_where_the_chart_knows_no_way_a_person_is_called_once_an_hour(watch, left, emulator, asked, alerts):
    left("Stopped")
    for _ in range(3):
        (error,) = watch()
        assert isinstance(error, LeftSuspendedError)
        assert "Stopped" in str(error)
    assert asked("resume") == []
    (alert,) = alerts
    assert alert.startswith(f"Service {SERVICE} was left suspended by run dead of nightly (backup) and is not back: ")


def test_a_refusal_is_told_and_tried_at_the_next_look(watch, left, emulator, alerts):
    emulator.fault("status", "resume", service=NAME, count=1, status=409, code="ConflictError", message="busy")
    left()
    (error,) = watch()
    assert isinstance(error, OperationNotAllowedError)
    assert len(alerts) == 1
    assert verdicts(watch()) == ["resume"]


def test_a_later_suspension_of_ours_counts(watch, left, tickets, emulator, asked):
    left(hours=-5)
    later = left(run_id="alive", hours=-1)
    assert verdicts(watch()) == ["close"]
    assert tickets.look()[0] == [later]
    assert asked("resume") == []


def test_a_service_that_is_gone_closes_its_ticket(watch, left, tickets):
    left(service="contoso-west-us/contosogone")
    assert verdicts(watch()) == ["leave"]
    assert len(tickets.look()[0]) == 1
    assert verdicts(watch()) == ["close"]
    assert tickets.look() == ([], [])


def test_another_subscription_is_none_of_our_business(watch, left, tickets, asked):
    ticket = left(subscription_id="another")
    assert watch() == []
    assert tickets.look()[0] == [ticket]
    assert asked("resume") == []


def test_a_subscription_is_the_same_in_capital_letters(watch, left, emulator):
    left(subscription_id=SUBSCRIPTION.upper())
    assert verdicts(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


def test_something_that_is_no_ticket_needs_a_person(watch, left, places, blobs, emulator, alerts, clock):
    left()
    path = "suspensions/open/contoso-west-us/contosoorders/broken.json"
    blobs.get_blob_client(places["catalog_container"], path).upload_blob(b"{")
    resumed, error = watch()
    assert resumed["verdict"] == "resume"
    assert path in str(error)
    assert path in alerts[-1]
    watch()
    assert sum(path in alert for alert in alerts) == 1
    clock.forward(hours=1)
    watch()
    assert sum(path in alert for alert in alerts) == 2


def test_a_new_blob_that_is_no_ticket_is_told_while_an_old_one_makes_every_run_red(
    watch, places, tickets, blobs, alerts
):
    container = blobs.get_container_client(places["catalog_container"])
    container.create_container()
    for name in ("old", "new"):
        container.upload_blob(f"suspensions/open/contoso-west-us/contosoorders/{name}.json", b"{")
        watch()
    old, new = alerts
    assert "/old.json" in old
    assert "/new.json" in new


class TestTicketsOfARun:
    @pytest.fixture
    def suspend(self, places) -> SuspendServiceOperator:
        return SuspendServiceOperator(task_id="suspend", service=SERVICE, back_within_minutes=90, **places)

    def resume(self, suspension: Any, places: dict[str, str]) -> ResumeServiceOperator:
        return ResumeServiceOperator(
            task_id="resume", service=SERVICE, suspension=suspension, deadline_minutes=15, **places
        )

    def test_open_from_before_the_suspension_until_it_is_back(self, suspend, places, tickets, run, emulator):
        suspension = run.execute(suspend)
        (ticket,) = tickets.look()[0]
        assert (ticket.service, ticket.run) == (SERVICE, RunOfTicket("nightly", run.run_id))
        assert (ticket.subscription_id, ticket.reason) == (SUBSCRIPTION, "backup")
        assert ticket.back_by - ticket.opened_at == timedelta(minutes=90)
        emulator.reaches(NAME, "Suspended")
        run.execute(self.resume(suspension, places))
        assert tickets.look() == ([], [])

    @pytest.mark.parametrize("after", [False, True])
    def test_a_worker_that_dies_at_the_request_leaves_a_ticket(self, after, suspend, tickets, run, monkeypatch):
        from biztalk_services.provider.hook import BizTalkServicesHook

        dies_once(monkeypatch, BizTalkServicesHook, "suspend", after=after)
        with pytest.raises(Died):
            run.execute(suspend)
        (ticket,) = tickets.look()[0]
        assert ticket.run.run_id == run.run_id

    def test_without_a_ticket_nothing_is_asked(self, suspend, places, run, connect, asked):
        connect("biztalk_backup_storage", AWAY)
        with pytest.raises(BackupServiceError, match="claim service"):
            run.execute(suspend)
        assert asked("suspend") == []
        assert run.store("suspend").get("asked") is None

    def test_a_request_that_was_not_taken_leaves_none(self, suspend, tickets, run, emulator):
        emulator.fault("status", "suspend", service=NAME, count=1)
        with pytest.raises(BackupServiceError):
            run.execute(suspend)
        assert tickets.look() == ([], [])

    @pytest.mark.parametrize("state", ["Suspended", "Stopped"])
    def test_none_for_what_somebody_else_suspended(self, state, suspend, places, tickets, run, emulator):
        emulator.force(NAME, state)
        suspension = run.execute(suspend)
        assert tickets.look() == ([], [])
        run.execute(self.resume(suspension, places))
        assert emulator.state(NAME) == state

    def test_storage_that_is_away_does_not_keep_a_service_from_coming_back(
        self, suspend, places, tickets, run, emulator, connect
    ):
        suspension = run.execute(suspend)
        emulator.reaches(NAME, "Suspended")
        connect("biztalk_backup_storage", AWAY)
        assert run.execute(self.resume(suspension, places))["state"] == "Active"
        assert len(tickets.look()[0]) == 1


class TestFirstFailure:
    NOW = datetime(2026, 1, 1, 2, 7, tzinfo=UTC)

    def tell(self, before: SimpleNamespace | None, now: datetime | None = NOW) -> None:
        ti = create_autospec(RuntimeTaskInstance, instance=True)
        ti.get_previous_ti.return_value = before
        FirstFailureNotifier(subject="blind").notify({"ti": ti, "dag_run": SimpleNamespace(logical_date=now)})

    @pytest.mark.parametrize(
        ("state", "minutes", "told"),
        [("success", 1, True), ("skipped", 1, True), ("failed", 1, False), ("failed", 7, False), ("failed", 8, True)],
    )
    def test_it_is_told_when_it_begins_and_once_in_every_hour(self, state, minutes, told, alerts):
        self.tell(SimpleNamespace(state=state, logical_date=self.NOW - timedelta(minutes=minutes)))
        assert alerts == (["blind"] if told else [])

    def test_the_first_run_of_all_tells_it(self, alerts):
        self.tell(None)
        assert alerts == ["blind"]

    def test_a_run_without_a_date_tells_it(self, alerts):
        self.tell(SimpleNamespace(state="failed", logical_date=None), now=None)
        assert alerts == ["blind"]

    @pytest.mark.parametrize("minute", [0, 7, 59])
    def test_a_day_without_sight_is_told_once_an_hour_whenever_the_looks_are(self, minute, alerts):
        looks = [datetime(2026, 1, 1, hour, minute, tzinfo=UTC) for hour in range(24)]
        for before, now in pairwise(looks):
            self.tell(SimpleNamespace(state="failed", logical_date=before), now)
        assert len(alerts) == 23
