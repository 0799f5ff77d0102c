"""One job a service: which run works on a service now, as a small blob beside the catalog.

A claim is taken before a service is changed, taken anew before each further change, and given up at the end of the run.
Another run meets it and keeps away; a claim whose run has ended, or whose time is over, may be taken over, which is
recorded. A run that was overtaken so meets the other's claim before its next change. Conditional writes decide between
two that race.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContentSettings

from biztalk_services.archive.storage import StorageError, create_container, storage_errors, write_once
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run

log = logging.getLogger(__name__)

_FOLDER = "claims"


class ServiceLockedError(BackupServiceError):
    """Another run works on the service; nothing was done to it."""


class Locks:
    """The claims in the container of a catalog.

    :param client: of the storage account.
    :param container: container of the catalog; made by the first claim.
    """

    def __init__(self, client: BlobServiceClient, container: str) -> None:
        self._client = client
        self._container = client.get_container_client(container)
        self._place = f"{client.account_name}/{container}"

    def of(self, service: str) -> Lock | None:
        """The claim on a service; None when there is none, or none that can be read.

        :raises StorageError: the account was not reached or refused.
        """
        found = self._read(service)
        return found and found[0]

    def take(self, claim: Lock, *, has_ended: Callable[[Run], bool]) -> None:
        """Take a service for a run; the same run may take it again, which can make its claim last longer.

        :param has_ended: whether a run has ended, as far as anybody knows.
        :raises ServiceLockedError: another run has it.
        :raises StorageError: the account was not reached or refused.
        """
        with storage_errors(f"claim service {claim.service} in {self._place}"):
            create_container(self._container)
            found = self._read(claim.service)
            if found and found[0] is not None and not _may_be_taken(found[0], claim.run, has_ended):
                raise _claimed(found[0])
            if found and found[0] is not None and found[0].run == claim.run:
                if found[0].until >= claim.until:
                    return
                claim = replace(claim, purpose=found[0].purpose)
            condition = {"etag": found[1], "match_condition": MatchConditions.IfNotModified} if found else {}
            try:
                self._blob(claim.service).upload_blob(
                    claim.to_bytes(),
                    overwrite=bool(found),
                    content_settings=ContentSettings(content_type="application/json"),
                    **condition,
                )
            except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
                # Perhaps by an own request whose answer was lost, which the library has sent again.
                holder = self.of(claim.service)
                if holder is None or holder.run != claim.run:
                    raise _claimed(holder) from None
            if found and found[0] is not None and found[0].run != claim.run:
                self._record_takeover(found[0], claim)

    def give_up(self, service: str, run: Run) -> None:
        """End the claim of a run; that of another run stays.

        :raises StorageError: the account was not reached or refused.
        """
        with storage_errors(f"give up service {service} in {self._place}"):
            found = self._read(service)
            if found and found[0] is not None and found[0].run == run:
                try:
                    self._blob(service).delete_blob(etag=found[1], match_condition=MatchConditions.IfNotModified)
                except (ResourceNotFoundError, ResourceModifiedError):
                    return

    def _record_takeover(self, before: Lock, after: Lock) -> None:
        """Who took the service from whom; that it cannot be recorded keeps nobody from his work."""
        why = "its time was over" if before.is_over() else "its run had ended"
        content = json.dumps({"from": before.to_dict(), "to": after.to_dict(), "why": why}, indent=2, sort_keys=True)
        path = f"{_FOLDER}/taken-over/{after.service.lower()}/{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.json"
        log.warning("%s has taken service %s over from %s, because %s.", after.run, after.service, before.run, why)
        try:
            with storage_errors(f"record {path} in {self._place}"):
                write_once(self._container, path, content.encode())
        except StorageError as error:
            log.warning("%s", error)

    def _read(self, service: str) -> tuple[Lock | None, str] | None:
        with storage_errors(f"read the claim on service {service} in {self._place}"):
            try:
                download = self._blob(service).download_blob()
                content, etag = download.readall(), download.properties.etag
            except ResourceNotFoundError:
                return None
        try:
            return Lock.from_bytes(content), etag
        except ValueError:
            return None, etag

    def _blob(self, service: str):
        return self._container.get_blob_client(f"{_FOLDER}/{service.lower()}.json")


def _may_be_taken(claim: Lock, run: Run, has_ended: Callable[[Run], bool]) -> bool:
    return claim.run == run or claim.is_over() or has_ended(claim.run)


def _claimed(claim: Lock | None) -> ServiceLockedError:
    if claim is None:
        return ServiceLockedError(
            "Another run took the service at the same moment, so it was not touched; run this again when that has "
            "ended."
        )
    return ServiceLockedError(
        f"Run {claim.run.run_id} of {claim.run.dag_id} works on service {claim.service} ({claim.purpose}), until "
        f"{claim.until:%Y-%m-%d %H:%M} UTC at the latest, so it is not touched; run this again when that has ended."
    )
