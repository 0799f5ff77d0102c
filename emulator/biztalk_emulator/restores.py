"""Restores that run: one thread each, from the backup in its container to the service that it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from biztalk_emulator.business import package
from biztalk_emulator.business.content import new_runtime
from biztalk_emulator.business.errors import PackageDamaged, TrafficRefused
from biztalk_emulator.connection_strings import ConnectionStringError, parse_storage
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.message_desk import MessageDesk
from biztalk_emulator.runner import Runner
from biztalk_emulator.store import Operation, Service
from biztalk_emulator.world import World

STORES = ("ArchiveStoreConnectionString", "MonitoringStoreConnectionString")
"""Settings that name a storage account."""


class RestoreRunner(Runner):
    """Carries out restore operations.

    Nothing is done before the operation is due. Then the backup is read and checked, everything that its settings name
    is used for the first time, and the service gets all of it in one transaction: after a kill before that, `carry_on`
    does the whole again.
    """

    kind = "restore"

    def __init__(self, lifecycle: Lifecycle, desk: MessageDesk, world: World, stopping: threading.Event) -> None:
        super().__init__(lifecycle, stopping)
        self._desk = desk
        self._world = world

    def _work(self, operation_id: str) -> None:
        if not self._wait_until_due(operation_id):
            return
        operation = self._store.operation(operation_id)
        restored = self._read(operation)
        settings = restored["settings"] | operation.payload["overrides"]
        failures = refusals_of_accounts(settings, STORES)
        with self._store.transaction():
            if not self._store.operation(operation_id).running:
                return
            service = self._store.service(operation.service)
            failures += self._refusals_of_world(settings, service)
            if failures:
                raise _joined(failures)
            runtime = new_runtime()
            as_it_was = replace(service, settings=settings, content=restored["content"], runtime=runtime)
            try:
                self._desk.open_tracking(as_it_was)
            except TrafficRefused as refused:
                raise OperationFailure(400, "BadRequest", "TrackingDatabaseUnusable", str(refused)) from None
            outcome = {"settings": settings, "content": restored["content"], "runtime": runtime}
            self._lifecycle.end(operation_id, outcome=outcome)

    def _read(self, operation: Operation) -> dict[str, Any]:
        from biztalk_emulator import storage

        order = operation.payload
        source = storage.BackupSource(parse_storage(order["connection_string"]), order["backup_name"])
        try:
            blobs = source.blobs()
        finally:
            source.close()
        with self._store.transaction():
            self._journal.write(
                "blob",
                operation.service,
                event="backup read",
                operation_id=operation.id,
                container=source.name,
                blob=None,
                size=sum(map(len, blobs.values())),
            )
        return unpack(blobs)

    def _refusals_of_world(self, settings: dict[str, Any], service: Service) -> list[OperationFailure]:
        tracking = settings.get("TrackingStoreConnectionString")
        namespace = settings.get("AccessControlNamespace")
        checks: list[Callable[[], None]] = []
        if tracking:
            checks.append(lambda: self._world.check_database(tracking))
            checks.append(lambda: self._world.check_database_is_free(tracking, service.name))
        if namespace:
            checks.append(lambda: self._world.check_namespace(namespace, settings.get("AccessControlKey", "")))
        return refusals(checks)


def unpack(blobs: dict[str, bytes]) -> dict[str, Any]:
    """The service in a backup: ``name``, ``settings``, ``content``.

    :raises OperationFailure: the blobs are not exactly what a backup wrote.
    """
    try:
        return package.unpack(blobs)
    except PackageDamaged as damaged:
        sentence = str(damaged)
    except (KeyError, TypeError, AttributeError):
        sentence = "The payload has not the form that a backup of this service has."
    raise OperationFailure(400, "BadRequest", "BackupDamaged", sentence)


def refusals(checks: Iterable[Callable[[], None]]) -> list[OperationFailure]:
    """Run every check and collect what they refuse."""
    failures = []
    for check in checks:
        try:
            check()
        except OperationFailure as failure:
            failures.append(failure)
    return failures


def refusals_of_accounts(settings: dict[str, Any], names: Iterable[str]) -> list[OperationFailure]:
    """Check the keys of the storage accounts that these settings name; an absent or unreadable one is left out."""
    from biztalk_emulator import storage

    checks = []
    for name in names:
        try:
            connection = parse_storage(settings.get(name) or "")
        except ConnectionStringError:
            continue
        checks.append(
            lambda connection=connection, name=name: storage.check_key(connection, f"The storage account of {name}")
        )
    return refusals(checks)


def _joined(failures: list[OperationFailure]) -> OperationFailure:
    """All sentences in one failure, with the codes of the first."""
    first = failures[0].error
    message = " ".join(failure.error["message"] for failure in failures)
    return OperationFailure(first["http_code"], first["code"], first["extended_code"], message)
