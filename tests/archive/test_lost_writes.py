"""Azurite acknowledges writes that it loses when it is killed: that is noticed, and the catalog does not list them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import BackupDamagedError, NotInCatalogError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.model.backup import BackupContent
from biztalk_services.model.errors import BackupServiceError

from tests.archive.azurite import Azurite
from tests.archive.samples import reference, write_backup

CONTAINER = "catalog"


def content_of(client: BlobServiceClient, name: str) -> BackupContent:
    return read_back(BackupTarget(StorageAccount(client), name))


def archive_in(client: BlobServiceClient) -> Archive:
    return Archive(StorageAccount(client), CONTAINER)


def publish(client: BlobServiceClient, name: str) -> None:
    archive_in(client).catalog.publish(reference(name, blobs=content_of(client, name).blobs))


def losing(folder: Path, before: Callable[[BlobServiceClient], str], lost: Callable[[BlobServiceClient, str], None]):
    """An Azurite that has lost the writes of ``lost``, as when it dies before they come to the disk."""
    kept = folder.with_name("kept")
    azurite = Azurite.start(folder)
    name = before(azurite.client())
    azurite.stop()
    shutil.copytree(folder, kept)
    azurite = Azurite.start(folder)
    lost(azurite.client(), name)
    azurite.kill()
    return name, Azurite.start(kept)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "azurite"
    made.mkdir()
    return made


def test_a_blob_that_is_lost_after_the_backup_was_written(folder):
    def without_one(client: BlobServiceClient) -> str:
        name = write_backup(client)
        client.get_container_client(name).delete_blob("bridges/inbound.zip")
        return name

    def that_one(client: BlobServiceClient, name: str) -> None:
        client.get_container_client(name).upload_blob("bridges/inbound.zip", b"PK" * 700_000)
        assert content_of(client, name).level == "matched"

    name, azurite = losing(folder, without_one, that_one)
    try:
        with pytest.raises(BackupDamagedError, match=r"bridges/inbound\.zip is missing"):
            content_of(azurite.client(), name)
    finally:
        azurite.stop()


def test_a_reference_that_is_lost_after_it_was_published(folder):
    name, azurite = losing(folder, write_backup, publish)
    try:
        catalog = archive_in(azurite.client()).catalog
        assert catalog.list_references() == []
        with pytest.raises(NotInCatalogError):
            catalog.read("orders", name)
        publish(azurite.client(), name)
        assert [each.container for each in catalog.list_references("orders")] == [name]
    finally:
        azurite.stop()


def test_killed_at_work_what_the_catalog_lists_is_there(folder):
    azurite = Azurite.start(folder)

    def work() -> None:
        while True:
            publish(azurite.client(), write_backup(azurite.client()))

    threading.Timer(2, azurite.kill).start()
    with pytest.raises((BackupServiceError, AzureError)):
        work()
    azurite.process.wait(30)
    again = Azurite.start(folder)
    try:
        for listed in archive_in(again.client()).catalog.list_references():
            assert content_of(again.client(), listed.container).blobs == listed.blobs
    finally:
        again.stop()
