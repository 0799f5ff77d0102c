"""A backup reference with everything in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from biztalk_services.catalog.reference import BackupReference, Drain, Run, Verification
from biztalk_services.catalog.verification import StoredBlob
from biztalk_services.rules.batches import ActiveBatch, BatchReport

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
            before=BatchReport(
                answer="active",
                batches=(ActiveBatch("Fabrikam", "hourly", 3, NOW),),
                source="tracking database",
                checked_at=NOW,
            ),
            after=BatchReport(answer="empty", source="tracking database", checked_at=NOW),
            drained=True,
        ),
        items={"agreements": 12, "bridges": None},
        verification=Verification("matched", NOW + timedelta(minutes=5), "All blobs were read and match."),
    )
    return replace(complete, **changes)
