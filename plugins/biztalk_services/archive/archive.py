"""The archive: a storage account and, in one of its containers, everything that is recorded of backups and runs."""

from __future__ import annotations

import logging

from biztalk_services.archive.backup_ages import BackupAgeRecords
from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import NotInCatalogError
from biztalk_services.archive.locks import Locks
from biztalk_services.archive.nights import Nights
from biztalk_services.archive.restores import RestoreRecords
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.archive.verification import verify_against_reference
from biztalk_services.archive.writable import try_catalog, try_records
from biztalk_services.model.backup import BackupReference

log = logging.getLogger(__name__)


class Archive:
    """Everything that is recorded. Every method raises StorageError when the account was not reached or refused.

    :param container: of the catalog: references, inventories, quarantine, and the records of restores, which are
        created and never changed. The first write creates it.
    :param records_container: of what is overwritten and deleted: locks, suspension records, notes, the index of the
        catalog; None: the same.
    """

    def __init__(self, account: StorageAccount, container: str, records_container: str | None = None) -> None:
        self.account = account
        self.container = container
        self._blobs = Blobs(account, container)
        is_split = records_container not in (None, "", container)
        self._records = Blobs(account, str(records_container)) if is_split else self._blobs
        self.catalog = Catalog(self._blobs, self._records)
        self.locks = Locks(self._records)
        self.suspensions = SuspensionRecords(self._records)
        self.backup_ages = BackupAgeRecords(self._records)
        self.nights = Nights(self._records)
        self.restores = RestoreRecords(self._blobs)

    def __repr__(self) -> str:
        return f"<Archive {self._blobs.place}>"

    def check_writable(self) -> str:
        """Try what a run needs to write, before anything is suspended or deleted; returns one sentence on it.

        :raises StorageError: a policy, a lease or a setting of the account refuses it; the message names which.
        """
        try_records(self._records)
        if self._records is self._blobs:
            return f"Records can be created, overwritten and deleted in {self._blobs.place}."
        try_catalog(self._blobs)
        return (
            f"Records can be created, overwritten and deleted in {self._records.place}, and the catalog can be written "
            f"in {self._blobs.place}."
        )

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
