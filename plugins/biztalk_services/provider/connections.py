"""Airflow's connections, as drivers and archive need them.

Azure's libraries are imported where they are used: a DAG file is parsed before every task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.model.tls import InvalidCaBundleError, chosen_bundle
from biztalk_services.provider.settings import ca_bundle

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.sql.description import QueryDescription

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
        """The account that a ``wasb`` connection leads to; no request is sent.

        :raises StorageConnectionError: it leads to none, or there is no such connection.
        :raises InvalidCaBundleError: the CA bundle that holds for it cannot be read.
        """
        from biztalk_services.archive.errors import StorageConnectionError
        from biztalk_services.provider.storage import account_of

        connection = self.get(conn_id)
        if connection is None:
            raise StorageConnectionError(
                f"There is no connection {conn_id}. Create it, of the type Azure Blob Storage (wasb), with the storage "
                "account's name and key, or correct option storage_conn_id."
            )
        return account_of(with_ca_bundle(connection, ca_bundle()))

    def query(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        """Columns and rows of one SELECT; see :class:`biztalk_services.drivers.registry.Connections`."""
        from biztalk_services.provider.sql.query import query

        return query(self._database(conn_id), sql, parameters, seconds)

    def describe(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> QueryDescription:
        """What :meth:`query` answers, with what is to be known about the database."""
        from biztalk_services.provider.sql.describe import describe

        return describe(self._database(conn_id), sql, parameters, seconds)

    def _database(self, conn_id: str) -> Connection:
        connection = self.get(conn_id)
        if connection is None:
            raise ConnectionNotFoundError(f"There is no connection {conn_id}, or none that Airflow can read.")
        return connection


def with_ca_bundle(connection: Connection, default: str) -> Connection:
    """The connection, with the CA bundle in its extra as Azure's library takes it: ``connection_verify``.

    :param default: where the connection has neither ``ca_bundle`` nor ``connection_verify``; empty: none.
    :raises InvalidCaBundleError: the bundle cannot be read, or is no path.
    """
    extra = connection.extra_dejson
    if bundle := chosen_bundle(extra, connection.conn_id, "" if "connection_verify" in extra else default):
        if "-----BEGIN " in bundle:
            raise InvalidCaBundleError(
                f"The extra ca_bundle of connection {connection.conn_id} is PEM text. Name the path of a file with it: "
                "Azure's library takes nothing else."
            )
        extra["connection_verify"] = str(Path(bundle).expanduser())
    extra.pop("ca_bundle", None)
    connection.extra = json.dumps(extra)
    return connection


def open_archive(archive: str) -> Archive:
    """The archive behind an operator's argument, ``storage connection/container[/container of the records]``."""
    from biztalk_services.archive.archive import Archive

    conn_id, container, *records = archive.split("/")
    return Archive(AirflowConnections().storage(conn_id), container, *records)
