"""The archive of sent interchanges behind a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.drivers.biztalk.interchanges.archive import InterchangeArchive
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.drivers.registry import Connections


def archive_of(connections: Connections, conn_id: str) -> InterchangeArchive | None:
    """The archive that a connection leads to; None where there is no such connection.

    It is one of Azure Blob Storage; extra: ``container``, and ``prefix`` of its blobs (none: all of the container).

    :raises StorageConnectionError: it leads to no storage account, or names no container.
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
    try:
        account = connections.storage(conn_id)
    except BackupServiceError:
        raise
    except Exception as error:
        raise StorageConnectionError(
            f"Connection {conn_id} does not lead to a storage account ({type(error).__name__}); it has to be one of "
            "Azure Blob Storage, with account name (login) and key (password)."
        ) from None
    return InterchangeArchive(account, container, prefix, origin=f"connection {conn_id}")
