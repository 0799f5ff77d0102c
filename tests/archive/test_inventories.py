"""Inventories in the catalog, on a real Azurite."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import json_bytes
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import AlreadyPublishedError, NotInCatalogError, StorageUnreachableError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.inventory import InvalidInventoryError

from tests.archive.azurite import Azurite, free_port
from tests.archive.samples import reference
from tests.biztalk.inventories import NOW, inventory

NAME = "orders-20260101-020000"


@pytest.fixture
def catalog(archive) -> Catalog:
    return archive.catalog


def test_records_and_reads(catalog, client, container_name):
    recorded, url = catalog.record_inventory(NAME, inventory())
    assert recorded == inventory()
    assert url.endswith(f"/devstoreaccount1/{container_name}/inventories/orders/{NAME}.json")
    assert catalog.inventory("ORDERS", NAME) == inventory()
    blob = client.get_blob_client(container_name, f"inventories/orders/{NAME}.json")
    assert blob.download_blob().readall() == json_bytes(inventory().to_dict())
    assert blob.get_blob_properties().content_settings.content_type == "application/json; charset=utf-8"


def test_references_stay_as_they_are(catalog):
    catalog.record_inventory(NAME, inventory())
    assert catalog.list_references() == []
    catalog.publish(reference())
    assert catalog.list_references() == [reference()]
    assert catalog.latest("orders") == reference()
    assert catalog.inventory("orders", NAME) == inventory()


@pytest.mark.parametrize(
    "again",
    [
        inventory(),
        inventory(taken_at=NOW + timedelta(minutes=5)),
        inventory(control_numbers=()),
        inventory(parts={"partner management": "It did not answer.", "control numbers": None}, items=()),
    ],
)
def test_the_first_one_stays(catalog, again):
    first = catalog.record_inventory(NAME, inventory())
    assert catalog.record_inventory(NAME, again) == first
    assert catalog.inventory("orders", NAME) == inventory()


def test_inventory_of_a_reference_is_none_when_not_recorded(catalog):
    assert catalog.inventory_of(reference()) is None
    catalog.record_inventory(NAME, inventory())
    assert catalog.inventory_of(reference()) == inventory()


@pytest.mark.parametrize("change", [{"items": ()}, {"edition": "standard"}, {"settings": {}}])
def test_another_one_is_refused(catalog, change):
    catalog.record_inventory(NAME, inventory())
    with pytest.raises(AlreadyPublishedError, match="never overwritten") as caught:
        catalog.record_inventory(NAME, inventory(**change))
    assert caught.value.advice == "stop"
    assert catalog.inventory("orders", NAME) == inventory()


def test_none_was_recorded(catalog):
    with pytest.raises(NotInCatalogError, match=f"no inventory of backup {NAME} of service orders"):
        catalog.inventory("orders", NAME)
    catalog.record_inventory(NAME, inventory())
    for service, name in (("orders", "orders-20260102-020000"), ("billing", NAME)):
        with pytest.raises(NotInCatalogError):
            catalog.inventory(service, name)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "X"])
def test_only_a_backup_name_is_taken(catalog, name):
    with pytest.raises(InvalidInventoryError, match="not the name of a backup"):
        catalog.record_inventory(name, inventory())


@pytest.mark.parametrize("content", [b"", b"{", inventory().to_bytes()[:-30], inventory(service="billing").to_bytes()])
def test_an_invalid_record_is_named(catalog, client, container_name, content):
    client.create_container(container_name)
    client.get_blob_client(container_name, f"inventories/orders/{NAME}.json").upload_blob(content)
    for call in (lambda: catalog.inventory("orders", NAME), lambda: catalog.record_inventory(NAME, inventory())):
        with pytest.raises(InvalidInventoryError) as caught:
            call()
        assert f"inventories/orders/{NAME}.json in catalog devstoreaccount1/{container_name}" in str(caught.value)


def test_azurite_down(container_name, azurite: Azurite):
    gone = Azurite(azurite.folder, free_port(), azurite.process)
    with gone.client() as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        for call in (lambda: catalog.inventory("orders", NAME), lambda: catalog.record_inventory(NAME, inventory())):
            with pytest.raises(StorageUnreachableError) as caught:
                call()
            assert caught.value.advice == "retry"


def test_a_later_inventory_is_another_one(catalog):
    later = replace(inventory(), taken_at=NOW + timedelta(days=1), edition="standard")
    catalog.record_inventory(NAME, inventory())
    catalog.record_inventory("orders-20260102-020000", later)
    assert catalog.inventory("orders", "orders-20260102-020000") == later
