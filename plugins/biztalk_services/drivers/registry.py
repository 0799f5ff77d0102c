"""Which driver serves which type of connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.base import Driver
    from biztalk_services.drivers.sql.description import QueryDescription


class ConnectionNotFoundError(BackupServiceError):
    """There is no connection of this id."""


class ConnectionValues(Protocol):
    """What a connection holds, secrets included."""

    conn_id: str
    conn_type: str | None
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


class Connections(Protocol):
    """Looks connections up, so that a driver needs no Airflow."""

    def get(self, conn_id: str) -> ConnectionValues | None:
        """The connection of this id, None when there is none."""

    def storage(self, conn_id: str) -> StorageAccount:
        """The storage account that a connection leads to."""

    def query(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        """Columns and rows of one SELECT whose parameters are written ``:name``, whatever the database.

        :param parameters: what is offered; the query gets those that it names.
        :param seconds: after which it is given up, whatever the server does.
        :raises ConnectionNotFoundError: there is no such connection.
        :raises QueryRefusedError: it cannot be asked as it and the connection are configured.
        :raises QueryTimeoutError: no answer within these seconds.
        :raises Exception: whatever the database's driver raises.
        """

    def describe(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> QueryDescription:
        """What :meth:`query` answers, with what is to be known about the database; raises what that raises."""


Connect = Callable[[ConnectionValues, Connections, Mapping[str, Any]], "Driver"]
"""Makes a driver of a connection to the subscription, of the connections beside it, and of the options."""

CONNECT: dict[str, str | Connect] = {"biztalk_services": "biztalk_services.drivers.biztalk.connect:connect"}
"""Type of connection -> what makes its driver, or ``module:function``, imported when it is first needed."""

SHELLS = {"biztalk": "biztalk_services.drivers.biztalk.shell"}
"""Kind of service -> the module with its part of the command line (:class:`biztalk_services.cli.shell.Shell`)."""


def storage_of(connections: Connections, conn_id: str) -> StorageAccount:
    """The storage account that a connection leads to; no request is sent.

    :raises BackupServiceError: it leads to none, whatever opening it raised; the message says why.
    """
    try:
        return connections.storage(conn_id)
    except BackupServiceError:
        raise
    except Exception as error:
        raise StorageConnectionError(
            f"Connection {conn_id} does not lead to a storage account ({type(error).__name__}); it has to be one of "
            "Azure Blob Storage, with account name (login) and key (password)."
        ) from None


def connect(connection: ConnectionValues, connections: Connections, options: Mapping[str, Any]) -> Driver:
    """The driver for a connection to a subscription; a ``generic`` connection is the first kind's.

    :param options: the options of every driver, by name.
    :raises BackupServiceError: no driver serves this type of connection.
    """
    maker = CONNECT.get(connection.conn_type or "") or (
        next(iter(CONNECT.values())) if connection.conn_type == "generic" else None
    )
    if maker is None:
        raise BackupServiceError(
            f"Connection {connection.conn_id} has the type {connection.conn_type}, for which there is no driver; there "
            f"are drivers for {', '.join(CONNECT)}."
        )
    if isinstance(maker, str):
        module, _, name = maker.partition(":")
        maker = getattr(import_module(module), name)
    return maker(connection, connections, options)
