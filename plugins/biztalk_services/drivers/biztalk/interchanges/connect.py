"""The archive of sent interchanges behind a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.drivers.biztalk.interchanges.archive import InterchangeArchive
from biztalk_services.drivers.registry import storage_of

if TYPE_CHECKING:
    from biztalk_services.drivers.registry import Connections


def archive_of(connections: Connections, conn_id: str) -> InterchangeArchive | None:
    """The archive that a connection leads to; None where there is no such connection.

    It is one of Azure Blob Storage; extra: ``container``, and ``prefix`` of its blobs (none: all of the container).

    :raises BackupServiceError: it leads to no storage account, or names no container.
    """
    connection = connections.get(conn_id)
    if connection is None:
        return None
    extra = connection.extra_dejson
    container, prefix = (str(extra.get(name) or "").strip().lstrip("/") for name in ("container", "prefix"))
    container = container.rstrip("/")
    if not container:
        raise StorageConnectionError(
            f"Connection {conn_id} does not name the container that holds the sent interchanges (extra: container); "
            "add it."
        )
    return InterchangeArchive(storage_of(connections, conn_id), container, prefix, origin=f"connection {conn_id}")
