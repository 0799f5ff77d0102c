"""Airflow's connections, as drivers and archive need them.

Azure's libraries are imported where they are used: a DAG file is parsed before every task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.drivers.registry import ConnectionNotFoundError

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.storage import StorageAccount

DEFAULT_ARCHIVE = "biztalk_backup_storage/biztalk-backup-catalog"
"""Connection to the storage account, and the container of the archive in it."""


class AirflowConnections:
    """Looks Airflow's connections up; on a worker, or in a thread of the triggerer."""

    def get(self, conn_id: str) -> Connection | None:
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            return None

    def storage(self, conn_id: str) -> StorageAccount:
        """The account that a ``wasb`` connection leads to."""
        from airflow.providers.microsoft.azure.hooks.wasb import WasbHook

        from biztalk_services.archive.storage import StorageAccount

        return StorageAccount(WasbHook(wasb_conn_id=conn_id).get_conn())

    def query(self, conn_id: str, sql: str, parameters: Mapping[str, str]) -> tuple[list[str], Sequence[Sequence[Any]]]:
        """Columns and rows of a query through any SQL connection."""
        connection = self.get(conn_id)
        if connection is None:
            raise ConnectionNotFoundError(f"There is no connection {conn_id}.")
        hook: Any = connection.get_hook()  # type: ignore[no-untyped-call]
        description, rows = hook.run(
            sql, parameters=dict(parameters) or None, handler=lambda cursor: (cursor.description, cursor.fetchall())
        )
        return [column[0] for column in description], rows


def open_archive(archive: str) -> Archive:
    """The archive behind an operator's argument, ``storage connection/container``."""
    from biztalk_services.archive.archive import Archive

    conn_id, _, container = archive.rpartition("/")
    return Archive(AirflowConnections().storage(conn_id), container)
