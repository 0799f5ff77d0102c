from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient

from tests.catalog.azurite import Azurite


@pytest.fixture(scope="session")
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
def write_backup(client: BlobServiceClient) -> Callable[..., str]:
    """Writes a backup as the emulator does; every part can be bent."""

    def write(payload: dict[str, bytes] | None = None, descriptor: bytes | None = None, **said: object) -> str:
        name = f"orders-{uuid4().hex[:12]}"
        payload = {"agreements.json": b"[1, 2]", "bridges/inbound.zip": b"PK" * 700_000} if payload is None else payload
        listed = [{"name": n, "size": len(c), "sha256": sha256(c).hexdigest()} for n, c in payload.items()]
        document = {
            "schema_version": 1,
            "service": "orders",
            "edition": "premium",
            "product_version": "1.1.0",
            "region": "West US",
            "created_at": "2026-01-01T02:00:00+00:00",
            "items": {"agreements": 2, "bridges": 1},
            "blobs": listed,
        } | said
        container = client.create_container(name)
        for blob, content in payload.items():
            container.upload_blob(blob, content)
        container.upload_blob(f"{name}.txt", json.dumps(document) if descriptor is None else descriptor)
        return name

    return write
