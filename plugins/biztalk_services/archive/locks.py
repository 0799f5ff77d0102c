"""One run a service: which run works on a service now, as a small blob in the archive.

A run takes the lock before it changes a service, takes it again before each further change, and releases it at its end.
Another run that meets the lock leaves the service alone; a lock whose run has ended, or that has expired, may be taken
over, which is recorded. A run that lost its lock so meets the other's before its next change. Conditional writes decide
between two runs that race.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from biztalk_services.archive.blobs import JSON, Blobs, json_bytes
from biztalk_services.archive.errors import ServiceLockedError, StorageError
from biztalk_services.archive.storage import storage_errors
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run

log = logging.getLogger(__name__)

_FOLDER = "claims"


class Locks:
    """The locks. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def of(self, service: str) -> Lock | None:
        """The lock on a service; None when there is none, or none that can be read."""
        return self._read(service)[0]

    def take(self, lock: Lock, *, has_ended: Callable[[Run], bool]) -> None:
        """Take a service for a run; the same run may take it again, which can make its lock last longer.

        :param has_ended: whether a run has ended, as far as is known.
        :raises ServiceLockedError: another run holds it.
        """
        with storage_errors(f"lock service {lock.service} in {self._blobs.place}"):
            self._blobs.create_container()
            held, etag = self._read(lock.service)
            if held and held.run == lock.run:
                if held.until >= lock.until:
                    return
                lock = replace(lock, purpose=held.purpose)
            elif held and not (held.is_expired or has_ended(held.run)):
                raise _locked(held, lock.service)
            condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
            try:
                self._blob(lock.service).upload_blob(
                    json_bytes(lock.to_dict()), overwrite=bool(etag), content_settings=JSON, **condition
                )
            except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
                # Perhaps by an own request whose response was lost, which the library has sent again.
                holder = self.of(lock.service)
                if holder is None or holder.run != lock.run:
                    raise _locked(holder, lock.service) from None
            if held and held.run != lock.run:
                self._record_takeover(held, lock)

    def release(self, service: str, run: Run) -> None:
        """Release the lock of a run; that of another run stays."""
        with storage_errors(f"unlock service {service} in {self._blobs.place}"):
            held, etag = self._read(service)
            if held and held.run == run:
                try:
                    self._blob(service).delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
                except (ResourceNotFoundError, ResourceModifiedError):
                    return

    def _record_takeover(self, before: Lock, after: Lock) -> None:
        """Record which run took the lock from which; a record that cannot be written does not stop the run."""
        why = "its time was over" if before.is_expired else "its run had ended"
        log.warning(
            "%s has taken the lock of service %s from %s, because %s.", after.run, after.service, before.run, why
        )
        path = f"{_FOLDER}/taken-over/{after.service.lower()}/{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.json"
        try:
            self._blobs.write_once(path, {"from": before.to_dict(), "to": after.to_dict(), "why": why})
        except StorageError as error:
            log.warning("%s", error)

    def _read(self, service: str) -> tuple[Lock | None, str | None]:
        """The lock, None when it cannot be read; and the ETag of its blob, None when there is no blob."""
        with storage_errors(f"read the lock of service {service} in {self._blobs.place}"):
            try:
                download = self._blob(service).download_blob()
                content, etag = download.readall(), download.properties.etag
            except ResourceNotFoundError:
                return None, None
        try:
            return Lock.from_bytes(content), etag
        except ValueError:
            return None, etag

    def _blob(self, service: str) -> BlobClient:
        return self._blobs.client(f"{_FOLDER}/{service.lower()}.json")


def _locked(lock: Lock | None, service: str) -> ServiceLockedError:
    if lock is None:
        return ServiceLockedError(
            f"Another run locked service {service} at the same moment. Nothing was changed; retry after that run."
        )
    return ServiceLockedError(f"Service {service} is locked by {lock}. Nothing was changed; retry after that run.")
