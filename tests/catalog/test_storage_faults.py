"""A storage account that goes wrong in the middle of the work, by way of a proxy in front of Azurite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import (
    ContainerExistsError,
    StorageAuthenticationError,
    StorageError,
    StorageUnavailableError,
    StorageUnreachableError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.biztalk.verification import read_back

from tests.catalog.azurite import Azurite
from tests.catalog.samples import reference
from tests.catalog.troubled_storage import Trouble, TroubledStorage, troubled


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
        (507, "InsufficientStorage", StorageUnavailableError, "retry"),
        (403, "AccountIsDisabled", StorageAuthenticationError, "stop"),
        (409, "ContainerBeingDeleted", ContainerExistsError, "stop"),
    ],
)
def test_a_refused_write_is_named_and_leaves_no_reference(storage, container_name, status, code, kind, advice):
    storage.troubles = [Trouble("PUT", container_name, status, code)]
    with storage.client() as client:
        catalog = Catalog(client, container_name)
        with pytest.raises(StorageError, match=code) as caught:
            catalog.publish(reference())
        assert (type(caught.value), caught.value.advice) == (kind, advice)
        assert (caught.value.status, caught.value.request_id) == (status, "of-the-proxy")
        assert catalog.list() == []


def test_throttling_that_passes_is_no_trouble(storage, container_name):
    storage.troubles = [
        Trouble("PUT", "references", 503, "ServerBusy"),
        Trouble("GET", "references", 503, "ServerBusy"),
    ]
    with storage.client(retries=3) as client:
        catalog = Catalog(client, container_name)
        catalog.publish(reference())
        assert catalog.list() == [reference()]
    assert [trouble.count for trouble in storage.troubles] == [0, 0]


def test_a_clock_that_is_wrong_is_among_what_to_check(storage):
    """Azure refuses requests whose date is more than fifteen minutes off; Azurite does not look."""
    storage.troubles = [Trouble("GET", status=403, code="AuthenticationFailed")]
    with storage.client() as client, pytest.raises(StorageAuthenticationError, match="machine's clock"):
        StorageAccount(client).check()


@pytest.mark.parametrize("retries", [0, 3])
def test_a_published_reference_whose_answer_is_lost_is_the_same_when_published_again(storage, container_name, retries):
    storage.troubles = [Trouble("PUT", "references")]
    with storage.client(retries) as client:
        catalog = Catalog(client, container_name)
        if not retries:
            with pytest.raises(StorageUnreachableError) as caught:
                catalog.publish(reference())
            assert caught.value.advice == "retry"
        catalog.publish(reference())
        assert catalog.list() == [reference()]


def test_a_blob_that_comes_cut_is_trouble_on_the_way_and_no_damage(storage, write_backup):
    name = write_backup()
    with storage.client() as client:
        storage.troubles = [Trouble("GET", "inbound.zip", keeps=0.5)]
        assert read_back(client, name, name).level == "matched"
        storage.troubles = [Trouble("GET", "inbound.zip", keeps=0.5, count=100)]
        with pytest.raises(StorageUnreachableError) as caught:
            read_back(client, name, name)
    assert caught.value.advice == "retry"


def test_a_key_that_is_rotated_in_mid_run(storage, write_backup):
    name = write_backup()
    storage.troubles = [Trouble("GET", "agreements.json", 403, "AuthenticationFailed")]
    with storage.client() as client, pytest.raises(StorageAuthenticationError, match="may have been rotated") as caught:
        read_back(client, name, name)
    assert caught.value.advice == "stop"
