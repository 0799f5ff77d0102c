"""The report of a nightly run, for every kind of end."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from biztalk_services.flows.backup_report import (
    BACKED_UP,
    FAILED,
    NO_BACKUP,
    BackupOutcome,
    BackupsFailedError,
    require_success,
)
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators.find import FindServicesOperator
from biztalk_services.provider.operators.report import ReportBackupsOperator

from tests.archive.azurite import ACCOUNT, free_port
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE, management
from tests.provider.fakes import Run
from tests.provider.walk import Night

pytestmark = pytest.mark.usefixtures("connections", "clock")

NAMES = [
    "conn_id", "service", "scope", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
    "suspended_seconds", "state", "lacking",
]  # fmt: skip


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def every_tracking_database(emulator, connect) -> None:
    for service in emulator.admin("GET", "/services")["services"]:
        if service["tracking_database"]:
            connection = {"conn_type": "sqlite", "host": service["tracking_database"], "extra": {"mode": "ro"}}
            connect(f"biztalk_tracking_{service['name'].lower()}", connection)


def test_a_good_night(run, container):
    night = Night(run, NAME, container=container).all()
    (row,) = night.outcome
    assert list(row) == NAMES
    assert (row["service"], row["scope"], row["region"], row["edition"]) == (
        NAME, "contoso-west-us", "West US", "standard"
    )  # fmt: skip
    assert (row["outcome"], row["state"]) == (BACKED_UP, "Active")
    assert (row["failed_step"], row["reason"]) == (None, None)
    assert row["backup"] == f"{ACCOUNT}/{night.backup().backup_name}"
    assert row["items"] == sum(night.backup().xcom("publish_reference")["items"].values())
    assert 0 < row["suspended_seconds"] < 60
    assert night.failure is None


def test_editions_without_backups_are_reported_and_fail_nothing(run, container):
    night = Night(run, NAME, "contosodev", "contosotrial", container=container).all()
    rows = {row["service"]: row for row in night.outcome}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        NAME: BACKED_UP, "contosodev": NO_BACKUP, "contosotrial": NO_BACKUP
    }  # fmt: skip
    assert rows["contosodev"]["backup"] is None
    assert night.failure is None


def test_only_editions_without_backups_is_no_success(run, container):
    night = Night(run, "contosodev", container=container).all()
    (row,) = night.outcome
    assert row["outcome"] == NO_BACKUP
    assert "No service was backed up" in night.failure


def test_nothing_chosen_is_no_success(run, container, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", "nothing-at-all")
    night = Night(run, container=container).all()
    assert night.outcome == []
    assert "No service was backed up" in night.failure


def test_the_services_could_not_be_found(run, container, emulator, connect):
    connect("biztalk_default", management(emulator) | {"port": free_port()})
    night = Night(run, container=container).all()
    assert "Could not connect" in str(night.errors["find_services"])
    assert night.outcome is None
    assert "could not be found, and nothing was done" in night.failure
    assert "Could not connect" in night.failure
    assert night.xcom("report", "failure") == night.failure
    assert set(night.states.values()) == {"failed", "upstream_failed"}


def test_the_search_died_without_a_sentence(run, container, monkeypatch):
    monkeypatch.setattr(FindServicesOperator, "execute", lambda *_: {}[0])
    night = Night(run, container=container).all()
    assert night.outcome is None
    assert "See the log of find_services." in night.failure


def key() -> ServiceKey:
    return ServiceKey(SUBSCRIPTION, ServiceRef.parse(SERVICE))


def failed_row(night: Night, service: str = NAME) -> dict:
    row = next(row for row in night.all().outcome if row["service"] == service)
    assert row["outcome"] == FAILED
    assert f"{service} ({row['failed_step']}): {row['reason']}" in night.failure
    return row


def test_one_fails_at_the_check(run, container, emulator):
    emulator.force(NAME, "StartFailed")
    row = failed_row(Night(run, NAME, container=container).all())
    assert row["failed_step"] == "check_backup"
    assert "state-allows-backup" in row["reason"]
    assert (row["backup"], row["suspended_seconds"], row["state"]) == (None, None, "StartFailed")


def test_one_fails_at_its_batches_and_the_others_do_not(run, container, emulator):
    batch = emulator.admin("GET", f"/services/{NAME}")["batches"][0]
    place = {"agreement": batch["AgreementName"], "batch": batch["BatchName"]}
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": place["agreement"], "messages": 2})
    try:
        night = Night(run, NAME, "ContosoRetail", container=container).all()
    finally:
        emulator.admin("POST", f"/services/{NAME}/batches/release", place)
    row = failed_row(night)
    assert row["failed_step"] == "wait_until_drained"
    assert f"{place['agreement']}/{place['batch']}" in row["reason"]
    assert (row["suspended_seconds"], row["state"]) == (None, "Active")
    other = next(row for row in night.outcome if row["service"] == "ContosoRetail")
    assert other["outcome"] == BACKED_UP
    assert night.failure.startswith("1 of 2 services")


def test_one_fails_at_the_backup_and_is_resumed(run, container, emulator):
    emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
    row = failed_row(Night(run, NAME, container=container).all())
    assert row["failed_step"] == "wait_for_backup"
    assert "The disk is full." in row["reason"]
    assert (row["backup"], row["items"], row["state"]) == (None, None, "Active")
    assert row["suspended_seconds"] > 0


def test_one_is_not_resumed(run, container, emulator):
    emulator.fault("operation-fails", "resume", service=NAME)
    row = failed_row(Night(run, NAME, container=container).all())
    assert row["failed_step"] == "resume"
    assert "ResumeFailed" in row["reason"] or "failed" in row["reason"]
    assert row["state"] == "ResumeFailed"
    assert row["backup"]
    assert row["suspended_seconds"] is None


def test_a_resumption_that_failed_is_requested_again(run, container, emulator, operations):
    emulator.fault("operation-fails", "resume", service=NAME, count=1)
    (row,) = Night(run, NAME, container=container).all().outcome
    assert (row["outcome"], row["state"]) == (BACKED_UP, "Active")
    assert len(operations("resume")) == 2


def test_the_resume_is_refused(run, container, emulator):
    emulator.fault("status", "resume", service=NAME, status=400, code="BadRequest")
    row = failed_row(Night(run, NAME, container=container).all())
    assert (row["failed_step"], row["state"]) == ("resume", "Suspended")
    assert "400 BadRequest" in row["reason"]


def test_both_failures_of_one_service_are_reported(run, container, emulator):
    emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
    emulator.fault("status", "resume", service=NAME, status=400, code="BadRequest")
    row = failed_row(Night(run, NAME, container=container).all())
    assert row["failed_step"] == "wait_for_backup"
    assert "The disk is full." in row["reason"]
    assert "400 BadRequest" in row["reason"]


def test_a_published_reference_that_the_storage_has_lost(run, container, blobs):
    night = Night(run, NAME, container=container).until("report")
    name = night.backup().backup_name
    reference = f"references/{NAME}/{name}.json"
    blobs.get_container_client(container).delete_blob(reference)
    assert night.report()[0]["outcome"] == BACKED_UP
    assert blobs.get_blob_client(container, reference).exists()


def test_a_published_backup_that_the_storage_has_lost(run, container, blobs):
    night = Night(run, NAME, container=container).until("report")
    name = night.backup().backup_name
    blobs.get_container_client(container).delete_blob(f"references/{NAME}/{name}.json")
    blobs.delete_container(name)
    row = failed_row(night)
    assert (row["failed_step"], row["backup"], row["items"]) == ("publish_reference", None, None)
    assert f"{name} was published, and cannot be read now" in row["reason"]
    assert f"container {name} does not exist" in row["reason"]


def test_a_step_that_died_without_a_sentence(run, container):
    night = Night(run, NAME, container=container)
    night.backup().until("suspend").states["suspend"] = "failed"
    row = failed_row(night)
    assert row["failed_step"] == "suspend"
    assert row["reason"].startswith("See the log of suspend. It ended without a reason, or a person marked it")


def test_a_service_that_does_not_exist_at_the_end(run, container, emulator):
    night = Night(run, NAME, container=container)
    emulator.fault("status", "get_cloud_service", status=404, code="ResourceNotFound")
    night.until("report")
    emulator.fault("status", "list", status=404, code="ResourceNotFound")
    row = failed_row(night)
    assert (row["failed_step"], row["state"]) == ("check_backup", None)


def test_the_states_of_all_services_are_read_with_one_list(run, container, emulator):
    night = Night(run, container=container).until("report")
    before = emulator.journal(kind="request")[-1]["seq"]
    assert {row["state"] for row in night.all().outcome} == {"Active"}
    read = [each["operation"] for each in emulator.journal(kind="request", after=before)]
    assert read == ["list"]


def test_what_others_suspended_is_backed_up_and_stays(run, container, emulator, requests):
    emulator.force(NAME, "Suspended")
    (row,) = Night(run, NAME, container=container).all().outcome
    assert (row["outcome"], row["state"]) == (BACKED_UP, "Suspended")
    assert (requests("suspend"), requests("resume")) == ([], [])


class TestMarked:
    """A person marks a run: Airflow rewrites the states of steps, and lets the teardowns run."""

    def test_the_night_as_failed_before_the_services_are_found(self, run, container):
        night = Night(run, NAME, container=container)
        run.xcoms.clear()
        run.states.clear()
        night.mark("failed", "find_services").all()
        assert run.services.runs == {}
        assert "could not be found, and nothing was done" in night.failure
        assert "a person marked it or the run" in night.failure

    def test_the_night_as_failed_while_its_services_are_backed_up(self, run, container, emulator):
        """Their runs go on, and keep their locks. Clear the report when they have ended."""
        night = Night(run, NAME, container=container)
        backup = night.backup().until("back_up")
        night.mark("failed", "back_up_services").step("report")
        (row,) = night.outcome
        assert (row["outcome"], row["state"]) == (FAILED, "Suspended")
        assert f"Run {backup.run.run_id} has not ended" in row["reason"]
        locks = open_archive(f"biztalk_backup_storage/{container}").locks
        assert locks.of(key()).run.run_id == backup.run.run_id
        backup.all()
        (row,) = night.report()
        assert (row["outcome"], row["state"], locks.of(key())) == (BACKED_UP, "Active", None)

    @pytest.mark.parametrize("at", ["check_backup", "wait_for_slot", "wait_until_drained"])
    def test_a_service_as_failed_before_its_suspension(self, at, run, container, requests, emulator):
        night = Night(run, NAME, container=container)
        night.backup().until(at).mark("failed", at)
        row = failed_row(night)
        assert (row["failed_step"], row["state"], row["backup"]) == (at, "Active", None)
        assert requests("suspend") == []

    @pytest.mark.parametrize("state", ["failed", "success"])
    def test_a_service_while_it_is_backed_up(self, state, run, container, emulator):
        """Airflow may even take such a run for a good one."""
        night = Night(run, NAME, container=container)
        night.backup().until("wait_for_backup").mark(state, "wait_for_backup")
        row = failed_row(night)
        assert (row["state"], row["backup"]) == ("Active", None)
        assert "wait_for_backup" in row["reason"]
        assert "wait_for_slot" not in row["reason"]
        archive = open_archive(f"biztalk_backup_storage/{container}")
        assert archive.locks.of(key()) is None

    def test_a_service_as_succeeded_while_its_reference_is_published(self, run, container):
        night = Night(run, NAME, container=container)
        night.backup().until("publish_reference").mark("success", "publish_reference")
        row = failed_row(night)
        assert (row["failed_step"], row["backup"]) == ("publish_reference", None)

    def test_what_was_published_is_backed_up(self, run, container):
        """Whatever the states of its steps were made."""
        night = Night(run, NAME, container=container).until("report")
        backup = night.backup()
        for step in backup.states:
            backup.states[step] = "skipped" if step.startswith("check") else "failed"
        (row,) = night.report()
        assert (row["outcome"], row["failed_step"], row["reason"]) == (BACKED_UP, None, None)
        assert night.failure is None

    def test_a_reference_whose_step_was_ended_is_found(self, run, container):
        """It was written, and its step did not come to hand it on."""
        night = Night(run, NAME, container=container).until("report")
        backup = night.backup()
        del backup.run.xcoms["publish_reference", -1, "return_value"]
        backup.states["publish_reference"] = "failed"
        (row,) = night.report()
        assert (row["outcome"], row["backup"]) == (BACKED_UP, f"{ACCOUNT}/{backup.backup_name}")


def test_a_run_that_ended_without_its_report_locks_nothing(run, container):
    """Its lock may be taken over, because it has ended."""
    night = Night(run, NAME, container=container).until("report")
    locks = open_archive(f"biztalk_backup_storage/{container}").locks
    held = locks.of(key()).run
    assert (held.dag_id, held.run_id) == ("biztalk_backup", night.backup().run.run_id)
    (row,) = Night(Run(), NAME, container=container).all().outcome
    assert row["outcome"] == BACKED_UP
    assert locks.of(key()) is None


def test_services_found_again_in_another_order_keep_their_runs(run, container):
    night = Night(run, NAME, "ContosoRetail", container=container).until("report")
    for key in ("return_value", "all_services"):
        run.xcoms["find_services", -1, key].reverse()
    backups = {row["service"]: row["backup"] for row in night.report()}
    assert backups == {each.name: f"{ACCOUNT}/{each.backup_name}" for each in night.backups}


def test_a_service_whose_run_was_not_begun(run, container):
    late = {"back_up_services": {"window": timedelta(0)}}
    night = Night(run, NAME, container=container, options=late)
    row = failed_row(night)
    assert (night.backups, row["failed_step"], row["state"]) == ([], "back_up_services", "Active")
    assert row["reason"].startswith("Its backup was not begun. 1 were not begun within 0:00:00")


def test_a_list_that_was_not_handed_on_is_no_edition(run, container):
    """Airflow has refused it, for example because it is longer than its limit."""
    night = Night(run, NAME, "contosodev", container=container)
    del run.xcoms["find_services", -1, "return_value"]
    run.xcoms["find_services", -1, "failure"] = "There are too many."
    night.states["find_services"] = "failed"
    rows = {row["service"]: row for row in night.all().outcome}
    assert rows["contosodev"]["outcome"] == NO_BACKUP
    assert (rows[NAME]["outcome"], rows[NAME]["failed_step"]) == (FAILED, "find_services")
    assert rows[NAME]["reason"] == "Its backup was not begun. There are too many."
    assert rows[NAME]["state"] == "Active"


def test_a_report_that_cannot_be_made_leaves_why(run, container, monkeypatch):
    monkeypatch.setattr(ReportBackupsOperator, "_outcome", lambda *_: {}[0])
    night = Night(run, NAME, container=container).until("report")
    night.step("report")
    assert isinstance(night.errors["report"], KeyError)
    assert night.xcom("report", "failure") == "The report could not be made (KeyError)."


def test_the_report_is_pushed_before_the_run_is_failed(run, container):
    night = Night(run, NAME, container=container)
    run.xcoms["find_services", -1, "all_services"] = []
    run.xcoms["find_services", -1, "return_value"] = []
    assert night.all().outcome == []
    assert night.failure


@pytest.mark.parametrize("kinds", [[], [NO_BACKUP], [FAILED], [BACKED_UP, FAILED], [NO_BACKUP, FAILED]])
def test_what_is_no_success(kinds):
    with pytest.raises(BackupsFailedError):
        require_success([BackupOutcome("north", "s", "c", None, None, kind) for kind in kinds])


@pytest.mark.parametrize("kinds", [[BACKED_UP], [BACKED_UP, BACKED_UP], [BACKED_UP, NO_BACKUP]])
def test_what_is(kinds):
    require_success([BackupOutcome("north", "s", "c", None, None, kind) for kind in kinds])
