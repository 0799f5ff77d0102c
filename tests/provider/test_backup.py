"""The check before a backup, and the backup itself: started once, whatever dies in between."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from biztalk_services.archive.errors import StorageAuthenticationError, StorageKeyMissingError, StorageUnreachableError
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.flows.backup import NotQuiescedError
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import PreconditionFailedError
from biztalk_services.provider.operators.backup import CheckBackupOperator, StartBackupOperator
from biztalk_services.provider.sensors import OperationSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.archive.azurite import ACCOUNT, free_port
from tests.conftest import AIRFLOW_ID
from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE, storage
from tests.provider.fakes import Died, EndedInTrigger, dies_once, loses_response

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture
def name() -> str:
    return f"{NAME}-{uuid4().hex[:12]}"


@pytest.fixture
def check(name) -> CheckBackupOperator:
    return CheckBackupOperator(task_id="check", service=SERVICE, backup_name=name)


class TestCheck:
    def test_a_backup_that_is_allowed(self, check, run):
        checked = run.execute(check)
        assert checked == {
            "service": SERVICE,
            "subscription_id": "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10",
            "edition": "standard",
            "product_version": "1.1.0",
            "region": "West US",
            "state": "Active",
        }

    def test_nothing_is_requested_and_nothing_written(self, check, run, emulator, before, blobs, name):
        run.execute(check)
        assert {entry["method"] for entry in emulator.journal(after=before, kind="request")} == {"GET"}
        assert not blobs.get_container_client(name).exists()

    def test_all_broken_rules_come_at_once(self, run, emulator, requests, blobs, name):
        blobs.create_container(name)
        emulator.force("contosodev", "StartFailed")
        task = CheckBackupOperator(task_id="check", service=f"{CLOUD_SERVICE}/contosodev", backup_name=name)
        with pytest.raises(RefusedError) as caught:
            run.execute(task)
        rules = [check.rule for check in caught.value.broken]
        assert rules == ["edition-has-backups", "state-allows-backup", "backup-name-free"]
        assert run.xcom("check", "failure") == str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"

    def test_an_impossible_name(self, run):
        with pytest.raises(RefusedError, match="backup-name"):
            run.execute(CheckBackupOperator(task_id="check", service=SERVICE, backup_name="no"))

    def test_a_cleared_task_accepts_its_own_container(self, check, run, blobs, name):
        run.execute(check)
        blobs.create_container(name)
        assert run.execute(check)["service"] == SERVICE

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

    def test_storage_that_does_not_respond(self, check, run, azurite, connect):
        connect("biztalk_backup_storage", storage(azurite, host=f"http://127.0.0.1:{free_port()}/{ACCOUNT}"))
        with pytest.raises(StorageUnreachableError) as caught:
            run.execute(check)
        assert check.retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"


@pytest.fixture
def backup(emulator, name) -> StartBackupOperator:
    """The backup of a quiesced service."""
    emulator.force(NAME, "Suspended")
    quiesced = {
        "state": "Suspended", "etag": emulator.etag(NAME), "reached_at": "2026-01-01T02:00:00+00:00", "service": None,
    }  # fmt: skip
    return StartBackupOperator(task_id="back_up", service=SERVICE, backup_name=name, quiesced=quiesced)


def wait_for(run, clock, operation_id: str | None) -> dict:
    sensor = OperationSensor(
        task_id="wait", service=SERVICE, operation_id=operation_id, operation_type="Backup", deadline_minutes=90
    )
    return run.execute(sensor)


class TestBackUpOnce:
    """The worker dies, or the response is lost; another try goes on with the backup that was started."""

    def again(self, backup, run, blobs, operations, clock, name) -> dict:
        started = run.execute(backup)
        assert run.execute(backup) == started
        assert wait_for(run, clock, started["operation_id"])["state"] == "Suspended"
        assert run.execute(backup) == started
        assert len(operations("backup")) == 1
        assert blobs.get_blob_client(name, f"{name}.txt").exists()
        return started

    def test_nothing_dies(self, backup, run, blobs, operations, requests, clock, name, azurite):
        started = self.again(backup, run, blobs, operations, clock, name)
        (operation,) = operations("backup")
        assert started["operation_id"] == operation["operation_id"]
        assert started["container_url"] == f"http://127.0.0.1:{azurite.port}/{ACCOUNT}/{name}"
        assert (started["account"], started["container"]) == (ACCOUNT, name)
        assert started["etag"] == backup.quiesced["etag"]
        (request,) = requests("backup")
        assert request["client_request_id"] == f"{AIRFLOW_ID}:nightly:{run.run_id}:back_up:-1:backup"

    def test_before_the_intent(self, backup, run, blobs, operations, clock, name):
        run.store("back_up").dies_at = "backup"
        with pytest.raises(Died):
            run.execute(backup)
        assert self.again(backup, run, blobs, operations, clock, name)["operation_id"]

    def test_before_the_request(self, backup, run, blobs, operations, clock, name, monkeypatch):
        dies_once(monkeypatch, BizTalkDriver, "start_backup", after=False)
        with pytest.raises(Died):
            run.execute(backup)
        assert operations("backup") == []
        assert self.again(backup, run, blobs, operations, clock, name)["operation_id"]

    @pytest.mark.usefixtures("slow_backups")
    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    @pytest.mark.parametrize("ended", [False, True])
    def test_the_response_is_lost(self, kind, ended, backup, run, blobs, operations, emulator, clock, name):
        emulator.fault(kind, "backup", service=NAME, count=1)
        loses_response(run, backup)
        if ended:
            emulator.reaches(NAME, "Suspended")
        self.again(backup, run, blobs, operations, clock, name)

    @pytest.mark.parametrize("ended", [False, True])
    def test_the_response_is_not_stored(self, ended, backup, run, blobs, operations, emulator, clock, name):
        run.store("back_up").die_after_request("backup")
        with pytest.raises(Died):
            run.execute(backup)
        if ended:
            emulator.reaches(NAME, "Suspended")
        assert self.again(backup, run, blobs, operations, clock, name)["operation_id"] is None

    def test_an_adopted_backup_that_failed_is_a_failure(self, backup, run, emulator, clock):
        run.store("back_up").die_after_request("backup")
        emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
        with pytest.raises(Died):
            run.execute(backup)
        assert run.execute(backup)["operation_id"] is None
        with pytest.raises((EndedInTrigger, WaitFailedError), match="The disk is full"):
            wait_for(run, clock, None)


def test_a_key_rotated_since_the_check_fails_the_backup_only(backup, run, azurite, connect, emulator, requests):
    connect("biztalk_backup_storage", storage(azurite, password="d3Jvbmc="))
    with pytest.raises(StorageAuthenticationError, match="account key") as caught:
        run.execute(backup)
    assert "d3Jvbmc=" not in str(caught.value)
    assert requests("backup") == []
    assert emulator.state(NAME) == "Suspended"


def test_an_operation_of_others_is_not_adopted_as_our_backup(backup, run, emulator, operations, monkeypatch):
    dies_once(monkeypatch, BizTalkDriver, "start_backup", after=False)
    with pytest.raises(Died):
        run.execute(backup)
    emulator.fault("stuck", "resume", service=NAME, count=1)
    emulator.act(NAME, "resume")
    with pytest.raises(NotQuiescedError, match="was Suspended and is Resuming now"):
        run.execute(backup)
    emulator.force(NAME, "Suspended")
    assert run.execute(backup)["operation_id"]
    assert len(operations("backup")) == 1


def test_a_service_that_is_active_again_is_not_backed_up(backup, run, emulator, requests):
    emulator.admin("PATCH", "/settings", {"profile": {"backup_precondition": "chart"}})
    emulator.force(NAME, "Active")
    with pytest.raises(NotQuiescedError, match="was Suspended and is Active now, so no request was sent") as caught:
        run.execute(backup)
    assert backup.retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"
    assert requests("backup") == []


def test_a_service_changed_since_the_wait_is_not_backed_up(backup, run, emulator, operations):
    emulator.admin("POST", f"/services/{NAME}/content", {})
    with pytest.raises(PreconditionFailedError) as caught:
        run.execute(backup)
    assert backup.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"
    assert operations("backup") == []


def test_an_xcom_of_a_trigger_is_json_text(backup, run, operations):
    backup.quiesced = json.dumps(backup.quiesced)
    run.execute(backup)
    assert len(operations("backup")) == 1


def test_no_secret_is_stored_or_logged(backup, run, emulator, secrets, name, caplog, capfd):
    emulator.fault("status", "backup", service=NAME, count=1, status=400, code="BadRequest", message="No: {}")
    with pytest.raises(Exception, match="400"):
        run.execute(backup)
    run.execute(backup)
    left = json.dumps([run.xcoms[place] for place in run.xcoms]) + "".join(run.store("back_up").values.values())
    printed = capfd.readouterr()
    everything = left + caplog.text + printed.out + printed.err
    assert name in everything
    assert [secret for secret in secrets if secret in everything] == []
