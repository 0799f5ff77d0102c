"""Links from a task to what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class BackupContainerLink(BaseOperatorLink):
    """To the container that holds the backup."""

    name = "Backup container"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        started = XCom.get_value(ti_key=ti_key, key="return_value")
        return started["container_url"] if started else ""


class CatalogEntryLink(BaseOperatorLink):
    """To the reference in the catalog."""

    name = "Backup reference"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return XCom.get_value(ti_key=ti_key, key="reference_url") or ""
