"""Records what a service held when it was backed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import CatalogStep
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkRecordInventoryOperator(CatalogStep):
    """
    Records in the catalog what a service holds: every item by kind, name and content, settings without secrets, and the
    control numbers as far as the tracking database knows them. Meant to run while the service stands still.

    XCom: ``items`` (how many), ``unread`` (part -> why it could not be read), ``url``, ``etag`` (of the service
    after it was read).

    A part that cannot be read does not fail the step: a backup without inventory is a backup. What was not read is said
    in the inventory, and makes the plan of a restore say so.

    **Idempotency:** an inventory is never overwritten; recording it again changes nothing.

    :param backup_name: name of the backup
    """

    template_fields = (*CatalogStep.template_fields, "backup_name")

    def __init__(self, *, backup_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.hooks.inventory import inventory_now

        hook, address = hook_for(self.conn_id), ServiceRef.parse(self.service)
        service = hook.get_service(address)
        inventory = inventory_now(service, Settings.load())
        unread = {part: why for part, why in inventory.parts.items() if why}
        for part, why in unread.items():
            self.log.warning("The inventory of %s lacks its %s: %s", self.service, part, why)
        inventory, url = self.catalog.record_inventory(self.backup_name, inventory)
        self.log.info("Recorded %s items of %s at %s.", len(inventory.items), self.service, url)
        etag = hook.get_service(address).etag
        return {"items": len(inventory.items), "unread": unread, "url": url, "etag": etag}
