"""Deletes a service whose place a restored one takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.operators.catalog_step import ChangingStep
from biztalk_services.operators.step import request_id
from biztalk_services.rest.errors import BizTalkServicesError, OutcomeUnknown, ServerTroubled, ServiceNotFound
from biztalk_services.rest.messages import ServiceAddress
from biztalk_services.rules.state_chart import may_be

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.hooks.biztalk_services import BizTalkServicesHook


class BizTalkDeleteServiceOperator(ChangingStep):
    """
    Asks for the deletion of a service, once.

    XCom: ``operation_id`` (null when the answer was lost or the deletion was adopted).

    **Idempotency:** a deletion is never asked for twice: give this task no retries. When the answer is lost, and when
    the task is cleared, the service itself tells whether it is being deleted; the step fails when it is not.

    :param etag: ETag that the service must still have, so that what was approved is what is deleted
    """

    template_fields = (*ChangingStep.template_fields, "etag")
    purpose = "restore"

    def __init__(self, *, etag: str | None, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.etag = etag

    @property
    def expected_etag(self) -> str | None:
        """A template renders None as text."""
        return None if self.etag in (None, "", "None") else self.etag

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceAddress.parse(self.service), context["task_state_store"]
        if store.get("asked"):
            self._require_under_way(hook, address)
            return {"operation_id": None}
        store.set("asked", {"service": self.service}, retention=NEVER_EXPIRE)
        name = request_id(context, "delete")
        try:
            operation_id = hook.delete(address, client_request_id=name, if_match=self.expected_etag)
        except (OutcomeUnknown, ServerTroubled) as lost:
            self.log.warning("%s", lost)
            self._require_under_way(hook, address)
            return {"operation_id": None}
        self.log.info("Asked for the deletion of %s: operation %s.", self.service, operation_id)
        return {"operation_id": operation_id}

    def _require_under_way(self, hook: BizTalkServicesHook, address: ServiceAddress) -> None:
        try:
            state = hook.get_service(address).state
        except ServiceNotFound:
            return
        if not may_be(state, "Deleting"):
            raise DeletionNotUnderWay(
                f"The deletion of service {self.service} was asked for, and it is {state}. It is not asked for "
                "again; look at the service, and start another restore."
            )


class DeletionNotUnderWay(BizTalkServicesError):
    """A deletion was asked for, and the service is not being deleted."""
