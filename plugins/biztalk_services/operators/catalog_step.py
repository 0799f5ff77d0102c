"""Steps that work with the catalog, and those of them that change the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from biztalk_services.hooks.storage import storage_account
from biztalk_services.operators.claim import claim
from biztalk_services.operators.step import BizTalkStep, failure_told
from biztalk_services.rest.messages import ServiceAddress
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.catalog.catalog import Catalog


class CatalogStep(BizTalkStep):
    """
    A step that works with the catalog.

    :param storage_conn_id: connection to the storage account of backups and catalog
    :param catalog_container: container of the catalog, and of the claims and suspension tickets beside it
    """

    template_fields = (*BizTalkStep.template_fields, "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    @property
    def catalog(self) -> Catalog:
        from biztalk_services.catalog.catalog import Catalog

        return Catalog(storage_account(self.storage_conn_id).client, self.catalog_container)


class ChangingStep(CatalogStep):
    """
    A step that changes the service: only while the service is claimed for its run, and no other run has taken it over.
    Each try claims it anew, for as long as the longest wait that may follow.
    """

    purpose: ClassVar[str]
    """What the service is claimed for, should nobody have claimed it."""

    def execute(self, context: Context) -> dict[str, Any]:
        with failure_told(context):
            claim(
                context,
                ServiceAddress.parse(self.service).name,
                purpose=self.purpose,
                hold=Settings.load().longest_step,
                storage_conn_id=self.storage_conn_id,
                catalog_container=self.catalog_container,
            )
        return super().execute(context)
