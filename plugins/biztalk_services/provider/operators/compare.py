"""Compares what a service holds with what was recorded at a backup."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from biztalk_services.model.differences import differences
from biztalk_services.provider.base import ServiceOperator


class CompareInventoriesOperator(ServiceOperator):
    """Lists what was added, removed and changed between two backups of a service, or between a backup and the service
    as it is now.

    XCom: ``same``, ``differences`` (as :meth:`biztalk_services.model.differences.Difference.to_dict`). What differs
    does not fail the step.

    **Idempotency:** only reads.

    :param backup_name: name of the backup to compare with
    :param later_backup_name: name of another backup; None: the service as it is now
    """

    template_fields = (*ServiceOperator.template_fields, "backup_name", "later_backup_name")

    def __init__(self, *, backup_name: str, later_backup_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name
        self.later_backup_name = later_backup_name

    def run_step(self, context: Context) -> dict[str, Any]:
        job = self.job(context)
        catalog = job.archive.catalog
        before = catalog.inventory(job.ref.name, self.backup_name)
        after = (
            catalog.inventory(job.ref.name, self.later_backup_name)
            if self.later_backup_name
            else job.driver.inventory(job.service())
        )
        found = differences(before, after)
        for difference in found:
            self.log.info(difference.sentence())
        return {"same": not found, "differences": [difference.to_dict() for difference in found]}
