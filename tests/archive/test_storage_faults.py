"""A storage account that goes wrong in the middle of the work, by way of a proxy in front of Azurite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import (
    StorageAuthenticationError,
    StorageError,
    StorageForbiddenError,
    StorageFullError,
    StorageNotReadyError,
    StorageUnavailableError,
    StorageUnreachableError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back

from tests.archive.azurite import Azurite
from tests.archive.samples import reference
from tests.archive.troubled_storage import Trouble, TroubledStorage, troubled


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[TroubledStorage]:
    with troubled(azurite) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (503, "ServerBusy", StorageUnavailableError, "retry"),
        (500, "OperationTimedOut", StorageUnavailableError, "retry"),
        (429, "TooManyRequests", StorageUnavailableError, "retry"),
        (507, "InsufficientStorage", StorageFullError, "stop"),
        (403, "AccountIsDisabled", StorageForbiddenError, "stop"),
        (409, "ContainerBeingDeleted", StorageNotReadyError, "retry"),
    ],
)
def test_a_refused_write_leaves_no_reference(storage, container_name, status, code, kind, advice):
    storage.troubles = [Trouble("PUT", container_name, status, code)]
    with storage.client() as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        with pytest.raises(StorageError, match=code) as caught:
            catalog.publish(reference())
        assert (type(caught.value), caught.value.advice) == (kind, advice)
        assert (caught.value.status, caught.value.request_id) == (status, "of-the-proxy")
        assert catalog.list_references() == []


def test_throttling_that_passes_is_no_problem(storage, container_name):
    storage.troubles = [
        Trouble("PUT", "references", 503, "ServerBusy"),
        Trouble("GET", "references", 503, "ServerBusy"),
    ]
    with storage.client(retries=3) as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        catalog.publish(reference())
        assert catalog.list_references() == [reference()]
    assert [trouble.count for trouble in storage.troubles] == [0, 0]


def test_a_wrong_clock_is_among_what_to_check(storage):
    """Azure refuses requests whose date is more than fifteen minutes off; Azurite does not check."""
    storage.troubles = [Trouble("GET", status=403, code="AuthenticationFailed")]
    with storage.client() as client, pytest.raises(StorageAuthenticationError, match="machine's clock"):
        StorageAccount(client).check()


@pytest.mark.parametrize("retries", [0, 3])
def test_publishing_again_after_a_lost_response(storage, container_name, retries):
    storage.troubles = [Trouble("PUT", "references")]
    with storage.client(retries) as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        if not retries:
            with pytest.raises(StorageUnreachableError) as caught:
                catalog.publish(reference())
            assert caught.value.advice == "retry"
        catalog.publish(reference())
        assert catalog.list_references() == [reference()]


def test_a_blob_that_arrives_cut_is_not_damaged(storage, write_backup):
    name = write_backup()
    with storage.client() as client:
        target = BackupTarget(StorageAccount(client), name)
        storage.troubles = [Trouble("GET", "inbound.zip", keeps=0.5)]
        assert read_back(target).level == "matched"
        storage.troubles = [Trouble("GET", "inbound.zip", keeps=0.5, count=100)]
        with pytest.raises(StorageUnreachableError) as caught:
            read_back(target)
    assert caught.value.advice == "retry"


def test_a_key_that_is_rotated_during_the_run(storage, write_backup):
    name = write_backup()
    storage.troubles = [Trouble("GET", "agreements.json", 403, "AuthenticationFailed")]
    with storage.client() as client, pytest.raises(StorageAuthenticationError, match="may have been rotated") as caught:
        read_back(BackupTarget(StorageAccount(client), name))
    assert caught.value.advice == "stop"
