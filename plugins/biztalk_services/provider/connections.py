"""Airflow's connections, as drivers and archive need them.

Azure's libraries are imported where they are used: a DAG file is parsed before every task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection

from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.tls import InvalidCaBundleError, chosen_bundle
from biztalk_services.provider.settings import ca_bundle

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.sql.description import QueryDescription

DEFAULT_ARCHIVE = "biztalk_backup_storage/biztalk-backup-catalog"
"""Connection to the storage account, and the container of the archive in it."""


class AirflowConnectionError(BackupServiceError):
    """Whether there is a connection cannot be known now."""

    default_advice = "retry"


class AirflowConnections:
    """Looks Airflow's connections up; on a worker, in a thread of the triggerer, or at a shell."""

    def get(self, conn_id: str) -> Connection | None:
        """The connection; None when there is none.

        :raises AirflowConnectionError: Airflow does not tell it now.
        """
        try:
            return BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            _require_missing(conn_id)
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


def _require_missing(conn_id: str) -> None:
    """Airflow's hook does not find a connection either when no answer came; what its supervisor says tells the two
    apart. At a shell there is none, and nobody is asked who may not answer."""
    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:
        return
    try:
        answer = supervisor.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        answer = error.error
    if isinstance(answer, ErrorResponse):
        if answer.error is ErrorType.CONNECTION_NOT_FOUND:
            return
        raise AirflowConnectionError(f"Connection {conn_id} cannot be read now: {answer.error.value}.")
    raise AirflowConnectionError(f"Connection {conn_id} exists, and could not be read a moment ago.")


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
