"""The watchdog over suspended services: on the emulator, Azurite, and suspension records of runs in every state."""

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
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.flows import watchdog
from biztalk_services.flows.watchdog import LeftSuspendedError
from biztalk_services.model.errors import BackupServiceError, OperationNotAllowedError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.provider.alerts import AlertNotifier, FirstFailureNotifier
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator, FindSuspensionsOperator

from tests.conftest import AIRFLOW_ID
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Died, Run, dies_once

pytestmark = pytest.mark.usefixtures("connections", "clock")

LEFT = f"Service {SERVICE} was left suspended by run dead of nightly in Airflow {AIRFLOW_ID} (backup)"
UNREACHABLE = {
    "conn_type": "wasb",
    "login": "nowhere",
    "password": "eA==",
    "host": "http://127.0.0.1:1/nowhere",
    "extra": {"retry_total": 0},
}


@pytest.fixture
def container() -> str:
    return f"watched-{uuid4().hex[:12]}"


@pytest.fixture
def places(container) -> dict[str, str]:
    return {"archive": f"biztalk_backup_storage/{container}"}


@pytest.fixture
def records(places, connections) -> SuspensionRecords:
    return open_archive(places["archive"]).suspensions


@pytest.fixture
def left(records, emulator) -> Callable[..., SuspensionRecord]:
    """Leaves a service suspended: its state, and an open record."""

    def leave(
        state: str = "Suspended", run_id: str = "dead", hours: float = -1, airflow: str = AIRFLOW_ID, **changes: Any
    ) -> SuspensionRecord:
        emulator.force(NAME, state)
        opened_at = datetime.now(UTC) + timedelta(hours=hours)
        fields = {"service": SERVICE, "subscription_id": SUBSCRIPTION, "reason": "backup"} | changes
        record = SuspensionRecord(
            run=RecordedRun("nightly", run_id, airflow),
            opened_at=opened_at,
            resume_by=opened_at + timedelta(hours=2),
            **fields,
        )
        records.open(record)
        return record

    return leave


@pytest.fixture
def alerts(monkeypatch) -> list[str]:
    """Subjects of the alerts."""
    subjects: list[str] = []
    monkeypatch.setattr(AlertNotifier, "notify", lambda self, context: subjects.append(self.subject))
    return subjects


@pytest.fixture
def watch(places, clock, monkeypatch) -> Callable[..., list[Any]]:
    """One run of the watchdog; returns what each of its checks came to, errors included."""
    clock.rule(monkeypatch, watchdog)

    def once(run: Run | None = None) -> list[Any]:
        run = run or Run(active_runs={"alive"}, unknown_runs={"unknown"})
        suspensions = run.execute(FindSuspensionsOperator(task_id="find_suspensions", **places))
        decisions: list[Any] = []
        for index, entry in enumerate(suspensions):
            step = CheckSuspensionOperator(task_id="check_suspension", found=entry, **places)
            try:
                decisions.append(run.execute(step, map_index=index))
            except BackupServiceError as error:
                decisions.append(error)
        return decisions

    return once


def actions(decisions: list[Any]) -> list[str]:
    return [decision["action"] for decision in decisions]


def test_without_records_nothing_is_checked(watch, emulator, requests):
    emulator.force(NAME, "Suspended")
    assert watch() == []
    assert (requests("get"), requests("resume")) == ([], [])
    assert emulator.state(NAME) == "Suspended"


def test_what_a_dead_run_left_is_resumed_and_alerted(watch, left, records, emulator, operations, alerts):
    record = left()
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    assert actions(watch()) == ["close"]
    assert records.list_open() == ([], [])
    assert watch() == []
    assert len(operations("resume")) == 1
    resumed, over = alerts
    assert LEFT in resumed
    assert "Its resumption was requested" in resumed
    assert "That is over: it is Active" in over
    assert record.service == SERVICE


def test_while_it_resumes_it_is_waited_for(watch, left, emulator, operations):
    emulator.fault("stuck", "resume", service=NAME, count=1)
    left()
    assert actions(watch()) == ["resume"]
    assert actions(watch()) == ["leave"]
    assert len(operations("resume")) == 1


