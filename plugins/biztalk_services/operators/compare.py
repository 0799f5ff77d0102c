"""Compares what a service holds with what was recorded at a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import CatalogStep
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkCompareInventoriesOperator(CatalogStep):
    """
    Says what was added, removed and changed between two backups of a service, or between a backup and the living
    service.

    XCom: ``same``, ``differences`` (as :meth:`biztalk_services.model.differences.Difference.to_dict`). What differs
    does not fail the step.

    **Idempotency:** only reads.

    :param backup_name: name of the backup to compare with
    :param later_backup_name: name of another backup; None: the service as it is now
    """

    template_fields = (*CatalogStep.template_fields, "backup_name", "later_backup_name")

    def __init__(self, *, backup_name: str, later_backup_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name
        self.later_backup_name = later_backup_name

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.hooks.inventory import inventory_now
        from biztalk_services.model.differences import differences

        address = ServiceRef.parse(self.service)
        catalog = self.catalog
        before = catalog.inventory(address.name, self.backup_name)
        if self.later_backup_name:
            after = catalog.inventory(address.name, self.later_backup_name)
        else:
            after = inventory_now(hook_for(self.conn_id).get_service(address), Settings.load())
        found = differences(before, after)
        for difference in found:
            self.log.info(difference.sentence())
        return {"same": not found, "differences": [difference.to_dict() for difference in found]}
