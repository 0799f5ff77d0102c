"""Steps that work with the catalog, and those of them that change the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from biztalk_services.hooks.catalog import catalog_of
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.claim import claim
from biztalk_services.operators.step import BizTalkStep, failure_told
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.archive.backups import Catalog


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
        return catalog_of(self.storage_conn_id, self.catalog_container)


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
                ServiceRef.parse(self.service).name,
                purpose=self.purpose,
                hold=Settings.load().longest_step,
                storage_conn_id=self.storage_conn_id,
                catalog_container=self.catalog_container,
            )
        return super().execute(context)

    def require_still(self, state: str, still: Mapping[str, Any]) -> None:
        """
        What follows was decided while the service stood still, and is wrong once messages pass through it again.

        :param state: of the service now
        :param still: XCom of the wait until it stood still
        :raises NotQuiescedError: it does not any more
        """
        if state != still["state"]:
            raise NotQuiescedError(
                f"Service {self.service} was {still['state']} and is {state} now, so nothing was asked of it: somebody "
                "has changed its state meanwhile, and messages may have passed through it. Start another run."
            )


class NotQuiescedError(BackupServiceError):
    """The service does not stand still any more; nothing was asked of it."""

    default_advice = "look"
