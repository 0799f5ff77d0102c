"""The catalog, by Airflow's connections."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.archive.backups import Catalog

log = logging.getLogger(__name__)


def catalog_of(storage_conn_id: str, catalog_container: str) -> Catalog:
    """
    The catalog in a storage account.

    :param storage_conn_id: connection to the account
    :param catalog_container: container of the catalog
    """
    from biztalk_services.archive.backups import Catalog

    return Catalog(storage_account(storage_conn_id).client, catalog_container)


def see_published(published: Mapping[str, Any], *, storage_conn_id: str, catalog_container: str) -> None:
    """
    See that a reference that was published is in the catalog. One that the storage has lost since is published again,
    when its backup is whole.

    :param published: the reference, as it was pushed when it was published
    :raises BackupDamagedError: the backup is lost, too
    :raises InvalidReferenceError: what is in its place cannot be read
    :raises StorageError: the account was not reached or refused
    """
    from biztalk_services.archive.backups import NotInCatalogError
    from biztalk_services.archive.verification import compare_with_reference
    from biztalk_services.model.backup import BackupReference

    catalog = catalog_of(storage_conn_id, catalog_container)
    try:
        catalog.read(published["service"], published["container"])
    except NotInCatalogError as lost:
        reference = BackupReference.from_dict(published)
        whole = compare_with_reference(storage_account(storage_conn_id).client, reference)
        catalog.publish(reference)
        log.warning("%s It was published before, and is published again. %s", lost, whole)


def why_lost(published: Mapping[str, Any], *, storage_conn_id: str, catalog_container: str) -> str | None:
    """
    For a report: what keeps a reference that was published from being read and from being published again, in
    sentences; None when nothing does.

    :param published: as for :func:`see_published`
    """
    try:
        see_published(published, storage_conn_id=storage_conn_id, catalog_container=catalog_container)
    except BackupServiceError as error:
        return (
            f"The reference of backup {published['container']} was published, and cannot be read now: {error} When the "
            "storage account is well again, clear the report: it looks again."
        )
    return None
