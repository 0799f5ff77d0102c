"""The hook, and the connection type ``biztalk_services``."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook, Connection

from biztalk_services.drivers.base import Driver
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.settings import driver_options

DEFAULT_CONN_ID = "biztalk_default"


class ServiceHook(BaseHook):
    """Gives the driver of the services of one subscription, by the type of the connection.

    :param connection: the connection itself, where it is already at hand
    """

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID

    def __init__(self, conn_id: str = DEFAULT_CONN_ID, *, connection: Connection | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._connection = connection

    @cached_property
    def driver(self) -> Driver:
        """:raises BackupServiceError: no driver serves this type of connection, or the connection cannot be used."""
        from biztalk_services.drivers.registry import ConnectionNotFoundError, connect

        connections = AirflowConnections()
        connection = self._connection or connections.get(self.conn_id)
        if connection is None:
            raise ConnectionNotFoundError(
                f"There is no connection {self.conn_id}. Create it, or correct option conn_id of [biztalk_services]."
            )
        return connect(connection, connections, driver_options())

    def get_conn(self) -> Driver:
        return self.driver

    def test_connection(self) -> tuple[bool, str]:
        """What the button "Test" in the connection form does: list the services."""
        try:
            return True, self.driver.check_connection()
        except Exception as error:
            return False, str(error)


class BizTalkServicesHook(ServiceHook):
    """Speaks to the BizTalk services of one subscription.

    The connection holds: host and port of the management endpoint, login = subscription id, password = private key (PEM
    text); extra: ``certificate`` (PEM text) or ``certificate_path`` (PEM or PFX), ``private_key_path``,
    ``private_key_passphrase``, ``ca_bundle``, ``api_version``. A private key stands in the password or in a file (also
    that of ``certificate_path``), never in ``certificate``: Airflow shows the text of that field to all who may read
    connections. A connection of the type ``generic`` with the same fields works too.
    """

    conn_type = "biztalk_services"
    hook_name = "BizTalk Services"


def driver_for(conn_id: str) -> Driver:
    return ServiceHook(conn_id).driver
