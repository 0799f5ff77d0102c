"""The archive: a storage account and, in one of its containers, everything that is recorded of backups and runs."""

from __future__ import annotations

import logging
from functools import cached_property

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import NotInCatalogError
from biztalk_services.archive.locks import Locks
from biztalk_services.archive.restores import RestoreRecords
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.archive.verification import verify_against_reference
from biztalk_services.model.backup import BackupReference

log = logging.getLogger(__name__)

DEFAULT_CONTAINER = "biztalk-backup-catalog"


class Archive:
    """
    :param account: storage account of backups and records.
    :param container: container of the records; it is created by the first of them.
    """

    def __init__(self, account: StorageAccount, container: str = DEFAULT_CONTAINER) -> None:
        self.account = account
        self.container = container
        self._blobs = Blobs(account, container)

    def __repr__(self) -> str:
        return f"<Archive {self._blobs.place}>"

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(self._blobs)

    @cached_property
    def locks(self) -> Locks:
        return Locks(self._blobs)

    @cached_property
    def suspensions(self) -> SuspensionRecords:
        return SuspensionRecords(self._blobs)

    @cached_property
    def restores(self) -> RestoreRecords:
        return RestoreRecords(self._blobs)

    def verify(self, reference: BackupReference) -> str:
        """Read a backup back and compare it with its reference; one sentence on what was read.

        :raises BackupDamagedError: the backup is not what was recorded.
        :raises WrongAccountError: it is in another account.
        :raises StorageError: the account was not reached or refused.
        """
        return verify_against_reference(self.account, reference)

    def ensure_published(self, reference: BackupReference) -> None:
        """Make sure that a published reference is in the catalog. One that the storage has lost since is published
        again, when its backup is whole.

        :raises BackupDamagedError: the backup is lost, too.
        :raises InvalidReferenceError: the record in its place cannot be read.
        :raises StorageError: the account was not reached or refused.
        """
        try:
            self.catalog.read(reference.service, reference.container)
        except NotInCatalogError as lost:
            verified = self.verify(reference)
            self.catalog.publish(reference)
            log.warning("%s It was published before, and is published again. %s", lost, verified)
