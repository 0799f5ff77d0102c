"""Backups that run: one thread each, from the snapshot to the descriptor that makes it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_emulator import times
from biztalk_emulator.business import package
from biztalk_emulator.connection_strings import parse_storage
from biztalk_emulator.runner import Runner
from biztalk_emulator.store import Operation, Service

if TYPE_CHECKING:
    from biztalk_emulator.storage import BackupContainer


class BackupRunner(Runner):
    """Carries out backup operations.

    The payload is written at once, the descriptor when the operation is due. After a kill in between, `carry_on`
    writes the whole again from the same snapshot into the same container: it holds no descriptor yet, so it is no
    backup.
    """

    kind = "backup"

    @staticmethod
    def snapshot(service: Service, region: str) -> dict[str, Any]:
        """What the payload of a backup operation has to hold of the service, as it is now."""
        return {
            "snapshot": {"name": service.name, "settings": service.settings, "content": service.content},
            "region": region,
        }

    def _work(self, operation_id: str) -> None:
        from biztalk_emulator.storage import BackupContainer

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
            container.create()
            self._record(operation, "container", name)
            if container.holds(descriptor.name):
                self._finish(operation, container, descriptor, written=True)
                return
            container.keep_only({blob.name for blob in payload})
            for blob in payload:
                container.write(blob)
                self._record(operation, "payload", name, blob)
            if self._wait_until_due(operation_id):
                self._finish(operation, container, descriptor)
        finally:
            container.close()

    def _finish(
        self, operation: Operation, container: BackupContainer, descriptor: package.PackedBlob, *, written: bool = False
    ) -> None:
        """Make the backup whole and the operation Succeeded; the descriptor of one that did not succeed is removed."""
        succeeded = False
        try:
            if not written:
                container.write(descriptor)
                self._record(operation, "descriptor", container.name, descriptor)
            succeeded = self._lifecycle.end(operation.id)
        finally:
            if not succeeded and container.delete(descriptor.name):
                self._record(operation, "descriptor removed", container.name, descriptor)

    def _record(self, operation: Operation, event: str, container: str, blob: package.PackedBlob | None = None) -> None:
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