@pytest.mark.parametrize(("run_id", "hours"), [("alive", -2.4), ("unknown", -1.9), ("dead", -0.01)])
def test_a_run_that_may_still_resume_it_has_its_time(run_id, hours, watch, left, emulator, requests):
    left(run_id=run_id, hours=hours)
    assert all(decision["action"] == "leave" for decision in watch())
    assert requests("resume") == []
    assert emulator.state(NAME) == "Suspended"


@pytest.mark.parametrize(("run_id", "hours"), [("alive", -2.6), ("unknown", -2.1), ("dead", -0.04)])
def test_a_run_has_no_more_than_its_time(run_id, hours, watch, left, emulator, operations):
    left(run_id=run_id, hours=hours)
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


@pytest.mark.parametrize("state", ["SuspendedFailed", "ResumeFailed"])
def test_a_failed_suspension_or_resumption_is_resumed(state, watch, left, emulator):
    left(state)
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


def test_a_failed_resumption_is_requested_again_and_alerted(watch, left, emulator, operations, alerts):
    emulator.fault("operation-fails", "resume", service=NAME, count=1, message="no machine")
    left()
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "ResumeFailed")
    (error,) = watch()
    assert isinstance(error, LeftSuspendedError)
    emulator.reaches(NAME, "Active")
    assert actions(watch()) == ["close"]
    assert len(operations("resume")) == 2
    _, failed, over = alerts
    assert failed.startswith(f"{LEFT} and is not resumed: ")
    assert "A resumption was requested before, and it is ResumeFailed." in failed
    assert "failed: InjectedFault no machine. Another resumption was requested." in failed
    assert "That is over" in over


def test_resumptions_that_keep_failing_are_alerted_once_an_hour(watch, left, emulator, operations, alerts, clock):
    emulator.fault("operation-fails", "resume", service=NAME, count=4)
    left()
    assert actions(watch()) == ["resume"]
    for hours in (0, 0, 1):
        emulator.reaches(NAME, "ResumeFailed")
        clock.forward(hours=hours)
        (error,) = watch()
        assert isinstance(error, LeftSuspendedError)
    assert len(operations("resume")) == 4
    assert ["is not resumed" in alert for alert in alerts] == [False, True, True]


def test_a_service_that_stays_suspended_is_alerted(watch, left, emulator, alerts):
    left()
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    emulator.force(NAME, "Suspended")
    (error,) = watch()
    assert "and it is Suspended. It reports no failed operation. Another resumption was requested." in str(error)
    emulator.reaches(NAME, "Active")


def test_where_no_resume_is_allowed_an_alert_is_sent_hourly(watch, left, emulator, requests, alerts):
    left("Stopped")
    for _ in range(3):
        (error,) = watch()
        assert isinstance(error, LeftSuspendedError)
        assert "Stopped" in str(error)
    assert requests("resume") == []
    (alert,) = alerts
    assert alert.startswith(f"{LEFT} and is not resumed: ")


def test_a_refusal_is_alerted_and_retried_at_the_next_check(watch, left, emulator, alerts):
    emulator.fault("status", "resume", service=NAME, count=1, status=409, code="ConflictError", message="busy")
    left()
    (error,) = watch()
    assert isinstance(error, OperationNotAllowedError)
    assert len(alerts) == 1
    assert actions(watch()) == ["resume"]


def test_a_later_suspension_of_ours_counts(watch, left, records, emulator, requests):
    left(hours=-5)
    later = left(run_id="alive", hours=-1)
    assert actions(watch()) == ["close"]
    assert records.list_open()[0] == [later]
    assert requests("resume") == []


def test_the_record_of_a_deleted_service_is_closed(watch, left, records):
    left(service="contoso-west-us/contosodeleted")
    assert actions(watch()) == ["leave"]
    assert len(records.list_open()[0]) == 1
    assert actions(watch()) == ["close"]
    assert records.list_open() == ([], [])


