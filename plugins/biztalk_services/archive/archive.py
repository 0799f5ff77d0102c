"""The archive: a storage account and, in one of its containers, everything that is recorded of backups and runs."""

from __future__ import annotations

import logging

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


class Archive:
    """Everything that is recorded. Every method raises StorageError when the account was not reached or refused.

    :param container: of the records; it is created by the first of them.
    """

    def __init__(self, account: StorageAccount, container: str) -> None:
        self.account = account
        self.container = container
        self._blobs = Blobs(account, container)
        self.catalog = Catalog(self._blobs)
        self.locks = Locks(self._blobs)
        self.suspensions = SuspensionRecords(self._blobs)
        self.restores = RestoreRecords(self._blobs)

    def __repr__(self) -> str:
        return f"<Archive {self._blobs.place}>"

    def verify(self, reference: BackupReference) -> str:
        """As :func:`biztalk_services.archive.verification.verify_against_reference`, in this account."""
        return verify_against_reference(self.account, reference)

    def ensure_published(self, reference: BackupReference) -> None:
        """Make sure that a published reference is in the catalog. One that the storage has lost since is published
        again, when its backup is whole.

        :raises BackupDamagedError: the backup is lost, too.
        :raises InvalidReferenceError: the record in its place cannot be read.
        """
        try:
            self.catalog.read(reference.service, reference.container)
        except NotInCatalogError as lost:
            verified = self.verify(reference)
            self.catalog.publish(reference)
            log.warning("%s It was published before, and is published again. %s", lost, verified)
