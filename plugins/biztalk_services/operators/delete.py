"""Deletes a service whose place a restored one takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.drivers.biztalk.state_chart import may_be
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.catalog import see_published
from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import (
    NOT_TAKEN,
    BackupServiceError,
    OutcomeUnknownError,
    ServerError,
    ServiceNotFoundError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import ChangingStep
from biztalk_services.operators.step import request_id
from biztalk_services.triggers.wait import told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.hooks.biztalk_services import BizTalkServicesHook


class BizTalkDeleteServiceOperator(ChangingStep):
    """
    Asks for the deletion of a service, once; with a safety backup only while the service stands still as it did when
    that was taken, and when it is whole.

    XCom: ``operation_id`` (null when the answer was lost or the deletion was adopted).

    **Idempotency:** a deletion is never asked for twice. When the answer is lost, on retry, and when the task is
    cleared, the service itself tells whether it is being deleted; the step fails when it is not.

    :param etag: ETag that the service must still have, so that what was approved is what is deleted
    :param safety_backup: XCom of the step that published its safety backup; None: it goes without one, as approved
    :param still: XCom of the wait until the service stood still; None: it goes as it is
    """

    template_fields = (*ChangingStep.template_fields, "etag", "safety_backup", "still")
    purpose = "restore"

    def __init__(self, *, etag: str | None, safety_backup: Any = None, still: Any = None, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.etag = etag
        self.safety_backup = safety_backup
        self.still = still

    @property
    def expected_etag(self) -> str | None:
        """A template renders None as text."""
        return None if self.etag in (None, "", "None") else self.etag

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceRef.parse(self.service), context["task_state_store"]
        if store.get("asked"):
            self._require_under_way(hook, address)
            return {"operation_id": None}
        if safety_backup := told(self.safety_backup):
            self._require_whole(safety_backup)
        if still := told(self.still):
            self.require_still(hook.get_service(address).state, still)
        store.set("asked", {"service": self.service}, retention=NEVER_EXPIRE)
        name = request_id(context, "delete")
        try:
            operation_id = hook.delete(address, client_request_id=name, if_match=self.expected_etag)
        except (OutcomeUnknownError, ServerError) as lost:
            self.log.warning("%s", lost)
            self._require_under_way(hook, address)
            return {"operation_id": None}
        except NOT_TAKEN:
            store.delete("asked")
            raise
        self.log.info("Asked for the deletion of %s: operation %s.", self.service, operation_id)
        return {"operation_id": operation_id}

    def _require_whole(self, safety_backup: Mapping[str, Any]) -> None:
        from biztalk_services.archive.verification import BackupDamagedError, compare_with_reference
        from biztalk_services.model.backup import BackupReference

        reference = BackupReference.from_dict(safety_backup)
        try:
            self.log.info(compare_with_reference(storage_account(self.storage_conn_id).client, reference))
        except BackupDamagedError as error:
            raise SafetyBackupLostError(f"Service {self.service} is not deleted. {error}") from None
        see_published(safety_backup, storage_conn_id=self.storage_conn_id, catalog_container=self.catalog_container)

    def _require_under_way(self, hook: BizTalkServicesHook, address: ServiceRef) -> None:
        try:
            state = hook.get_service(address).state
        except ServiceNotFoundError:
            return
        if not may_be(state, "Deleting"):
            raise DeletionNotStartedError(
                f"The deletion of service {self.service} was asked for, and it is {state}. It is not asked for "
                "again; look at the service, and start another restore."
            )


class SafetyBackupLostError(BackupServiceError):
    """The backup of what was to be deleted is not whole any more; nothing was deleted."""


class DeletionNotStartedError(BackupServiceError):
    """A deletion was asked for, and the service is not being deleted."""
