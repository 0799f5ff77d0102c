"""What the plan of a restore looks at in the storage account: backups, inventories, other jobs, earlier restores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from biztalk_services.archive.backups import Catalog, NotInCatalogError
from biztalk_services.archive.locks import Locks
from biztalk_services.archive.restores import Restores
from biztalk_services.archive.verification import compare_with_reference
from biztalk_services.model.records import Lock

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.model.backup import BackupReference
    from biztalk_services.model.inventory import Inventory

RESTORE_DAG = "biztalk_restore"


class StoredWorld:
    """
    The part of a :class:`biztalk_services.flows.plan_restore.World` that lies in the storage account.

    :param account: of backups and catalog
    :param catalog_container: container of the catalog
    :param restore_dag: id of the DAG that restores
    """

    def __init__(self, account: StorageAccount, catalog_container: str, restore_dag: str = RESTORE_DAG) -> None:
        self._account = account
        self._catalog_container = catalog_container
        self._restore_dag = restore_dag
        self.catalog = Catalog(account.client, catalog_container)

    def backup(self, service: str, named: str) -> BackupReference:
        """
        A backup of a service.

        :param service: name of the service
        :param named: name of the backup, or its place (``account/name``); empty: the newest that is not the safety
            backup of a restore, for that one holds what was to be replaced
        :raises NotInCatalogError: there is none
        """
        name = named.rpartition("/")[2]
        return self.catalog.read(service, name) if name else self.catalog.latest(service, besides_dag=self._restore_dag)

    def read_back(self, reference: BackupReference) -> str:
        return compare_with_reference(self._account.client, reference)

    def inventory(self, reference: BackupReference) -> Inventory | None:
        try:
            return self.catalog.inventory(reference.service, reference.container)
        except NotInCatalogError:
            return None

    def claim(self, service: str) -> Lock | None:
        claim = Locks(self._account.client, self._catalog_container).of(service)
        return None if claim is None or claim.is_over() else claim

    def earlier_durations(self, service: str) -> Sequence[float]:
        return Restores(self._account.client, self._catalog_container).durations(service)
