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
from tests.provider.walk import Night, ServiceBackup


def catalog_of(blobs, container: str) -> Catalog:
    return Archive(StorageAccount(blobs), container).catalog


pytestmark = pytest.mark.usefixtures("connections", "clock")


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


@pytest.fixture
def walk(run, container) -> ServiceBackup:
    """The run of one service."""
    return Night(run, NAME, container=container).backup()


@pytest.fixture
def catalog(container, blobs) -> Catalog:
    return catalog_of(blobs, container)


@pytest.fixture
def backup(walk) -> str:
    """Name of a backup that was taken, and not yet read back."""
    walk.until("verify_backup")
    assert walk.errors == {}
    return walk.backup_name


class TestVerify:
    def test_a_whole_backup(self, walk, backup, blobs):
        verified = walk.step("verify_backup")
        there = {blob.name: blob.size for blob in blobs.get_container_client(backup).list_blobs()}
        assert {blob["name"]: blob["size"] for blob in verified["blobs"]} == there
        assert verified["level"] == "matched"
        assert verified["items"]
        assert f"All {len(there)} blobs ({sum(there.values())} bytes) were read back" in verified["checked"]

    def test_a_changed_blob(self, walk, backup, blobs):
        container = blobs.get_container_client(backup)
        name, size = next((blob.name, blob.size) for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.upload_blob(name, b"x" * size, overwrite=True)
        walk.step("verify_backup")
        assert isinstance(walk.errors["verify_backup"], BackupDamagedError)
        assert f"{name} has another content" in str(walk.errors["verify_backup"])

    def test_a_missing_blob(self, walk, backup, blobs):
        container = blobs.get_container_client(backup)
        name = next(blob.name for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.delete_blob(name)
        walk.step("verify_backup")
        assert f"{name} is missing" in str(walk.errors["verify_backup"])

    def test_a_blob_too_many(self, walk, backup, blobs):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        walk.step("verify_backup")
        assert "stowaway is not in the descriptor's list" in str(walk.errors["verify_backup"])

    def test_a_missing_descriptor(self, walk, backup, blobs):
        blobs.get_container_client(backup).delete_blob(f"{backup}.txt")
        walk.step("verify_backup")
        assert f"the descriptor {backup}.txt is missing" in str(walk.errors["verify_backup"])

    def test_a_missing_container(self, walk):
        task = VerifyBackupOperator(task_id="verify", service=SERVICE, backup_name="never-taken")
        with pytest.raises(StorageNotFoundError):
            walk.run.execute(task)

    def test_the_backup_of_another_service(self, walk, backup):
        service = SERVICE.replace(NAME, "ContosoRetail")
        task = VerifyBackupOperator(task_id="verify", service=service, backup_name=backup)
        with pytest.raises(BackupDamagedError, match="is about service contosoorders, not ContosoRetail"):
            walk.run.execute(task)

    def test_a_damaged_backup_is_not_published_and_not_retried(self, walk, backup, blobs, catalog):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        walk.all()
        assert walk.states["publish_reference"] == "upstream_failed"
        assert catalog.list_references() == []
        policy = walk.task("verify_backup").retry_policy
        assert policy.evaluate(walk.errors["verify_backup"], 1, 5).action.value == "fail"


class TestPublish:
    def test_the_reference_contains_everything(self, walk, backup, catalog, emulator):
        reference = BackupReference.from_dict(walk.all().xcom("publish_reference"))
        assert walk.errors == {}
        assert catalog.read(NAME, backup) == reference
        assert (reference.account, reference.container, reference.service) == (ACCOUNT, backup, NAME)
        assert (reference.edition, reference.product_version, reference.region) == ("standard", "1.1.0", "West US")
        assert reference.etag == emulator.etag(NAME)
        assert reference.started_at <= reference.finished_at <= reference.created_at
        assert (reference.run.dag_id, reference.run.run_id) == ("biztalk_backup", walk.run.run_id)
        assert reference.operation_id == walk.xcom("back_up")["operation_id"]
        assert (reference.label, reference.drain.drained) == (None, True)
        assert (reference.drain.before.answer, reference.drain.after.answer) == ("empty", "empty")
        assert sum(reference.items.values()) > 0
        assert reference.verification.level == "matched"
        assert {part["what"] for part in walk.xcom("publish_reference")["not_included"]} == {
            part.what for part in INFO.not_included
        }
        assert "messages in batches" in {part.what for part in reference.not_included}

    def test_its_url_and_the_event_of_the_asset_lead_to_it(self, walk, backup, blobs, container):
        walk.all()
        url = walk.xcom("publish_reference", "reference_url")
        assert url.endswith(f"/{container}/references/{NAME}/{backup}.json")
        assert walk.run.events[BACKUPS].extra == {
            "service": NAME, "account": ACCOUNT, "container": backup, "drained": True
        }  # fmt: skip
        assert walk.task("publish_reference").outlets == [BACKUPS]

    def test_another_try_publishes_the_same(self, walk, backup, catalog):
        first = walk.all().xcom("publish_reference")
        walk.step("verify_backup")
        assert walk.step("publish_reference") == first
        assert walk.errors == {}
        assert len(catalog.list_references()) == 1

    def test_no_secret_is_in_it(self, walk, backup, secrets, blobs, emulator, container):
        walk.all()
        path = f"references/{NAME}/{backup}.json"
        text = blobs.get_blob_client(container, path).download_blob().readall().decode()
        everything = text + json.dumps([*walk.run.xcoms.values()]) + json.dumps(vars(walk.run.events[BACKUPS]))
        everything += "".join(value for store in walk.run.stores.values() for value in store.values.values())
        assert backup in everything
        assert [secret for secret in secrets if secret in everything] == []
        assert "Password" not in everything
        assert "AccountKey" not in everything

    @pytest.mark.usefixtures("slow_backups")
    def test_a_backup_of_a_changed_service_goes_into_quarantine(self, walk, emulator, catalog, blobs, container):
        walk.until("wait_for_backup")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        walk.all()
        error = walk.errors["publish_reference"]
        assert isinstance(error, BackupInconsistentError)
        assert "changed during the backup" in str(error)
        assert emulator.etag(NAME) in str(error)
        assert catalog.list_references() == []
        backup = walk.backup_name
        with pytest.raises(NotInCatalogError):
            catalog.read(NAME, backup)
        note = blobs.get_blob_client(container, f"set-aside/{NAME}/{backup}.json").download_blob().readall()
        assert json.loads(note)["reference"]["container"] == backup
        assert json.loads(note)["reason"] in str(error)
        assert BACKUPS not in walk.run.events
        walk.step("publish_reference")
        assert isinstance(walk.errors["publish_reference"], BackupInconsistentError)
        assert emulator.state(NAME) == "Active"

    def test_a_backup_lost_since_it_was_read_back_is_not_published(self, walk, catalog, blobs):
        walk.until("publish_reference")
        blobs.get_blob_client(walk.backup_name, "configuration.json").delete_blob()
        walk.step("publish_reference")
        error = walk.errors["publish_reference"]
        assert isinstance(error, BackupDamagedError)
        assert "configuration.json is missing" in str(error)
        assert catalog.list_references() == []

    def test_an_inventory_taken_after_a_change_means_quarantine(self, walk, emulator, catalog):
        """Its step was tried again after the service was resumed."""
        walk.until("verify_backup")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        walk.step("record_inventory")
        walk.all()
        error = walk.errors["publish_reference"]
        assert isinstance(error, BackupInconsistentError)
        assert f"later: {emulator.etag(NAME)})" in str(error)
        assert catalog.list_references() == []

    def test_a_change_after_an_inventory_that_came_late_means_quarantine(self, walk, emulator, catalog):
        """It was read after the backup had ended, perhaps while the service was changed."""
        walk.until("publish_reference")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        walk.all()
        assert isinstance(walk.errors["publish_reference"], BackupInconsistentError)
        assert f"later: {emulator.etag(NAME)})" in str(walk.errors["publish_reference"])
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
        walk = Night(run, NAME, **{"container": container} | unfit).backup().all()
        assert set(walk.errors) == {"check_backup"}
        assert rule in str(walk.errors["check_backup"])
        assert "Y2FuYXJ5" not in str(walk.errors["check_backup"])
        assert requests("suspend") == []
        assert catalog_of(blobs, container).list_references() == []


class TestDrained:
    def drained(self, night: Night, blobs) -> tuple[str, str, bool]:
        assert night.all().errors == {}
        (reference,) = catalog_of(blobs, night.container).list_references()
        drain = reference.drain
        return drain.before.answer, drain.after.answer, drain.drained

    def test_a_batch_that_was_refilled(self, run, container, blobs, emulator):
        walk = Night(run, NAME, container=container).backup()
        walk.until("suspend")
        batch = emulator.admin("GET", f"/services/{NAME}")["batches"][0]
        emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": batch["AgreementName"], "messages": 1})
        try:
            walk.all()
        finally:
            emulator.admin(
                "POST",
                f"/services/{NAME}/batches/release",
                {"agreement": batch["AgreementName"], "batch": batch["BatchName"]},
            )
        (reference,) = catalog_of(blobs, container).list_references()
        drain = reference.drain
        assert (drain.before.answer, drain.after.answer, drain.drained) == ("empty", "active", False)
        assert walk.run.events[BACKUPS].extra["drained"] is False

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
