"""One run a service: which run works on a service now, as a small blob in the archive.

A run takes the lock before it changes a service, takes it again before each further change, and releases it at its end.
Another run that meets the lock leaves the service alone; a lock whose run has ended, or that has expired, may be taken
over, which is recorded. A run that lost its lock so meets the other's before its next change. Conditional writes decide
between two runs that race.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import (
    ServiceLockedError,
    StorageChangedError,
    StorageError,
    StorageNotFoundError,
)
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey

log = logging.getLogger(__name__)

_FOLDER = "claims"


class Locks:
    """The locks. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def of(self, service: ServiceKey) -> Lock | None:
        """The lock on a service; None when there is none, or none that can be read."""
        return self._read(service)[0]

    def taken_since(self, moment: datetime) -> set[str]:
        """``ServiceKey.blob_name`` of the services whose lock was taken, or taken again, since then. None is read."""
        return {
            blob.name.removeprefix(f"{_FOLDER}/").removesuffix(".json")
            for blob in self._blobs.records(_FOLDER)
            if blob.last_modified >= moment
        }

    def take(self, lock: Lock, *, has_ended: Callable[[Run], bool]) -> None:
        """Take a service for a run; the same run may take it again, which can make its lock last longer.

        :param has_ended: whether a run has ended, as far as is known.
        :raises ServiceLockedError: another run holds it.
        """
        held, etag = self._read(lock.key)
        if held and held.run == lock.run:
            if held.until >= lock.until:
                return
            lock = replace(lock, purpose=held.purpose)
        elif held and not (held.is_expired or has_ended(held.run)):
            raise _locked(held, lock.service)
        if not self._write(lock, etag):
            # Perhaps by an own request whose response was lost, which the library has sent again.
            holder = self.of(lock.key)
            if holder is None or holder.run != lock.run:
                raise _locked(holder, lock.service)
        if held and held.run != lock.run:
            self._record_takeover(held, lock)

    def release(self, service: ServiceKey, run: Run) -> None:
        """Release the lock of a run; that of another run stays."""
        held, etag = self._read(service)
        if held and held.run == run:
            with suppress(StorageChangedError):
                self._blobs.delete(_path(service), etag)

    def _write(self, lock: Lock, etag: str | None) -> bool:
        """Write a lock over the blob that has this ETag (None: where there is none); False when that is not so."""
        if etag is None:
            return self._blobs.write_once(_path(lock.key), lock.to_dict())
        try:
            self._blobs.replace(_path(lock.key), lock.to_dict(), etag)
        except (StorageChangedError, StorageNotFoundError):
            return False
        return True

    def _record_takeover(self, before: Lock, after: Lock) -> None:
        """Record which run took the lock from which; a record that cannot be written does not stop the run."""
        why = "its time was over" if before.is_expired else "its run had ended"
        log.warning(
            "%s has taken the lock of service %s from %s, because %s.", after.run, after.service, before.run, why
        )
        path = f"{_FOLDER}/taken-over/{after.key.blob_name}/{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.json"
        try:
            self._blobs.write_once(path, {"from": before.to_dict(), "to": after.to_dict(), "why": why})
        except StorageError as error:
            log.warning("%s", error)

    def _read(self, service: ServiceKey) -> tuple[Lock | None, str | None]:
        """The lock, None when it cannot be read; and the ETag of its blob, None when there is no blob."""
        content, etag = self._blobs.read_with_etag(_path(service))
        if content is None:
            return None, None
        try:
            return Lock.from_bytes(content), etag
        except ValueError:
            return None, etag


def _path(service: ServiceKey) -> str:
    return f"{_FOLDER}/{service.blob_name}.json"


def _locked(lock: Lock | None, service: str) -> ServiceLockedError:
    if lock is None:
        return ServiceLockedError(
            f"Another run locked service {service} at the same moment. Nothing was changed; retry after that run."
        )
    return ServiceLockedError(f"Service {service} is locked by {lock}. Nothing was changed; retry after that run.")
