"""What a run says at its end, for every kind of end."""

from __future__ import annotations

from uuid import uuid4

import pytest
from biztalk_services.flows.backup_report import BACKED_UP, FAILED, NO_BACKUP, BackupsFailedError, Outcome
from biztalk_services.provider.operators.report import judge

from tests.airflow_layer.connections import NAME, management
from tests.airflow_layer.fakes import Run
from tests.airflow_layer.night import Night
from tests.catalog.azurite import ACCOUNT, free_port

pytestmark = pytest.mark.usefixtures("connections", "clock")

NAMES = [
    "service", "cloud_service", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
    "suspended_seconds", "state",
]  # fmt: skip


@pytest.fixture
def catalog() -> str:
    return f"catalog-{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def every_tracking_database(emulator, connect) -> None:
    for service in emulator.admin("GET", "/services")["services"]:
        if service["tracking_database"]:
            connection = {"conn_type": "sqlite", "host": service["tracking_database"], "extra": {"mode": "ro"}}
            connect(f"biztalk_tracking_{service['name'].lower()}", connection)


def test_a_good_night(run, catalog):
    night = Night(run, NAME, catalog).all()
    (row,) = night.report()
    assert list(row) == NAMES
    assert (row["service"], row["cloud_service"], row["region"], row["edition"]) == (
        NAME, "contoso-west-us", "West US", "standard"
    )  # fmt: skip
    assert (row["outcome"], row["state"]) == (BACKED_UP, "Active")
    assert (row["failed_step"], row["reason"]) == (None, None)
    assert row["backup"] == f"{ACCOUNT}/{night.targets[0]['backup_name']}"
    assert row["items"] == sum(night.run.xcom("publish")["items"].values())
    assert 0 < row["suspended_seconds"] < 60
    assert night.verdict is None


def test_editions_without_backups_are_told_and_fail_nothing(run, catalog):
    night = Night(run, f"{NAME} contosodev contosotrial", catalog).all()
    rows = {row["service"]: row for row in night.report()}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        NAME: BACKED_UP, "contosodev": NO_BACKUP, "contosotrial": NO_BACKUP
    }  # fmt: skip
    assert rows["contosodev"]["backup"] is None
    assert night.verdict is None


def test_only_editions_without_backups_is_no_success(run, catalog):
    night = Night(run, "contosodev", catalog).all()
    (row,) = night.report()
    assert row["outcome"] == NO_BACKUP
    assert "No service was backed up" in night.verdict


