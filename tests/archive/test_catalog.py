"""The catalog on a real Azurite."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from azure.core.exceptions import ResourceExistsError
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import Blobs, json_bytes
from biztalk_services.archive.errors import (
    AlreadyPublishedError,
    BackupDamagedError,
    NotInCatalogError,
    StorageAuthenticationError,
    StorageNotReadyError,
    StorageUnreachableError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.model.backup import BackupReference, InvalidReferenceError, StoredBlob
from biztalk_services.model.run import Run

from tests.archive.azurite import Azurite, free_port
from tests.archive.samples import NOW, reference, schema_1

NAME = "orders-20260101-020000"
NEXT = "orders-20260102-020000"
DAY = timedelta(days=1)


@pytest.fixture
def catalog(archive):
    return archive.catalog


@pytest.fixture
def put(client, container_name):
    """Write a blob below the references of service orders, past the catalog."""

    def write(name: str, content: bytes) -> None:
        container = client.get_container_client(container_name)
        if not container.exists():
            container.create_container()
        container.upload_blob(f"references/orders/{name}.json", content)

    return write


def bytes_of(record: BackupReference) -> bytes:
    return json_bytes(record.to_dict())


def test_publishes_reads_and_lists(catalog, client, container_name):
    first, second = reference(), reference(NEXT, finished_at=NOW + DAY)
    other = reference("billing-20260101-020000", service="Billing")
    published, url = catalog.publish(first)
    assert published == first
    assert url.endswith(f"/devstoreaccount1/{container_name}/references/orders/{NAME}.json")
    catalog.publish(second)
    assert catalog.publish(other)[1].endswith("/references/billing/billing-20260101-020000.json")
    assert catalog.read("ORDERS", NAME) == first
    assert catalog.list_references() == [second, first, other]
    assert catalog.list_references("Orders") == [second, first]
    assert catalog.list_references("order") == []
    assert catalog.latest("orders") == second
    assert catalog.latest("billing") == other
    assert catalog.latest("orders", kinds=("nightly", "manual")) == second
    blob = client.get_blob_client(container_name, f"references/orders/{NAME}.json")
    assert blob.download_blob().readall() == bytes_of(first)
    assert blob.get_blob_properties().content_settings.content_type == "application/json; charset=utf-8"


def test_find_takes_a_name_or_account_and_name(catalog):
    for each in (reference(), reference("billing-20260101-020000", service="Billing")):
        catalog.publish(each)
    for name in (NAME, f"backups/{NAME}", f" {NAME} "):
        assert catalog.find(name) == reference()
    with pytest.raises(NotInCatalogError, match=f"no reference to backup {NEXT}\\."):
        catalog.find(NEXT)


def test_find_names_quarantine_and_two_of_a_name(catalog):
    catalog.quarantine(reference(), "It was changed meanwhile.")
    with pytest.raises(NotInCatalogError, match="it is in quarantine, so it is not valid"):
        catalog.find(NAME)
    catalog.publish(reference())
    assert catalog.find(NAME) == reference()
    catalog.publish(reference(service="billing"))
    with pytest.raises(NotInCatalogError, match="2 references"):
        catalog.find(NAME)


# --- kinds of backups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safety", "drill"])
def test_latest_skips_backups_of_other_kinds(catalog, kind):
    nightly = reference()
    newer = reference(NEXT, finished_at=NOW + DAY, kind=kind, run=Run("restore", "of the day after"))
    for each in (nightly, newer):
        catalog.publish(each)
    assert catalog.latest("orders") == newer
    assert catalog.latest("orders", kinds=("nightly", "manual")) == nightly
    assert catalog.latest("orders", kinds={kind}) == newer


def test_latest_when_all_backups_are_of_other_kinds(catalog):
    for day, kind in enumerate(("safety", "drill")):
        catalog.publish(reference(f"orders-2026010{day}-020000", finished_at=NOW + day * DAY, kind=kind))
    assert catalog.latest("orders").kind == "drill"
    with pytest.raises(NotInCatalogError, match="no backup of service orders"):
        catalog.latest("orders", kinds=("nightly", "manual"))


def test_latest_takes_manual_backups_among_the_kinds(catalog):
    manual = reference(NEXT, finished_at=NOW + DAY, kind="manual")
    for each in (reference(), manual):
        catalog.publish(each)
    assert catalog.latest("orders", kinds=("nightly", "manual")) == manual
    assert catalog.latest("orders", kinds=("nightly",)) == reference()


# --- schema versions -------------------------------------------------------------------------------------------------


def test_a_new_reference_has_schema_2(catalog, client, container_name):
    catalog.publish(reference(kind="safety"))
    blob = client.get_blob_client(container_name, f"references/orders/{NAME}.json")
    values = json.loads(blob.download_blob().readall())
    assert values["schema_version"] == 2
    assert (values["service_kind"], values["scope"], values["kind"]) == ("biztalk", "contoso-west", "safety")
    assert (values["expires_at"], values["hold"]) == (None, None)
    assert "cloud_service" not in values


def test_a_schema_1_reference_is_listed_and_found(catalog, put):
    put(NAME, json_bytes(schema_1(reference())))
    catalog.publish(reference(NEXT, finished_at=NOW + DAY))
    assert catalog.list_references() == [reference(NEXT, finished_at=NOW + DAY), reference()]
    assert catalog.read("Orders", NAME) == catalog.find(NAME) == reference()
    assert catalog.find(NAME).scope == "contoso-west"


def test_a_schema_1_reference_is_verified(account, archive, write_backup):
    name = write_backup()
    content = read_back(BackupTarget(account, name))
    record = reference(name, account=account.name, blobs=content.blobs)
    archive.catalog.publish(reference())
    path = f"references/orders/{name}.json"
    account.client.get_blob_client(archive.container, path).upload_blob(json_bytes(schema_1(record)))
    old = archive.catalog.find(name)
    assert old == record
    assert archive.verify(old) == f"All 3 blobs ({content.size} bytes) were read back and are what was recorded."
    archive.ensure_published(old)
    account.client.get_blob_client(name, "agreements.json").delete_blob()
    with pytest.raises(BackupDamagedError, match=r"agreements\.json is missing"):
        archive.verify(old)


def test_latest_skips_safety_backups_of_schema_1(catalog, put):
    safety = reference(NEXT, finished_at=NOW + DAY, kind="safety", run=Run("biztalk_restore", "manual__1"))
    put(NAME, json_bytes(schema_1(reference())))
    put(NEXT, json_bytes(schema_1(safety)))
    assert catalog.latest("orders") == safety
    assert catalog.latest("orders", kinds=("nightly", "manual")) == reference()


def test_publishing_again_over_schema_1_keeps_it(catalog, put, client, container_name):
    old = json_bytes(schema_1(reference()))
    put(NAME, old)
    assert catalog.publish(reference())[0] == reference()
    blob = client.get_blob_client(container_name, f"references/orders/{NAME}.json")
    assert blob.download_blob().readall() == old
    with pytest.raises(AlreadyPublishedError):
        catalog.publish(reference(run=Run("manual", "other")))


def test_a_quarantined_reference_of_schema_1_is_listed(catalog, client, container_name):
    client.create_container(container_name)
    note = json_bytes({"reason": "It was changed meanwhile.", "reference": schema_1(reference())})
    client.get_blob_client(container_name, f"set-aside/orders/{NAME}.json").upload_blob(note)
    (quarantined,) = catalog.list_quarantined()
    assert (quarantined.reference, quarantined.reason) == (reference(), "It was changed meanwhile.")


# --- written once ----------------------------------------------------------------------------------------------------


def test_the_same_backup_again_keeps_its_reference(catalog):
    first, url = catalog.publish(reference())
    assert catalog.publish(reference()) == (first, url)
    later = reference(created_at=NOW + timedelta(hours=1), label="another try of the task")
    assert catalog.publish(later) == (first, url)
    assert catalog.list_references() == [reference()]


@pytest.mark.parametrize(
    "change", [{"run": Run("manual", "other")}, {"run": None}, {"blobs": (StoredBlob("x", 1, "c" * 64),)}]
)
def test_another_backup_of_the_same_name_is_refused(catalog, change):
    catalog.publish(reference())
    with pytest.raises(AlreadyPublishedError, match="never overwritten") as caught:
        catalog.publish(reference(**change))
    assert caught.value.advice == "stop"
    assert catalog.read("orders", NAME) == reference()


def test_a_quarantined_backup_is_not_in_the_catalog(catalog, client, container_name):
    url = catalog.quarantine(reference(), "It was changed meanwhile.")
    assert url.endswith(f"/{container_name}/set-aside/orders/{NAME}.json")
    assert catalog.quarantine(reference(), "It was changed meanwhile.") == url
    assert catalog.list_references() == []
    with pytest.raises(NotInCatalogError):
        catalog.latest("orders")
    with pytest.raises(NotInCatalogError):
        catalog.read("orders", NAME)
    blob = client.get_blob_client(container_name, f"set-aside/orders/{NAME}.json")
    note = json.loads(blob.download_blob().readall())
    assert note["reason"] == "It was changed meanwhile."
    assert BackupReference.from_dict(note["reference"]) == reference()


def test_an_empty_catalog(catalog):
    assert catalog.list_references() == []
    with pytest.raises(NotInCatalogError, match="no backup of service orders"):
        catalog.latest("orders")
    with pytest.raises(NotInCatalogError, match="no reference to backup x of service orders"):
        catalog.read("orders", "x")
    catalog.publish(reference())
    with pytest.raises(NotInCatalogError):
        catalog.read("orders", "x")


# --- published before ------------------------------------------------------------------------------------------------


def test_ensure_published_publishes_a_lost_reference(account, archive, write_backup, caplog):
    name = write_backup()
    record = reference(name, account=account.name, blobs=read_back(BackupTarget(account, name)).blobs)
    archive.ensure_published(record)
    assert archive.catalog.list_references() == [record]
    assert "It was published before, and is published again." in caplog.text


def test_ensure_published_leaves_a_damaged_backup_out(account, archive, write_backup):
    name = write_backup()
    record = reference(name, account=account.name, blobs=read_back(BackupTarget(account, name)).blobs)
    account.client.get_blob_client(name, "agreements.json").delete_blob()
    with pytest.raises(BackupDamagedError, match=r"agreements\.json is missing"):
        archive.ensure_published(record)
    assert archive.catalog.list_references() == []


# --- records that cannot be read -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        json.dumps(reference().to_dict() | {"schema_version": 3}).encode(),
        bytes_of(reference("orders-of-another-name")),
        bytes_of(reference())[:-30],
    ],
)
def test_an_invalid_record_is_named_and_hides_no_other(catalog, put, container_name, caplog, content):
    catalog.publish(reference())
    put("broken", content)
    assert catalog.list_references() == [reference()]
    assert f"references/orders/broken.json in catalog devstoreaccount1/{container_name}" in caplog.text
    invalid: list[InvalidReferenceError] = []
    assert catalog.list_references("orders", on_invalid=invalid.append) == [reference()]
    assert len(invalid) == 1
    with pytest.raises(InvalidReferenceError):
        catalog.read("orders", "broken")
    with pytest.raises(InvalidReferenceError):
        catalog.latest("orders")


def test_an_invalid_quarantine_record_hides_no_other(catalog, client, container_name):
    catalog.quarantine(reference(), "It was changed meanwhile.")
    client.get_blob_client(container_name, "set-aside/orders/broken.json").upload_blob(b'{"reason": "x"}')
    invalid: list[InvalidReferenceError] = []
    (quarantined,) = catalog.list_quarantined(on_invalid=invalid.append)
    assert quarantined.reference == reference()
    assert "set-aside/orders/broken.json" in str(invalid[0])


# --- deleted between list and read -----------------------------------------------------------------------------------


def test_a_record_deleted_after_the_list_is_skipped(catalog, client, container_name, monkeypatch, caplog):
    second = reference(NEXT, finished_at=NOW + DAY)
    for each in (reference(), second):
        catalog.publish(each)
        catalog.quarantine(each, "It was changed meanwhile.")
    listed = Blobs.list

    def list_then_delete(self: Blobs, folder: str) -> list[str]:
        paths = listed(self, folder)
        client.get_blob_client(container_name, f"{folder.partition('/')[0]}/orders/{NEXT}.json").delete_blob()
        return paths

    invalid: list[InvalidReferenceError] = []
    monkeypatch.setattr(Blobs, "list", list_then_delete)
    assert catalog.list_references("orders", on_invalid=invalid.append) == [reference()]
    assert [each.reference for each in catalog.list_quarantined(on_invalid=invalid.append)] == [reference()]
    assert invalid == []
    monkeypatch.undo()
    catalog.publish(second)
    monkeypatch.setattr(Blobs, "list", list_then_delete)
    assert catalog.latest("orders") == reference()
    assert not [each for each in caplog.records if each.name.startswith("biztalk_services")]


# --- storage that is not reached -------------------------------------------------------------------------------------


def test_azurite_down(container_name, azurite: Azurite):
    gone = Azurite(azurite.folder, free_port(), azurite.process)
    with gone.client() as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        for call in (
            lambda: catalog.publish(reference()),
            lambda: catalog.read("orders", "x"),
            catalog.list_references,
            catalog.list_quarantined,
            lambda: catalog.find("x"),
            lambda: catalog.latest("orders"),
        ):
            with pytest.raises(StorageUnreachableError) as caught:
                call()
            assert caught.value.advice == "retry"
            assert container_name in str(caught.value)


def test_azurite_stops_and_starts_again(tmp_path, container_name):
    azurite = Azurite.start(tmp_path)
    with azurite.client() as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        catalog.publish(reference())
        azurite.stop()
        with pytest.raises(StorageUnreachableError):
            catalog.list_references()
    again = Azurite.start(tmp_path)
    try:
        with again.client() as client:
            assert Archive(StorageAccount(client), container_name).catalog.list_references() == [reference()]
    finally:
        again.stop()


@pytest.mark.parametrize("key", ["d3Jvbmc=", "not base64 !"])
def test_a_wrong_key(azurite: Azurite, container_name, key):
    with azurite.client(key) as client, pytest.raises(StorageAuthenticationError, match="account key") as caught:
        Archive(StorageAccount(client), container_name).catalog.publish(reference())
    assert caught.value.advice == "stop"
    assert key not in str(caught.value)


def test_a_container_being_deleted_is_reported(archive, monkeypatch):
    def being_deleted(*_: object, **__: object) -> None:
        error = ResourceExistsError("The specified container is being deleted.")
        error.error_code = "ContainerBeingDeleted"
        raise error

    monkeypatch.setattr(archive._blobs._container, "create_container", being_deleted)
    with pytest.raises(StorageNotReadyError, match="ContainerBeingDeleted"):
        archive.catalog.publish(reference())


def test_nothing_shows_the_key(archive, account, container_name):
    assert repr(archive) == f"<Archive devstoreaccount1/{container_name}>"
    assert repr(account) == "<StorageAccount devstoreaccount1>"
