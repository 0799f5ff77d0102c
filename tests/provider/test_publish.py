"""Reading a backup back, and publishing its reference: whole, tampered, inconsistent."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import BackupDamagedError, NotInCatalogError, StorageNotFoundError
from biztalk_services.flows.backup import BackupInconsistentError
from biztalk_services.model.backup import NOT_INCLUDED, BackupReference
from biztalk_services.model.requests import PROCEED
from biztalk_services.provider.assets import BACKUPS
from biztalk_services.provider.operators.backup import VerifyBackupOperator

from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Run
from tests.provider.walk import Night
from tests.archive.azurite import ACCOUNT

pytestmark = pytest.mark.usefixtures("connections", "clock")


@pytest.fixture
def night(run) -> Night:
    return Night(run, NAME, f"catalog-{uuid4().hex[:12]}")


@pytest.fixture
def catalog(night, blobs) -> Catalog:
    return Catalog(blobs, night.catalog)


@pytest.fixture
def backup(night) -> str:
    """Name of a backup that was taken, and not yet looked at."""
    night.all(until="verify")
    assert night.troubles == {}
    return night.targets[0]["backup_name"]


class TestVerify:
    def test_a_whole_backup(self, night, backup, blobs):
        found = night.step("verify")
        there = {blob.name: blob.size for blob in blobs.get_container_client(backup).list_blobs()}
        assert {blob["name"]: blob["size"] for blob in found["blobs"]} == there
        assert found["level"] == "matched"
        assert found["items"]
        assert f"All {len(there)} blobs ({sum(there.values())} bytes) were read back" in found["checked"]

    def test_a_changed_blob(self, night, backup, blobs):
        container = blobs.get_container_client(backup)
        name, size = next((blob.name, blob.size) for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.upload_blob(name, b"x" * size, overwrite=True)
        night.step("verify")
        assert isinstance(night.troubles["verify", 0], BackupDamagedError)
        assert f"{name} has another content" in str(night.troubles["verify", 0])

    def test_a_missing_blob(self, night, backup, blobs):
        container = blobs.get_container_client(backup)
        name = next(blob.name for blob in container.list_blobs() if not blob.name.endswith(".txt"))
        container.delete_blob(name)
        night.step("verify")
        assert f"{name} is missing" in str(night.troubles["verify", 0])

    def test_a_blob_too_many(self, night, backup, blobs):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        night.step("verify")
        assert "stowaway is not in the descriptor's list" in str(night.troubles["verify", 0])

    def test_a_missing_descriptor(self, night, backup, blobs):
        blobs.get_container_client(backup).delete_blob(f"{backup}.txt")
        night.step("verify")
        assert f"the descriptor {backup}.txt is missing" in str(night.troubles["verify", 0])

    def test_a_missing_container(self, night):
        task = VerifyBackupOperator(task_id="verify", service=SERVICE, backup_name="never-taken")
        with pytest.raises(StorageNotFoundError):
            night.run.execute(task)

    def test_the_backup_of_another_service(self, night, backup):
        service = SERVICE.replace(NAME, "ContosoRetail")
        task = VerifyBackupOperator(task_id="verify", service=service, backup_name=backup)
        with pytest.raises(BackupDamagedError, match="is about service contosoorders, not ContosoRetail"):
            night.run.execute(task)

    def test_what_is_not_whole_is_not_published_and_not_tried_again(self, night, backup, blobs, catalog):
        blobs.get_container_client(backup).upload_blob("stowaway", b"x")
        night.go_on("verify")
        assert night.run.states["publish_0"] == "upstream_failed"
        assert catalog.list() == []
        policy = night.operator("verify").retry_policy
        assert policy.evaluate(night.troubles["verify", 0], 1, 5).action.value == "fail"


class TestPublish:
    def test_the_reference_says_everything(self, night, backup, catalog, emulator):
        reference = BackupReference.from_dict(night.go_on("verify").run.xcom("publish"))
        assert night.troubles == {}
        assert catalog.read(NAME, backup) == reference
        assert (reference.account, reference.container, reference.service) == (ACCOUNT, backup, NAME)
        assert (reference.edition, reference.product_version, reference.region) == ("standard", "1.1.0", "West US")
        assert reference.etag == emulator.etag(NAME)
        assert reference.started_at <= reference.finished_at <= reference.created_at
        assert (reference.run.dag_id, reference.run.run_id) == ("nightly", night.run.run_id)
        assert reference.operation_id == night.run.xcom("back_up")["operation_id"]
        assert (reference.label, reference.drain.drained) == (None, True)
        assert (reference.drain.before.answer, reference.drain.after.answer) == ("empty", "empty")
        assert sum(reference.items.values()) > 0
        assert reference.verification.level == "matched"
        assert {part["what"] for part in night.run.xcom("publish")["not_included"]} == {n.what for n in NOT_INCLUDED}
        assert "messages in batches" in {part.what for part in reference.not_included}

    def test_its_url_and_the_assets_event_lead_to_it(self, night, backup, blobs):
        night.go_on("verify")
        url = night.run.xcom("publish", "reference_url")
        assert url.endswith(f"/{night.catalog}/references/{NAME}/{backup}.json")
        assert night.run.events[BACKUPS].extra == {
            "service": NAME, "account": ACCOUNT, "container": backup, "drained": True
        }  # fmt: skip
        assert night.operator("publish").outlets == [BACKUPS]

    def test_another_try_publishes_the_same(self, night, backup, catalog):
        first = night.go_on("verify").run.xcom("publish")
        night.step("verify")
        assert night.step("publish") == first
        assert night.troubles == {}
        assert len(catalog.list()) == 1

    def test_no_secret_is_in_it(self, night, backup, secrets, blobs, emulator):
        night.go_on("verify")
        path = f"references/{NAME}/{backup}.json"
        text = blobs.get_blob_client(night.catalog, path).download_blob().readall().decode()
        everything = text + json.dumps([*night.run.xcoms.values()]) + json.dumps(vars(night.run.events[BACKUPS]))
        everything += "".join(value for store in night.run.stores.values() for value in store.values.values())
        assert backup in everything
        assert [secret for secret in secrets if secret in everything] == []
        assert "Password" not in everything
        assert "AccountKey" not in everything

    @pytest.mark.usefixtures("slow_backups")
    def test_a_backup_during_which_the_service_was_changed_is_set_aside(self, night, emulator, catalog, blobs):
        night.all(until="ended")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        night.go_on("ended")
        error = night.troubles["publish", 0]
        assert isinstance(error, BackupInconsistentError)
        assert "was not changed while it was being backed up" in str(error)
        assert emulator.etag(NAME) in str(error)
        assert catalog.list() == []
        backup = night.targets[0]["backup_name"]
        with pytest.raises(NotInCatalogError):
            catalog.read(NAME, backup)
        note = blobs.get_blob_client(night.catalog, f"set-aside/{NAME}/{backup}.json").download_blob().readall()
        assert json.loads(note)["reference"]["container"] == backup
        assert json.loads(note)["reason"] in str(error)
        assert BACKUPS not in night.run.events
        night.step("publish")
        assert isinstance(night.troubles["publish", 0], BackupInconsistentError)
        assert emulator.state(NAME) == "Active"

    def test_a_backup_that_the_storage_has_lost_since_it_was_read_back_is_not_published(self, night, catalog, blobs):
        night.all(until="publish")
        blobs.get_blob_client(night.targets[0]["backup_name"], "configuration.json").delete_blob()
        night.step("publish")
        error = night.troubles["publish", 0]
        assert isinstance(error, BackupDamagedError)
        assert "configuration.json is missing" in str(error)
        assert catalog.list() == []

    def test_an_inventory_that_was_taken_after_a_change_sets_the_backup_aside(self, night, emulator, catalog):
        """Its step was tried again when the service was back."""
        night.all(until="verify")
        emulator.admin("POST", f"/services/{NAME}/content", {})
        night.step("record")
        night.go_on("verify")
        error = night.troubles["publish", 0]
        assert isinstance(error, BackupInconsistentError)
        assert f"{emulator.etag(NAME)} when its inventory was taken" in str(error)
        assert catalog.list() == []

    def test_a_label_is_kept(self, run, catalog_name, blobs):
        night = Night(run, NAME, catalog_name, publish={"backup_label": "before the move, übermorgen"}).all()
        (reference,) = Catalog(blobs, catalog_name).list()
        assert reference.label == "before the move, übermorgen"
        assert night.troubles == {}

    @pytest.mark.parametrize(
        ("unfit", "rule"),
        [
            ({"backup_label": "AccountKey=Y2FuYXJ5"}, "label-without-secret"),
            ({"catalog_container": "BizTalk_Catalog"}, "catalog-container"),
        ],
    )
    def test_what_could_not_be_published_is_refused_before_anything_is_done(
        self, unfit, rule, run, catalog_name, blobs, asked
    ):
        night = Night(run, NAME, catalog_name, check=unfit).all()
        assert set(night.troubles) == {("check", 0)}
        assert rule in str(night.troubles["check", 0])
        assert "Y2FuYXJ5" not in str(night.troubles["check", 0])
        assert asked("suspend") == []
        assert Catalog(blobs, catalog_name).list() == []


@pytest.fixture
def catalog_name() -> str:
    return f"catalog-{uuid4().hex[:12]}"


class TestDrained:
    def drained(self, night: Night, blobs) -> tuple[str, str, bool]:
        assert night.all().troubles == {}
        (reference,) = Catalog(blobs, night.catalog).list()
        drain = reference.drain
        return drain.before.answer, drain.after.answer, drain.drained

    def test_a_message_that_slipped_in(self, run, catalog_name, blobs, emulator):
        night = Night(run, NAME, catalog_name)
        night.all(until="suspend")
        batch = emulator.admin("GET", f"/services/{NAME}")["batches"][0]
        emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": batch["AgreementName"], "messages": 1})
        try:
            night.go_on("suspend")
        finally:
            emulator.admin(
                "POST",
                f"/services/{NAME}/batches/release",
                {"agreement": batch["AgreementName"], "batch": batch["BatchName"]},
            )
        (reference,) = Catalog(blobs, catalog_name).list()
        drain = reference.drain
        assert (drain.before.answer, drain.after.answer, drain.drained) == ("empty", "active", False)
        assert night.run.events[BACKUPS].extra["drained"] is False

    def test_nobody_knows(self, run, catalog_name, blobs):
        unknown = {"tracking_conn_id": "no_such_connection"}
        night = Night(run, NAME, catalog_name, drain=unknown | {"when_unknown": PROCEED}, look_again=unknown)
        assert self.drained(night, blobs) == ("unknown", "unknown", False)

    def test_a_persons_word_alone_is_not_certainty_afterwards(self, catalog_name, blobs):
        unknown = {"tracking_conn_id": "no_such_connection"}
        run = Run(triggering_user_name="ada")
        night = Night(run, NAME, catalog_name, drain=unknown | {"batches_are_empty": True}, look_again=unknown)
        assert self.drained(night, blobs) == ("empty", "unknown", False)
