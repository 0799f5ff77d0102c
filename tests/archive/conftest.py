from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.storage import StorageAccount

from tests.archive import samples
from tests.archive.azurite import Azurite


@pytest.fixture(scope="package")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    running = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield running
    running.stop()


@pytest.fixture
def client(azurite: Azurite) -> Iterator[BlobServiceClient]:
    with azurite.client() as made:
        yield made


@pytest.fixture
def container_name() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
def account(client: BlobServiceClient) -> StorageAccount:
    return StorageAccount(client)


@pytest.fixture
def archive(account: StorageAccount, container_name: str) -> Archive:
    return Archive(account, container_name)


@pytest.fixture
def write_backup(client: BlobServiceClient) -> Callable[..., str]:
    return partial(samples.write_backup, client)
