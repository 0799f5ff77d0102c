"""What a service holds now, through Airflow's connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.hooks.partner_management import access_control
from biztalk_services.hooks.tracking import used_since
from biztalk_services.model.control_number_use import EVER
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.service import Service
    from biztalk_services.settings import Settings


def partner_management(service: Service, conn_id: str) -> PartnerManagementClient:
    """
    The client for the partner management of a living service.

    :param service: as it is now.
    :param conn_id: connection to its Access Control namespace; ``{namespace}`` stands for the name of the namespace.
    :raises AccessControlError: there is no such connection.
    """
    namespace = service.settings.get("AccessControlNamespace", "")
    conn_id = conn_id.replace("{namespace}", namespace.lower())
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AccessControlError(
            f"Partner management of service {service.address} cannot be asked: there is no connection {conn_id} to "
            f"its Access Control namespace {namespace or '(which it does not name)'}."
        ) from None
    return access_control(connection, service.address.name)


def inventory_now(
    service: Service, settings: Settings, *, acs_conn_id: str = "", counts: Mapping[str, int | None] | None = None
) -> Inventory:
    """
    What a service holds now. What cannot be read is told in the ``parts`` of the inventory.

    :param service: as it is now.
    :param settings: how connections are found.
    :param acs_conn_id: connection to its Access Control namespace; empty: the one that its namespace leads to.
    :param counts: what the descriptor of its backup counts.
    """
    entities: Mapping[str, Sequence[Any]] | None = None
    trouble = None
    try:
        with partner_management(service, acs_conn_id or settings.acs_conn_id) as client:
            entities = client.all_entities(ENTITY_SETS)
    except BackupServiceError as error:
        trouble = str(error)
    uses = used_since(service.address.name, EVER, settings)
    return inventory_of(service, entities, taken_at=datetime.now(UTC), counts=counts, uses=uses, trouble=trouble)