def test_nothing_chosen_is_no_success(run, catalog, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__EXCLUDE", "*")
    night = Night(run, "", catalog)
    assert night.report() == []
    assert "No service was backed up" in night.verdict


def test_the_services_could_not_be_found(run, catalog, emulator, connect):
    connect("biztalk_default", management(emulator) | {"port": free_port()})
    with pytest.raises(Exception, match="Could not connect"):
        Night(run, "", catalog)
    night = Night.__new__(Night)
    night.run, night.troubles = run, {}
    assert night.report() is None
    assert "could not be found, and nothing was done" in night.verdict
    assert "Could not connect" in night.verdict
    assert run.xcom("report", "failure", map_index=-1) == night.verdict


def test_finding_died_without_a_word(run):
    night = Night.__new__(Night)
    night.run, night.troubles = run, {}
    assert night.report() is None
    assert "See the log of find." in night.verdict


def failed_row(night: Night, service: str = NAME) -> dict:
    row = next(row for row in night.report() if row["service"] == service)
    assert row["outcome"] == FAILED
    assert f"{service} ({row['failed_step']}): {row['reason']}" in night.verdict
    return row


def test_one_fails_at_the_check(run, catalog, emulator):
    emulator.force(NAME, "StartFailed")
    row = failed_row(Night(run, NAME, catalog).all())
    assert row["failed_step"] == "check"
    assert "state-allows-backup" in row["reason"]
    assert (row["backup"], row["suspended_seconds"], row["state"]) == (None, None, "StartFailed")


def test_one_fails_at_its_batches_and_the_others_do_not(run, catalog, emulator):
    batch = emulator.admin("GET", f"/services/{NAME}")["batches"][0]
    place = {"agreement": batch["AgreementName"], "batch": batch["BatchName"]}
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": place["agreement"], "messages": 2})
    try:
        night = Night(run, f"{NAME} ContosoRetail", catalog).all()
    finally:
        emulator.admin("POST", f"/services/{NAME}/batches/release", place)
    row = failed_row(night)
    assert row["failed_step"] == "drain"
    assert f"{place['agreement']}/{place['batch']}" in row["reason"]
    assert (row["suspended_seconds"], row["state"]) == (None, "Active")
    other = next(row for row in night.report() if row["service"] == "ContosoRetail")
    assert other["outcome"] == BACKED_UP
    assert night.verdict.startswith("1 of 2 services")


def test_one_fails_at_the_backup_and_comes_back(run, catalog, emulator):
    emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
    row = failed_row(Night(run, NAME, catalog).all())
    assert row["failed_step"] == "ended"
    assert "The disk is full." in row["reason"]
    assert (row["backup"], row["items"], row["state"]) == (None, None, "Active")
    assert row["suspended_seconds"] > 0


def test_one_does_not_come_back(run, catalog, emulator):
    emulator.fault("operation-fails", "resume", service=NAME, count=1)
    row = failed_row(Night(run, NAME, catalog).all())
    assert row["failed_step"] == "resume"
    assert "ResumeFailed" in row["reason"] or "failed" in row["reason"]
    assert row["state"] == "ResumeFailed"
    assert row["backup"]
    assert row["suspended_seconds"] is None


def test_the_resume_is_refused(run, catalog, emulator):
    emulator.fault("status", "resume", service=NAME, status=400, code="BadRequest")
    row = failed_row(Night(run, NAME, catalog).all())
    assert (row["failed_step"], row["state"]) == ("resume", "Suspended")
    assert "400 BadRequest" in row["reason"]


def test_two_troubles_of_one_service_are_both_told(run, catalog, emulator):
    emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
    emulator.fault("status", "resume", service=NAME, status=400, code="BadRequest")
    row = failed_row(Night(run, NAME, catalog).all())
    assert row["failed_step"] == "ended"
    assert "The disk is full." in row["reason"]
    assert "400 BadRequest" in row["reason"]


def test_a_published_reference_that_the_storage_has_lost(run, catalog, blobs):
    night = Night(run, NAME, catalog).all()
    name = night.targets[0]["backup_name"]
    reference = f"references/{NAME}/{name}.json"
    blobs.get_container_client(catalog).delete_blob(reference)
    assert night.report()[0]["outcome"] == BACKED_UP
    assert blobs.get_blob_client(catalog, reference).exists()


def test_a_published_backup_that_the_storage_has_lost(run, catalog, blobs):
    night = Night(run, NAME, catalog).all()
    name = night.targets[0]["backup_name"]
    blobs.get_container_client(catalog).delete_blob(f"references/{NAME}/{name}.json")
    blobs.delete_container(name)
    row = failed_row(night)
    assert (row["failed_step"], row["backup"], row["items"]) == ("publish", None, None)
    assert f"{name} was published, and cannot be read now" in row["reason"]
    assert f"there is no container {name} any more" in row["reason"]


def test_a_step_that_died_without_a_word(run, catalog):
    night = Night(run, NAME, catalog).all(until="suspend")
    run.states["suspend_0"] = "failed"
    row = failed_row(night.go_on("still"))
    assert (row["failed_step"], row["reason"]) == ("suspend", "See the log of suspend.")


def test_a_service_that_is_gone_at_the_end(run, catalog, emulator):
    night = Night(run, NAME, catalog)
    emulator.fault("status", "get_cloud_service", status=404, code="ResourceNotFound")
    row = failed_row(night.all())
    assert (row["failed_step"], row["state"]) == ("check", None)


def test_what_was_suspended_by_somebody_else_is_backed_up_and_stays(run, catalog, emulator, asked):
    emulator.force(NAME, "Suspended")
    (row,) = Night(run, NAME, catalog).all().report()
    assert (row["outcome"], row["state"]) == (BACKED_UP, "Suspended")
    assert (asked("suspend"), asked("resume")) == ([], [])


def test_the_report_is_pushed_before_the_run_is_failed():
    run = Run()
    run.xcoms["find", -1, "all_services"] = []
    run.xcoms["find", -1, "return_value"] = []
    night = Night.__new__(Night)
    night.run, night.troubles = run, {}
    assert night.report() == []
    assert night.verdict


@pytest.mark.parametrize("kinds", [[], [NO_BACKUP], [FAILED], [BACKED_UP, FAILED], [NO_BACKUP, FAILED]])
def test_what_is_no_success(kinds):
    with pytest.raises(BackupsFailedError):
        judge([Outcome("s", "c", None, None, kind) for kind in kinds])


@pytest.mark.parametrize("kinds", [[BACKED_UP], [BACKED_UP, BACKED_UP], [BACKED_UP, NO_BACKUP]])
def test_what_is(kinds):
    judge([Outcome("s", "c", None, None, kind) for kind in kinds])
