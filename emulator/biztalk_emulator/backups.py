"""Backups that run: one thread each, from the snapshot to the descriptor that makes it whole."""

from __future__ import annotations

import sys
import threading
from typing import Any

from biztalk_emulator import times
from biztalk_emulator.business import package
from biztalk_emulator.connection_strings import parse_storage
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.storage import BackupContainer, StorageFailure
from biztalk_emulator.store import Operation, Service

_INTERNAL_ERROR = {
    "http_code": 500,
    "code": "InternalError",
    "message": "The backup ended because of an internal error of the service.",
    "extended_code": "InternalError",
}


class BackupRunner:
    """Carries out backup operations.

    The payload is written at once, the descriptor when the operation is due. Killed in between, `carry_on` does the
    whole again from the same snapshot into the same container: it holds no descriptor yet, so nobody can take it for a
    backup.
    """

    def __init__(self, lifecycle: Lifecycle, stopping: threading.Event) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._journal = lifecycle.journal
        self._stopping = stopping

    def start(self, operation: Operation) -> None:
        """Carry out one operation in a thread of its own."""
        threading.Thread(target=self._run, args=(operation.id,), name=f"backup {operation.id}", daemon=True).start()

    @staticmethod
    def snapshot(service: Service, region: str) -> dict[str, Any]:
        """What the payload of a backup operation has to hold of the service, as it is now."""
        return {
            "snapshot": {"name": service.name, "settings": service.settings, "content": service.content},
            "region": region,
        }

    def carry_on(self) -> None:
        """Start every backup that was running when the emulator last ended."""
        for operation in self._store.operations(running=True):
            if operation.kind == "backup":
                self.start(operation)

    def _run(self, operation_id: str) -> None:
        try:
            error = self._back_up(operation_id)
        except StorageFailure as failure:
            error = failure.error
        except Exception as unexpected:
            error = _INTERNAL_ERROR
            if not self._stopping.is_set():
                print(f"backup {operation_id} met {type(unexpected).__name__}", file=sys.stderr)
        if not self._stopping.is_set():
            self._lifecycle.end(operation_id, error)

    def _back_up(self, operation_id: str) -> dict | None:
        operation = self._store.operation(operation_id)
        order = operation.payload
        name = order["backup_name"]
        *payload, descriptor = package.pack(
            order["snapshot"],
            region=order["region"],
            backup_name=name,
            created_at=times.as_datetime(operation.started_at),
        )
        connection = parse_storage(order["connection_string"])
        container = BackupContainer(connection, name, operation_id)
        try:
            container.claim()
            self._tell(operation, "container", name)
            if container.holds(descriptor.name):
                self._finish(operation, container, descriptor, written=True)
                return None
            container.keep_only({blob.name for blob in payload})
            for blob in payload:
                container.write(blob)
                self._tell(operation, "payload", name, blob)
            if self._wait_until_due(operation_id):
                self._finish(operation, container, descriptor)
        finally:
            container.close()
        return None

    def _finish(
        self, operation: Operation, container: BackupContainer, descriptor: package.PackedBlob, *, written: bool = False
    ) -> None:
        """Make the backup whole and the operation Succeeded; no descriptor stays of one that did not succeed by it."""
        succeeded = False
        try:
            if not written:
                container.write(descriptor)
                self._tell(operation, "descriptor", container.name, descriptor)
            succeeded = self._lifecycle.end(operation.id)
        finally:
            if not succeeded and container.delete(descriptor.name):
                self._tell(operation, "descriptor removed", container.name, descriptor)

    def _wait_until_due(self, operation_id: str) -> bool:
        """Wait; False when there is nothing to finish: it ended otherwise, is to fail, or the emulator stops."""
        while True:
            seen = self._lifecycle.changed.count
            operation = self._store.operation(operation_id)
            if self._stopping.is_set() or not operation.running:
                return False
            left = 1.0 if operation.due_at is None else operation.due_at - times.now()
            if left <= 0:
                return operation.planned_error is None
            self._lifecycle.changed.wait(seen, min(left, 1.0))

    def _tell(self, operation: Operation, event: str, container: str, blob: package.PackedBlob | None = None) -> None:
        with self._store.transaction():
            self._journal.write(
                "blob",
                operation.service,
                event=event,
                operation_id=operation.id,
                container=container,
                blob=blob.name if blob else None,
                size=len(blob.data) if blob else None,
            )
