"""The catalog on a real Azurite."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from biztalk_services.archive.catalog import Catalog, to_bytes
from biztalk_services.archive.errors import (
    AlreadyPublishedError,
    ContainerExistsError,
    NotInCatalogError,
    StorageAuthenticationError,
    StorageUnreachableError,
)
from biztalk_services.model.backup import BackupReference, InvalidReferenceError, Run, StoredBlob

from tests.catalog.azurite import Azurite, free_port
from tests.catalog.samples import NOW, reference


@pytest.fixture
def catalog(client, container_name) -> Catalog:
    return Catalog(client, container_name)


def test_publishes_reads_and_lists(catalog, client, container_name):
    first, second = reference(), reference("orders-20260102-020000", finished_at=NOW + timedelta(days=1))
    other = reference("billing-20260101-020000", service="Billing")
    published, url = catalog.publish(first)
    assert published == first
    assert url.endswith(f"/devstoreaccount1/{container_name}/references/orders/orders-20260101-020000.json")
    catalog.publish(second)
    assert catalog.publish(other)[1].endswith("/references/billing/billing-20260101-020000.json")
    assert catalog.read("ORDERS", "orders-20260101-020000") == first
    assert catalog.list() == [second, first, other]
    assert catalog.list("Orders") == [second, first]
    assert catalog.list("order") == []
    assert catalog.latest("orders") == second
    assert catalog.latest("billing") == other
    assert catalog.latest("orders", besides_dag="restore") == second
    blob = client.get_blob_client(container_name, "references/orders/orders-20260101-020000.json")
    assert blob.download_blob().readall() == to_bytes(first)
    assert blob.get_blob_properties().content_settings.content_type == "application/json; charset=utf-8"


def test_the_newest_can_pass_over_the_backups_of_a_dag(catalog):
    nightly = reference()
    safety = reference(
        "orders-20260102-020000", finished_at=NOW + timedelta(days=1), run=Run("restore", "of the day after")
    )
    for each in (nightly, safety):
        catalog.publish(each)
    assert catalog.latest("orders") == safety
    assert catalog.latest("orders", besides_dag="restore") == nightly


def test_the_same_backup_again_keeps_its_reference(catalog):
    first, url = catalog.publish(reference())
    assert catalog.publish(reference()) == (first, url)
    later = reference(created_at=NOW + timedelta(hours=1), label="another try of the task")
    assert catalog.publish(later) == (first, url)
    assert catalog.list() == [reference()]


@pytest.mark.parametrize(
    "change", [{"run": Run("manual", "other")}, {"run": None}, {"blobs": (StoredBlob("x", 1, "c" * 64),)}]
)
def test_another_backup_of_the_same_name_is_refused(catalog, change):
    catalog.publish(reference())
    with pytest.raises(AlreadyPublishedError, match="never overwritten") as caught:
        catalog.publish(reference(**change))
    assert caught.value.advice == "stop"
    assert catalog.read("orders", "orders-20260101-020000") == reference()


def test_a_backup_that_is_set_aside_counts_nowhere(catalog, client, container_name):
    url = catalog.quarantine(reference(), "It was changed meanwhile.")
    assert url.endswith(f"/{container_name}/set-aside/orders/orders-20260101-020000.json")
    assert catalog.quarantine(reference(), "It was changed meanwhile.") == url
    assert catalog.list() == []
    with pytest.raises(NotInCatalogError):
        catalog.latest("orders")
    with pytest.raises(NotInCatalogError):
        catalog.read("orders", "orders-20260101-020000")
    blob = client.get_blob_client(container_name, "set-aside/orders/orders-20260101-020000.json")
    note = json.loads(blob.download_blob().readall())
    assert note["reason"] == "It was changed meanwhile."
    assert BackupReference.from_dict(note["reference"]) == reference()


def test_an_empty_catalog(catalog):
    assert catalog.list() == []
    with pytest.raises(NotInCatalogError, match="no backup of service orders"):
        catalog.latest("orders")
    with pytest.raises(NotInCatalogError, match="no reference to backup x of service orders"):
        catalog.read("orders", "x")
    catalog.publish(reference())
    with pytest.raises(NotInCatalogError):
        catalog.read("orders", "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        json.dumps(reference().to_dict() | {"schema_version": 2}).encode(),
        to_bytes(reference("orders-of-another-name")),
        to_bytes(reference())[:-30],
    ],
)
def test_an_unusable_record_is_named_and_hides_no_other(catalog, client, container_name, caplog, content):
    catalog.publish(reference())
    client.get_blob_client(container_name, "references/orders/broken.json").upload_blob(content)
    assert catalog.list() == [reference()]
    assert f"references/orders/broken.json in catalog devstoreaccount1/{container_name}" in caplog.text
    found: list[InvalidReferenceError] = []
    assert catalog.list("orders", on_unusable=found.append) == [reference()]
    assert len(found) == 1
    with pytest.raises(InvalidReferenceError):
        catalog.read("orders", "broken")
    with pytest.raises(InvalidReferenceError):
        catalog.latest("orders")


def test_azurite_down(container_name, azurite: Azurite):
    gone = Azurite(azurite.folder, free_port(), azurite.process)
    with gone.client() as client:
        catalog = Catalog(client, container_name)
        for call in (
            lambda: catalog.publish(reference()),
            lambda: catalog.read("orders", "x"),
            catalog.list,
            lambda: catalog.latest("orders"),
        ):
            with pytest.raises(StorageUnreachableError) as caught:
                call()
            assert caught.value.advice == "retry"
            assert container_name in str(caught.value)


def test_azurite_dies_and_comes_back(tmp_path, container_name):
    azurite = Azurite.start(tmp_path)
    with azurite.client() as client:
        catalog = Catalog(client, container_name)
        catalog.publish(reference())
        azurite.stop()
        with pytest.raises(StorageUnreachableError):
            catalog.list()
    again = Azurite.start(tmp_path)
    try:
        with again.client() as client:
            assert Catalog(client, container_name).list() == [reference()]
    finally:
        again.stop()


@pytest.mark.parametrize("key", ["d3Jvbmc=", "not base64 !"])
def test_a_wrong_key(azurite: Azurite, container_name, key):
    with azurite.client(key) as client, pytest.raises(StorageAuthenticationError, match="account key") as caught:
        Catalog(client, container_name).publish(reference())
    assert caught.value.advice == "stop"
    assert key not in str(caught.value)


def test_a_container_that_is_still_being_deleted_is_told(catalog, monkeypatch):
    from azure.core.exceptions import ResourceExistsError

    def being_deleted(*_: object, **__: object) -> None:
        error = ResourceExistsError("The specified container is being deleted.")
        error.error_code = "ContainerBeingDeleted"
        raise error

    monkeypatch.setattr(catalog._container, "create_container", being_deleted)
    with pytest.raises(ContainerExistsError, match="ContainerBeingDeleted"):
        catalog.publish(reference())


def test_nothing_shows_the_key(catalog):
    assert repr(catalog).startswith("<Catalog devstoreaccount1/test-")
