"""Partner management of a service through an Airflow connection to its Access Control namespace.

The connection (of any type) holds: password = key of the namespace; login = issuer name (default ``owner``); extra:
``namespace``, ``ca_bundle``; host: only where namespace and services are not at their real addresses, ``https://host:port``
below which the real host names are the first part of every path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient


def namespace_of(connection: Connection) -> str:
    """Name of the Access Control namespace; empty when the connection does not say it."""
    return connection.extra_dejson.get("namespace") or ""


def access_control(connection: Connection, service: str) -> PartnerManagementClient:
    """
    The client for the partner management of a service.

    :param connection: to the Access Control namespace that guards the service.
    :param service: name of the service.
    """
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient

    endpoint = connection.host or None
    if endpoint and connection.port:
        endpoint = f"{endpoint.rstrip('/')}:{connection.port}"
    return PartnerManagementClient(
        service,
        namespace=namespace_of(connection),
        key=connection.password or "",
        issuer=connection.login or "owner",
        endpoint=endpoint,
        ca_bundle=connection.extra_dejson.get("ca_bundle"),
    )