def test_a_record_of_another_subscription_is_ignored(watch, left, records, requests):
    record = left(subscription_id="another")
    assert watch() == []
    assert records.list_open()[0] == [record]
    assert requests("resume") == []


@pytest.mark.parametrize("airflow", ["e5f60718", ""])
@pytest.mark.parametrize("run_id", ["dead", "alive"])
def test_a_run_of_these_ids_in_another_airflow_has_its_time(
    airflow, run_id, watch, left, records, emulator, requests, operations
):
    """An earlier version stored no Airflow."""
    record = left(run_id=run_id, hours=-1.9, airflow=airflow)
    assert actions(watch()) == ["leave"]
    assert (emulator.state(NAME), requests("resume"), records.list_open()[0]) == ("Suspended", [], [record])
    records.close(record, by="x", reason="y")
    left(run_id=run_id, hours=-2.1, airflow=airflow)
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    assert actions(watch()) == ["close"]
    assert (records.list_open(), len(operations("resume"))) == (([], []), 1)


def test_a_broken_connection_is_alerted_hourly_and_holds_up_no_other(
    watch, left, connect, emulator, alerts, clock, places
):
    connect("biztalk_broken", {"conn_type": "biztalk_services", "host": "127.0.0.1", "login": "not an id"})
    places["conn_id"] = "biztalk_broken biztalk_absent biztalk_default"
    left()
    resumed, *errors = watch()
    assert resumed["action"] == "resume"
    assert [str(error).partition(" cannot")[0] for error in errors] == [
        "Connection biztalk_broken",
        "Connection biztalk_absent",
    ]
    emulator.reaches(NAME, "Active")
    watch()
    assert [sum(name in alert for alert in alerts) for name in ("biztalk_broken", "biztalk_absent")] == [1, 1]
    clock.forward(hours=1)
    watch()
    assert [sum(name in alert for alert in alerts) for name in ("biztalk_broken", "biztalk_absent")] == [2, 2]


def test_a_service_of_the_name_in_another_subscription_is_left_alone(watch, left, records, emulator, requests):
    """Its record is later, and of the same address."""
    left(hours=-2.1)
    other = left(hours=-1, subscription_id="another")
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")
    assert actions(watch()) == ["close"]
    assert records.list_open()[0] == [other]


def test_a_subscription_is_the_same_in_capital_letters(watch, left, emulator):
    left(subscription_id=SUBSCRIPTION.upper())
    assert actions(watch()) == ["resume"]
    emulator.reaches(NAME, "Active")


def test_an_invalid_record_needs_a_person(watch, left, container, blobs, emulator, alerts, clock):
    left()
    path = "suspensions/open/contoso-west-us/contosoorders/broken.json"
    blobs.get_blob_client(container, path).upload_blob(b"{")
    resumed, error = watch()
    assert resumed["action"] == "resume"
    assert path in str(error)
    assert path in alerts[-1]
    watch()
    assert sum(path in alert for alert in alerts) == 1
    clock.forward(hours=1)
    watch()
    assert sum(path in alert for alert in alerts) == 2


def test_a_new_invalid_record_is_alerted_beside_an_old_one(watch, container, records, blobs, alerts):
    client = blobs.get_container_client(container)
    client.create_container()
    for name in ("old", "new"):
        client.upload_blob(f"suspensions/open/contoso-west-us/contosoorders/{name}.json", b"{")
        watch()
    old, new = alerts
    assert "/old.json" in old
    assert "/new.json" in new


