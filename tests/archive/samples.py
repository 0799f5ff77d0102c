"""A backup reference with everything in it, and a small backup."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from azure.storage.blob import BlobServiceClient
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.model.backup import BackupReference, Drain, StoredBlob, Verification
from biztalk_services.model.drain import ActiveBatch, DrainStatus
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"


def key(service: str = "contoso-west/orders", subscription_id: str = SUBSCRIPTION) -> ServiceKey:
    """What the records know a service by."""
    return ServiceKey(subscription_id, ServiceRef.parse(service))


def reference(container: str = "orders-20260101-020000", **changes: Any) -> BackupReference:
    complete = BackupReference(
        account="backups",
        container=container,
        blobs=(StoredBlob("a.json", 3, "a" * 64), StoredBlob(f"{container}.txt", 500, "b" * 64)),
        service_kind="biztalk",
        service="orders",
        scope="contoso-west",
        subscription_id=SUBSCRIPTION,
        edition="premium",
        product_version="1.1.0",
        region="West US",
        etag="2f2f46dd-1f4e-4a3c-9f65-6bb9ad1a3a52",
        created_at=NOW + timedelta(minutes=6),
        started_at=NOW,
        finished_at=NOW + timedelta(minutes=5),
        kind="nightly",
        run=Run("biztalk_nightly_backup", "scheduled__2026-01-01T02:00:00+00:00", "a1b2c3d4"),
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
        not_included=INFO.not_included,
    )
    return replace(complete, **changes)


def schema_1(record: BackupReference, **changes: Any) -> dict[str, Any]:
    """A reference as the version before schema 2 wrote it."""
    values = record.to_dict() | {"schema_version": 1, "cloud_service": record.scope}
    for name in ("service_kind", "scope", "kind", "expires_at", "hold"):
        del values[name]
    return values | changes


def write_backup(
    client: BlobServiceClient,
    payload: dict[str, bytes] | None = None,
    descriptor: bytes | None = None,
    **changes: object,
) -> str:
    """Write a backup as the emulator does.

    :param payload: name and content of its blobs; None: two of them.
    :param descriptor: content of its descriptor; None: one that lists the blobs.
    :param changes: of the values in its descriptor.
    :returns: its name.
    """
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
    } | changes
    container = client.create_container(name)
    for blob, content in payload.items():
        container.upload_blob(blob, content)
    container.upload_blob(f"{name}.txt", json.dumps(document) if descriptor is None else descriptor)
    return name
