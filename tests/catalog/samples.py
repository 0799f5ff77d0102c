"""A backup reference with everything in it, and a small backup."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from azure.storage.blob import BlobServiceClient
from biztalk_services.model.backup import BackupReference, Drain, Run, StoredBlob, Verification
from biztalk_services.model.drain import ActiveBatch, DrainStatus

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)


def reference(container: str = "orders-20260101-020000", **changes: Any) -> BackupReference:
    complete = BackupReference(
        account="backups",
        container=container,
        blobs=(StoredBlob("a.json", 3, "a" * 64), StoredBlob(f"{container}.txt", 500, "b" * 64)),
        service="orders",
        cloud_service="contoso-west",
        subscription_id="5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10",
        edition="premium",
        product_version="1.1.0",
        region="West US",
        etag="2f2f46dd-1f4e-4a3c-9f65-6bb9ad1a3a52",
        created_at=NOW + timedelta(minutes=6),
        started_at=NOW,
        finished_at=NOW + timedelta(minutes=5),
        run=Run("biztalk_nightly_backup", "scheduled__2026-01-01T02:00:00+00:00"),
        operation_id="0c9f2f6e4ac83ac3a5e7c8fbf0c2c1d4",
        label="before the move, übermorgen",
        drain=Drain(
            before=DrainStatus(
                answer="active",
                batches=(ActiveBatch("Fabrikam", "hourly", 3, NOW),),
                source="tracking database",
                checked_at=NOW,
            ),
            after=DrainStatus(answer="empty", source="tracking database", checked_at=NOW),
            drained=True,
        ),
        items={"agreements": 12, "bridges": None},
        verification=Verification("matched", NOW + timedelta(minutes=5), "All blobs were read and match."),
    )
    return replace(complete, **changes)


def write_backup(
    client: BlobServiceClient, payload: dict[str, bytes] | None = None, descriptor: bytes | None = None, **said: object
) -> str:
    """Writes a backup as the emulator does; every part can be bent."""
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
