"""The check before a backup, and the backup itself: begun once, whatever dies in between."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from biztalk_services.archive.errors import StorageAuthenticationError, StorageKeyMissingError, StorageUnreachableError
from biztalk_services.flows.backup import NotQuiescedError
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import PreconditionFailedError
from biztalk_services.provider.hook import BizTalkServicesHook
from biztalk_services.provider.operators.backup import CheckBackupOperator, StartBackupOperator
from biztalk_services.provider.sensors import OperationSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.airflow_layer.connections import CLOUD_SERVICE, NAME, SERVICE, storage
from tests.airflow_layer.fakes import Died, EndedInTrigger, dies_once, loses_the_answer
from tests.catalog.azurite import ACCOUNT, free_port

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture
def name() -> str:
    return f"{NAME}-{uuid4().hex[:12]}"


@pytest.fixture
def check(name) -> CheckBackupOperator:
    return CheckBackupOperator(task_id="check", service=SERVICE, backup_name=name)


class TestCheck:
    def test_a_backup_that_is_allowed(self, check, run):
        found = run.execute(check)
        assert found == {
            "service": SERVICE,
            "cloud_service": CLOUD_SERVICE,
            "name": NAME,
            "subscription_id": "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10",
            "edition": "standard",
            "product_version": "1.1.0",
            "region": "West US",
            "state": "Active",
        }

    def test_nothing_is_asked_for_and_nothing_written(self, check, run, emulator, before, blobs, name):
        run.execute(check)
        assert {entry["method"] for entry in emulator.journal(after=before, kind="request")} == {"GET"}
        assert not blobs.get_container_client(name).exists()

    def test_all_violations_come_at_once(self, run, emulator, asked, blobs, name):
        blobs.create_container(name)
        emulator.force("contosodev", "StartFailed")
        task = CheckBackupOperator(task_id="check", service=f"{CLOUD_SERVICE}/contosodev", backup_name=name)
        with pytest.raises(RefusedError) as caught:
            run.execute(task)
        rules = [violation.rule for violation in caught.value.violations]
        assert rules == ["edition-has-backups", "state-allows-backup", "backup-name-free"]
        assert run.xcom("check", "failure") == str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"

    def test_an_impossible_name(self, run):
        with pytest.raises(RefusedError, match="backup-name"):
            run.execute(CheckBackupOperator(task_id="check", service=SERVICE, backup_name="no"))

    def test_its_own_container_is_no_violation_when_the_task_is_cleared(self, check, run, blobs, name):
        run.execute(check)
        blobs.create_container(name)
        assert run.execute(check)["name"] == NAME

    def test_a_storage_connection_without_the_key(self, check, run, azurite, connect):
        connect("biztalk_backup_storage", storage(azurite, password=None, extra={"sas_token": "sv=2024&sig=canary"}))
        with pytest.raises(StorageKeyMissingError, match="account key") as caught:
            run.execute(check)
        assert "canary" not in str(caught.value)

    def test_a_wrong_key(self, check, run, azurite, connect):
        connect("biztalk_backup_storage", storage(azurite, password="d3Jvbmc="))
        with pytest.raises(StorageAuthenticationError) as caught:
            run.execute(check)
        assert "d3Jvbmc=" not in str(caught.value)
        assert check.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"

    def test_storage_that_does_not_answer(self, check, run, azurite, connect):
        connect("biztalk_backup_storage", storage(azurite, host=f"http://127.0.0.1:{free_port()}/{ACCOUNT}"))
        with pytest.raises(StorageUnreachableError) as caught:
            run.execute(check)
        assert check.retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"


@pytest.fixture
def backup(emulator, name) -> StartBackupOperator:
    """The backup of a service that stands still; its durations let every moment be met."""
    emulator.force(NAME, "Suspended")
    still = {"state": "Suspended", "etag": emulator.etag(NAME), "seen_at": "2026-01-01T02:00:00+00:00"}
    return StartBackupOperator(task_id="back_up", service=SERVICE, backup_name=name, still=still)


def wait_for(run, clock, operation_id: str | None) -> dict:
    sensor = OperationSensor(
        task_id="wait", service=SERVICE, operation_id=operation_id, operation_type="Backup", deadline_minutes=90
    )
    return run.execute(sensor)


class TestBackUpOnce:
    """The worker dies, or the answer is lost; another try goes on with the backup that was begun."""

    def again(self, backup, run, blobs, happened, clock, name) -> dict:
        begun = run.execute(backup)
        assert run.execute(backup) == begun
        ended = wait_for(run, clock, begun["operation_id"])
        assert (ended["result"], ended["state"]) == ("Succeeded", "Suspended")
        assert run.execute(backup) == begun
        assert len(happened("backup")) == 1
        assert blobs.get_blob_client(name, f"{name}.txt").exists()
        return begun

    def test_nothing_dies(self, backup, run, blobs, happened, asked, clock, name, azurite):
        begun = self.again(backup, run, blobs, happened, clock, name)
        (operation,) = happened("backup")
        assert begun["operation_id"] == operation["operation_id"]
        assert begun["container_url"] == f"http://127.0.0.1:{azurite.port}/{ACCOUNT}/{name}"
        assert (begun["account"], begun["container"], begun["backup_name"]) == (ACCOUNT, name, name)
        assert begun["etag"] == backup.still["etag"]
        (request,) = asked("backup")
        assert request["client_request_id"] == f"nightly:{run.run_id}:back_up:0:backup"

    def test_before_the_intent(self, backup, run, blobs, happened, clock, name):
        run.store("back_up").dies_at = "intent"
        with pytest.raises(Died):
            run.execute(backup)
        assert self.again(backup, run, blobs, happened, clock, name)["operation_id"]

    def test_before_the_request(self, backup, run, blobs, happened, clock, name, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "begin_backup", after=False)
        with pytest.raises(Died):
            run.execute(backup)
        assert happened("backup") == []
        assert self.again(backup, run, blobs, happened, clock, name)["operation_id"]

    @pytest.mark.usefixtures("slow_backups")
    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    @pytest.mark.parametrize("ended", [False, True])
    def test_the_answer_is_lost(self, kind, ended, backup, run, blobs, happened, emulator, clock, name):
        emulator.fault(kind, "backup", service=NAME, count=1)
        loses_the_answer(run, backup)
        if ended:
            emulator.reaches(NAME, "Suspended")
        self.again(backup, run, blobs, happened, clock, name)

    @pytest.mark.parametrize("ended", [False, True])
    def test_answered_but_not_stored(self, ended, backup, run, blobs, happened, emulator, clock, name):
        run.store("back_up").dies_at = "begun"
        with pytest.raises(Died):
            run.execute(backup)
        if ended:
            emulator.reaches(NAME, "Suspended")
        assert self.again(backup, run, blobs, happened, clock, name)["operation_id"] is None

    def test_a_backup_that_was_adopted_and_failed_is_a_failure(self, backup, run, emulator, clock):
        run.store("back_up").dies_at = "begun"
        emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
        with pytest.raises(Died):
            run.execute(backup)
        assert run.execute(backup)["operation_id"] is None
        with pytest.raises((EndedInTrigger, WaitFailedError), match="The disk is full"):
            wait_for(run, clock, None)


def test_a_key_that_was_rotated_since_the_check_fails_the_backup_and_not_the_service(
    backup, run, azurite, connect, emulator, asked
):
    connect("biztalk_backup_storage", storage(azurite, password="d3Jvbmc="))
    with pytest.raises(StorageAuthenticationError, match="account key") as caught:
        run.execute(backup)
    assert "d3Jvbmc=" not in str(caught.value)
    assert asked("backup") == []
    assert emulator.state(NAME) == "Suspended"


def test_somebody_elses_operation_is_not_taken_for_our_backup(backup, run, emulator, happened, monkeypatch):
    dies_once(monkeypatch, BizTalkServicesHook, "begin_backup", after=False)
    with pytest.raises(Died):
        run.execute(backup)
    emulator.fault("stuck", "resume", service=NAME, count=1)
    emulator.act(NAME, "resume")
    with pytest.raises(NotQuiescedError, match="was Suspended and is Resuming now"):
        run.execute(backup)
    emulator.force(NAME, "Suspended")
    assert run.execute(backup)["operation_id"]
    assert len(happened("backup")) == 1


def test_a_service_that_is_active_again_is_not_backed_up_whatever_the_api_allows(backup, run, emulator, asked):
    emulator.admin("PATCH", "/settings", {"profile": {"backup_precondition": "chart"}})
    emulator.force(NAME, "Active")
    with pytest.raises(NotQuiescedError, match="was Suspended and is Active now, so nothing was asked of it") as caught:
        run.execute(backup)
    assert backup.retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"
    assert asked("backup") == []


def test_a_service_that_was_changed_since_it_stood_still_is_not_backed_up(backup, run, emulator, happened):
    emulator.admin("POST", f"/services/{NAME}/content", {})
    with pytest.raises(PreconditionFailedError) as caught:
        run.execute(backup)
    assert backup.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"
    assert happened("backup") == []


def test_what_a_trigger_left_is_read_as_it_comes(backup, run, happened):
    backup.still = json.dumps(backup.still)
    run.execute(backup)
    assert len(happened("backup")) == 1


def test_no_secret_is_left_anywhere(backup, run, emulator, secrets, name, caplog, capfd):
    emulator.fault("status", "backup", service=NAME, count=1, status=400, code="BadRequest", message="No: {}")
    with pytest.raises(Exception, match="400"):
        run.execute(backup)
    run.execute(backup)
    left = json.dumps([run.xcoms[place] for place in run.xcoms]) + "".join(run.store("back_up").values.values())
    printed = capfd.readouterr()
    everything = left + caplog.text + printed.out + printed.err
    assert name in everything
    assert [secret for secret in secrets if secret in everything] == []
