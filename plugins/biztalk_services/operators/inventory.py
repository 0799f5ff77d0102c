"""Records what a service held when it was backed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.storage import storage_account
from biztalk_services.operators.step import BizTalkStep
from biztalk_services.rest.messages import ServiceAddress
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkRecordInventoryOperator(BizTalkStep):
    """
    Records in the catalog what a service holds: every item by kind, name and content, settings without secrets, and the
    control numbers as far as the tracking database knows them. Meant to run while the service stands still.

    XCom: ``items`` (how many), ``unread`` (part -> why it could not be read), ``url``.

    A part that cannot be read does not fail the step: a backup without inventory is a backup. What was not read is said
    in the inventory, and makes the plan of a restore say so.

    **Idempotency:** an inventory is never overwritten; recording it again changes nothing.

    :param backup_name: name of the backup
    :param storage_conn_id: connection to the storage account
    :param catalog_container: container of the catalog
    """

    template_fields = (*BizTalkStep.template_fields, "backup_name", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        backup_name: str,
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.catalog.catalog import Catalog
        from biztalk_services.hooks.inventory import inventory_now

        service = hook_for(self.conn_id).get_service(ServiceAddress.parse(self.service))
        inventory = inventory_now(service, Settings.load())
        unread = {part: why for part, why in inventory.parts.items() if why}
        for part, why in unread.items():
            self.log.warning("The inventory of %s lacks its %s: %s", self.service, part, why)
        catalog = Catalog(storage_account(self.storage_conn_id).client, self.catalog_container)
        inventory, url = catalog.record_inventory(self.backup_name, inventory)
        self.log.info("Recorded %s items of %s at %s.", len(inventory.items), self.service, url)
        return {"items": len(inventory.items), "unread": unread, "url": url}
