"""Hook and connection type ``biztalk_services``."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
    from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues
    from biztalk_services.model.service import OperationStatus, Service, ServiceRef


class BizTalkServicesHook(BaseHook):
    """
    Speaks to the services of one subscription.

    The connection holds: host and port of the management endpoint, login = subscription id, password = private key (PEM
    text); extra: ``certificate`` (PEM text) or ``certificate_path`` (PEM or PFX), ``private_key_path``,
    ``private_key_passphrase``, ``ca_bundle``, ``api_version``. A private key stands in the password or in a file (also
    that of ``certificate_path``), never in ``certificate``: Airflow shows the text of that field to all who may read
    connections. A connection of the type ``generic`` with the same fields works too.

    :param biztalk_conn_id: id of that connection
    :param connection: the connection itself, where it is already at hand (a trigger must not look it up by itself)
    """

    conn_name_attr = "biztalk_conn_id"
    default_conn_name = "biztalk_default"
    conn_type = "biztalk_services"
    hook_name = "BizTalk Services"

    def __init__(self, biztalk_conn_id: str = default_conn_name, *, connection: Connection | None = None) -> None:
        super().__init__()
        self.biztalk_conn_id = biztalk_conn_id
        self._connection = connection

    @cached_property
    def connection(self) -> Connection:
        return self._connection or self.get_connection(self.biztalk_conn_id)

    @cached_property
    def client(self) -> BizTalkServicesClient:
        """
        The client behind this hook.

        :raises InvalidCertificateError: there is no management certificate, it cannot be used, or ``certificate`` holds
            more than certificates in PEM
        """
        from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
        from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials

        extra: dict[str, Any] = self.connection.extra_dejson
        optional = {
            "host": self.connection.host,
            "port": self.connection.port,
            "ca_bundle": extra.get("ca_bundle"),
            "api_version": extra.get("api_version"),
        }
        return BizTalkServicesClient(
            self.subscription_id,
            ManagementCredentials(
                certificate=_without_key(extra.get("certificate")),
                private_key=self.connection.password,
                certificate_path=extra.get("certificate_path"),
                private_key_path=extra.get("private_key_path"),
                passphrase=extra.get("private_key_passphrase"),
            ),
            **{name: value for name, value in optional.items() if value},
        )

    @property
    def subscription_id(self) -> str:
        return (self.connection.login or "").strip()

    def get_conn(self) -> BizTalkServicesClient:
        return self.client

    def list_services(self) -> list[Service]:
        """All BizTalk services of the subscription."""
        return self.client.list_services()

    def get_service(self, address: ServiceRef) -> Service:
        """
        The service as it is now.

        :raises ServiceNotFoundError: there is none at this address
        """
        return self.client.get_service(address)

    def suspend(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Ask the service to suspend; returns the operation id. Harmless when it is suspended already (dn232419)."""
        return self.client.suspend(address, client_request_id=client_request_id)

    def resume(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Ask the service to resume; returns the operation id."""
        return self.client.resume(address, client_request_id=client_request_id)

    def begin_backup(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        client_request_id: str,
        if_match: str | None,
    ) -> str:
        """Ask the service to back itself up into a new container; returns the operation id (dn232427)."""
        return self.client.begin_backup(
            address,
            store_connection_string=store_connection_string,
            backup_name=backup_name,
            client_request_id=client_request_id,
            if_match=if_match,
        )

    def restore(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        values: RestoreValues,
        client_request_id: str,
    ) -> str:
        """Ask for a restore as a service that does not exist; returns the operation id (dn232344)."""
        return self.client.restore(
            address,
            store_connection_string=store_connection_string,
            backup_name=backup_name,
            values=values,
            client_request_id=client_request_id,
        )

    def delete(self, address: ServiceRef, *, client_request_id: str, if_match: str | None) -> str:
        """Ask for the deletion of a service; returns the operation id."""
        return self.client.delete(address, client_request_id=client_request_id, if_match=if_match)

    def operation_status(self, address: ServiceRef, operation_id: str) -> OperationStatus:
        """
        How far an operation is.

        :raises OperationNotFoundError: the service does not know it (any more)
        """
        return self.client.operation_status(address, operation_id)

    def test_connection(self) -> tuple[bool, str]:
        """What the button "Test" in the connection form does: list the services."""
        try:
            return True, self.client.check_connection()
        except Exception as error:
            return False, str(error)


def _without_key(certificate: str | None) -> str | None:
    from biztalk_services.drivers.biztalk.errors import InvalidCertificateError

    if certificate and ("-----BEGIN CERTIFICATE-----" not in certificate or "PRIVATE KEY" in certificate):
        raise InvalidCertificateError(
            "The field certificate takes certificates as PEM text and nothing else, because Airflow shows it to all "
            "who may read connections. Put the private key into the password, or the path of a PEM or PFX file that "
            "holds both into certificate_path."
        )
    return certificate


def hook_of(connection: Connection) -> BizTalkServicesHook:
    """
    The hook for a connection, by its type.

    A connection type of another kind of service brings a hook with the same methods through its own provider
    registration.
    """
    if connection.conn_type in (BizTalkServicesHook.conn_type, "generic"):
        return BizTalkServicesHook(connection.conn_id, connection=connection)
    return connection.get_hook()


def hook_for(conn_id: str) -> BizTalkServicesHook:
    """The hook for a connection id, on a worker."""
    return hook_of(BaseHook.get_connection(conn_id))