class TestRecordsOfARun:
    @pytest.fixture
    def suspend(self, places) -> SuspendServiceOperator:
        return SuspendServiceOperator(task_id="suspend", service=SERVICE, resume_within_minutes=90, **places)

    def resume(self, suspension: Any, places: dict[str, str]) -> ResumeServiceOperator:
        return ResumeServiceOperator(
            task_id="resume", service=SERVICE, suspension=suspension, deadline_minutes=15, **places
        )

    def test_open_from_before_the_suspension_until_it_is_resumed(self, suspend, places, records, run, emulator):
        suspension = run.execute(suspend)
        (record,) = records.list_open()[0]
        assert (record.service, record.run) == (SERVICE, RecordedRun("nightly", run.run_id, AIRFLOW_ID))
        assert (record.subscription_id, record.reason) == (SUBSCRIPTION, "backup")
        assert record.resume_by - record.opened_at == timedelta(minutes=90)
        emulator.reaches(NAME, "Suspended")
        run.execute(self.resume(suspension, places))
        assert records.list_open() == ([], [])

    @pytest.mark.parametrize("after", [False, True])
    def test_a_worker_that_dies_at_the_request_leaves_a_record(self, after, suspend, records, run, monkeypatch):
        dies_once(monkeypatch, BizTalkDriver, "suspend", after=after)
        with pytest.raises(Died):
            run.execute(suspend)
        (record,) = records.list_open()[0]
        assert record.run.run_id == run.run_id

    def test_without_a_record_nothing_is_requested(self, suspend, places, run, connect, requests):
        connect("biztalk_backup_storage", UNREACHABLE)
        with pytest.raises(BackupServiceError, match="claims/contosoorders"):
            run.execute(suspend)
        assert requests("suspend") == []
        assert run.store("suspend").get("suspend") is None

    def test_a_request_that_was_not_taken_leaves_none(self, suspend, records, run, emulator):
        emulator.fault("status", "suspend", service=NAME, count=1)
        with pytest.raises(BackupServiceError):
            run.execute(suspend)
        assert records.list_open() == ([], [])

    @pytest.mark.parametrize("state", ["Suspended", "Stopped"])
    def test_none_for_what_others_suspended(self, state, suspend, places, records, run, emulator):
        emulator.force(NAME, state)
        suspension = run.execute(suspend)
        assert records.list_open() == ([], [])
        run.execute(self.resume(suspension, places))
        assert emulator.state(NAME) == state

    def test_unreachable_storage_does_not_prevent_a_resumption(self, suspend, places, records, run, emulator, connect):
        suspension = run.execute(suspend)
        emulator.reaches(NAME, "Suspended")
        connect("biztalk_backup_storage", UNREACHABLE)
        assert run.execute(self.resume(suspension, places))["state"] == "Active"
        assert len(records.list_open()[0]) == 1


class TestFirstFailure:
    NOW = datetime(2026, 1, 1, 2, 7, tzinfo=UTC)

    def fail(self, before: SimpleNamespace | None, now: datetime | None = NOW) -> None:
        ti = create_autospec(RuntimeTaskInstance, instance=True)
        ti.get_previous_ti.return_value = before
        FirstFailureNotifier(subject="blind").notify({"ti": ti, "dag_run": SimpleNamespace(logical_date=now)})

    @pytest.mark.parametrize(
        ("state", "minutes", "is_alerted"),
        [("success", 1, True), ("skipped", 1, True), ("failed", 1, False), ("failed", 7, False), ("failed", 8, True)],
    )
    def test_it_is_alerted_at_first_and_once_in_every_hour(self, state, minutes, is_alerted, alerts):
        self.fail(SimpleNamespace(state=state, logical_date=self.NOW - timedelta(minutes=minutes)))
        assert alerts == (["blind"] if is_alerted else [])

    def test_a_failure_of_the_first_run_of_all_is_alerted(self, alerts):
        self.fail(None)
        assert alerts == ["blind"]

    def test_a_failure_of_a_run_without_a_date_is_alerted(self, alerts):
        self.fail(SimpleNamespace(state="failed", logical_date=None), now=None)
        assert alerts == ["blind"]

    @pytest.mark.parametrize("minute", [0, 7, 59])
    def test_a_day_of_failures_is_alerted_once_an_hour(self, minute, alerts):
        checks = [datetime(2026, 1, 1, hour, minute, tzinfo=UTC) for hour in range(24)]
        for before, now in pairwise(checks):
            self.fail(SimpleNamespace(state="failed", logical_date=before), now)
        assert len(alerts) == 23
