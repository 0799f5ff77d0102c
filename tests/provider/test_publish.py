"""Reading a backup back, and publishing its reference: whole, tampered, inconsistent."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import BackupDamagedError, NotInCatalogError, StorageNotFoundError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.flows.backup import BackupInconsistentError
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.requests import PROCEED
from biztalk_services.provider.assets import BACKUPS
from biztalk_services.provider.operators.backup import VerifyBackupOperator

from tests.archive.azurite import ACCOUNT
from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Run
from tests.provider.walk import Night


def catalog_of(blobs, container: str) -> Catalog:
    return Archive(StorageAccount(blobs), container).catalog


pytestmark = pytest.mark.usefixtures("connections", "clock")


@pytest.fixture
def night(run) -> Night:
    return Night(run, NAME, container=f"archive-{uuid4().hex[:12]}")


@pytest.fixture
def catalog(night, blobs) -> Catalog:
    return catalog_of(blobs, night.container)


@pytest.fixture
def backup(night) -> str:
    """Name of a backup that was taken, and not yet read back."""
    night.until("service.verify_backup")
    assert night.errors == {}
    return night.backup_name()


class TestVerify:
    def test_a_whole_backup(self, night, backup, blobs):
        verified = night.step("service.verify_backup")
        there = {blob.name: blob.size for blob in blobs.get_container_client(backup).list_blobs()}
        assert {blob["name"]: blob["size"] for blob in verified["blobs"]} == there
        assert verified["level"] == "matched"
        assert verified["items"]
        assert f"All {len(there)} blobs ({sum(there.values())} bytes) were read back" in verified["checked"]

    def test_a_changed_blob(self, night, backup, blobs):
        container = blobs.get_container_client(backup)
        name, size = next((blob.name, blob.size) for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.upload_blob(name, b"x" * size, overwrite=True)
        night.step("service.verify_backup")
        assert isinstance(night.errors["service.verify_backup_0"], BackupDamagedError)
        assert f"{name} has another content" in str(night.errors["service.verify_backup_0"])

    def test_a_missing_blob(self, night, backup, blobs):
        container = blobs.get_container_client(backup)
        name = next(blob.name for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.delete_blob(name)
        night.step("service.verify_backup")
        assert f"{name} is missing" in str(night.errors["service.verify_backup_0"])

    def test_a_blob_too_many(self, night, backup, blobs):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        night.step("service.verify_backup")
        assert "stowaway is not in the descriptor's list" in str(night.errors["service.verify_backup_0"])

    def test_a_missing_descriptor(self, night, backup, blobs):
        blobs.get_container_client(backup).delete_blob(f"{backup}.txt")
        night.step("service.verify_backup")
        assert f"the descriptor {backup}.txt is missing" in str(night.errors["service.verify_backup_0"])

    def test_a_missing_container(self, night):
        task = VerifyBackupOperator(task_id="verify", service=SERVICE, backup_name="never-taken")
        with pytest.raises(StorageNotFoundError):
            night.run.execute(task)

    def test_the_backup_of_another_service(self, night, backup):
        service = SERVICE.replace(NAME, "ContosoRetail")
        task = VerifyBackupOperator(task_id="verify", service=service, backup_name=backup)
        with pytest.raises(BackupDamagedError, match="is about service contosoorders, not ContosoRetail"):
            night.run.execute(task)

    def test_a_damaged_backup_is_not_published_and_not_retried(self, night, backup, blobs, catalog):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        night.until("report")
        assert night.states["service.publish_reference_0"] == "upstream_failed"
        assert catalog.list_references() == []
        policy = night.task("service.verify_backup").retry_policy
        assert policy.evaluate(night.errors["service.verify_backup_0"], 1, 5).action.value == "fail"


class TestPublish:
    def test_the_reference_contains_everything(self, night, backup, catalog, emulator):
        reference = BackupReference.from_dict(night.until("report").xcom("service.publish_reference"))
        assert night.errors == {}
        assert catalog.read(NAME, backup) == reference
        assert (reference.account, reference.container, reference.service) == (ACCOUNT, backup, NAME)
        assert (reference.edition, reference.product_version, reference.region) == ("standard", "1.1.0", "West US")
        assert reference.etag == emulator.etag(NAME)
        assert reference.started_at <= reference.finished_at <= reference.created_at
        assert (reference.run.dag_id, reference.run.run_id) == ("biztalk_nightly_backup", night.run.run_id)
        assert reference.operation_id == night.xcom("service.back_up")["operation_id"]
        assert (reference.label, reference.drain.drained) == (None, True)
        assert (reference.drain.before.answer, reference.drain.after.answer) == ("empty", "empty")
        assert sum(reference.items.values()) > 0
        assert reference.verification.level == "matched"
        assert {part["what"] for part in night.xcom("service.publish_reference")["not_included"]} == {
            part.what for part in INFO.not_included
        }
        assert "messages in batches" in {part.what for part in reference.not_included}

    def test_its_url_and_the_event_of_the_asset_lead_to_it(self, night, backup, blobs):
        night.until("report")
        url = night.xcom("service.publish_reference", "reference_url")
        assert url.endswith(f"/{night.container}/references/{NAME}/{backup}.json")
        assert night.run.events[BACKUPS].extra == {
            "service": NAME, "account": ACCOUNT, "container": backup, "drained": True
        }  # fmt: skip
        assert night.task("service.publish_reference").outlets == [BACKUPS]

    def test_another_try_publishes_the_same(self, night, backup, catalog):
        first = night.until("report").xcom("service.publish_reference")
        night.step("service.verify_backup")
        assert night.step("service.publish_reference") == first
        assert night.errors == {}
        assert len(catalog.list_references()) == 1

    def test_no_secret_is_in_it(self, night, backup, secrets, blobs, emulator):
        night.until("report")
        path = f"references/{NAME}/{backup}.json"
        text = blobs.get_blob_client(night.container, path).download_blob().readall().decode()
        everything = text + json.dumps([*night.run.xcoms.values()]) + json.dumps(vars(night.run.events[BACKUPS]))
        everything += "".join(value for store in night.run.stores.values() for value in store.values.values())
        assert backup in everything
        assert [secret for secret in secrets if secret in everything] == []
        assert "Password" not in everything
        assert "AccountKey" not in everything

    @pytest.mark.usefixtures("slow_backups")
    def test_a_backup_of_a_changed_service_goes_into_quarantine(self, night, emulator, catalog, blobs):
        night.until("service.wait_for_backup")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        night.until("report")
        error = night.errors["service.publish_reference_0"]
        assert isinstance(error, BackupInconsistentError)
        assert "changed during the backup" in str(error)
        assert emulator.etag(NAME) in str(error)
        assert catalog.list_references() == []
        backup = night.backup_name()
        with pytest.raises(NotInCatalogError):
            catalog.read(NAME, backup)
        note = blobs.get_blob_client(night.container, f"set-aside/{NAME}/{backup}.json").download_blob().readall()
        assert json.loads(note)["reference"]["container"] == backup
        assert json.loads(note)["reason"] in str(error)
        assert BACKUPS not in night.run.events
        night.step("service.publish_reference")
        assert isinstance(night.errors["service.publish_reference_0"], BackupInconsistentError)
        assert emulator.state(NAME) == "Active"

    def test_a_backup_lost_since_it_was_read_back_is_not_published(self, night, catalog, blobs):
        night.until("service.publish_reference")
        blobs.get_blob_client(night.backup_name(), "configuration.json").delete_blob()
        night.step("service.publish_reference")
        error = night.errors["service.publish_reference_0"]
        assert isinstance(error, BackupDamagedError)
        assert "configuration.json is missing" in str(error)
        assert catalog.list_references() == []

    def test_an_inventory_taken_after_a_change_means_quarantine(self, night, emulator, catalog):
        """Its step was tried again after the service was resumed."""
        night.until("service.verify_backup")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        night.step("service.record_inventory")
        night.until("report")
        error = night.errors["service.publish_reference_0"]
        assert isinstance(error, BackupInconsistentError)
        assert f"inventory: {emulator.etag(NAME)})" in str(error)
        assert catalog.list_references() == []

    def test_a_label_is_kept(self, run, container, blobs):
        label = {"label": "before the move, übermorgen"}
        night = Night(run, NAME, container=container, form=label).all()
        (reference,) = catalog_of(blobs, container).list_references()
        assert reference.label == "before the move, übermorgen"
        assert night.errors == {}

    @pytest.mark.parametrize(
        ("unfit", "rule"),
        [
            ({"form": {"label": "AccountKey=Y2FuYXJ5"}}, "label-without-secret"),
            ({"container": "BizTalk_Catalog"}, "catalog-container"),
        ],
    )
    def test_what_could_not_be_published_is_refused_at_the_check(self, unfit, rule, run, container, blobs, requests):
        night = Night(run, NAME, **{"container": container} | unfit).until("report")
        assert set(night.errors) == {"service.check_backup_0"}
        assert rule in str(night.errors["service.check_backup_0"])
        assert "Y2FuYXJ5" not in str(night.errors["service.check_backup_0"])
        assert requests("suspend") == []
        assert catalog_of(blobs, container).list_references() == []


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


class TestDrained:
    def drained(self, night: Night, blobs) -> tuple[str, str, bool]:
        assert night.all().errors == {}
        (reference,) = catalog_of(blobs, night.container).list_references()
        drain = reference.drain
        return drain.before.answer, drain.after.answer, drain.drained

    def test_a_batch_that_was_refilled(self, run, container, blobs, emulator):
        night = Night(run, NAME, container=container)
        night.until("service.suspend")
        batch = emulator.admin("GET", f"/services/{NAME}")["batches"][0]
        emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": batch["AgreementName"], "messages": 1})
        try:
            night.until("report")
        finally:
            emulator.admin(
                "POST",
                f"/services/{NAME}/batches/release",
                {"agreement": batch["AgreementName"], "batch": batch["BatchName"]},
            )
        (reference,) = catalog_of(blobs, container).list_references()
        drain = reference.drain
        assert (drain.before.answer, drain.after.answer, drain.drained) == ("empty", "active", False)
        assert night.run.events[BACKUPS].extra["drained"] is False

    @pytest.fixture
    def no_source(self, monkeypatch) -> None:
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__TRACKING_CONN_ID", "no_such_connection")

    @pytest.mark.usefixtures("no_source")
    def test_the_status_is_unknown(self, run, container, blobs):
        night = Night(run, NAME, container=container, form={"unknown_batches_policy": PROCEED})
        assert self.drained(night, blobs) == ("unknown", "unknown", False)

    @pytest.mark.usefixtures("no_source")
    def test_a_confirmation_does_not_count_after_the_suspension(self, container, blobs):
        night = Night(Run(triggering_user_name="ada"), NAME, container=container, form={"batches_are_empty": True})
        assert self.drained(night, blobs) == ("empty", "unknown", False)
