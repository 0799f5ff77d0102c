"""Has a service restored from a backup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.flows.plan_restore import sent
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.restore_values import restore_values
from biztalk_services.hooks.runs import run_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.hooks.tickets import tickets_of
from biztalk_services.model.errors import BackupServiceError, OperationNotAllowedError, ServiceNotFoundError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.restore_request import RestoreRequest
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import ChangingStep
from biztalk_services.operators.step import request_id
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.hooks.biztalk_services import BizTalkServicesHook
    from biztalk_services.model.service import Service

_QUICKEST, _SLOWEST = 3.0, 60.0
"""Seconds between two looks whether the name is free: at most a twentieth of the time already waited, within these."""


class NameNotFreeError(BackupServiceError):
    """The service is deleted, and its name is still held."""

    default_advice = "retry"


class BizTalkRestoreOperator(ChangingStep):
    """
    Asks for the restore of a backup as a service that does not exist.

    Every value for which there is a connection is sent explicitly, so that the service checks it at once; they are read
    from their connections here and go nowhere else.

    XCom: ``operation_id`` (null when it was adopted without one), ``requested_at``.

    **Idempotency:** the intent is stored before the request is sent, the operation after. **On retry** a service of
    this name that came about since is taken for ours when it is one of a restore; a name that is still held is tried
    again until the deadline, for nobody can ask whether it is free.

    :param plan: XCom of the approved plan
    :param request: XCom of the choices behind it
    :param stored: XCom of the backup's settings without secrets
    :param name_deadline_minutes: how long to wait for the name
    """

    template_fields = (*ChangingStep.template_fields, "plan", "request", "stored")
    purpose = "restore"

    def __init__(
        self, *, plan: Any, request: Any, stored: Any, name_deadline_minutes: float = 120, **kwargs: Any
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.plan = plan
        self.request = request
        self.stored = stored
        self.name_deadline_minutes = name_deadline_minutes

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceRef.parse(self.service), context["task_state_store"]
        if begun := store.get("begun"):
            self.log.info("The restore was begun by an earlier try: operation %s.", begun["operation_id"])
            return begun
        intent = store.get("intent")
        living = _living(hook, address)
        if intent is None:
            if living is not None:
                raise OperationNotAllowedError(
                    f"Service {self.service} lives ({living.state}), so nothing can be restored to its name. "
                    "Nothing was asked for; look at the service, and start another restore.",
                    advice="stop",
                )
            intent = {"requested_at": datetime.now(UTC).isoformat()}
            store.set("intent", intent, retention=NEVER_EXPIRE)
        elif living is not None:
            return self._adopted(store, intent, living)
        # Else the watchdog would take the restored service, which arrives Suspended, for the one that it replaces.
        tickets = tickets_of(self.storage_conn_id, self.catalog_container)
        tickets.close_all(self.service, by=str(run_of(context["ti"])), how="deleted; its name is used again")
        try:
            operation_id = self._ask(hook, address, context)
        except OperationNotAllowedError as held:
            raise self._not_free(intent, held) from None
        self.log.info("Asked for the restore of %s: operation %s.", self.service, operation_id)
        return self._begun(store, intent, operation_id)

    def _ask(self, hook: BizTalkServicesHook, address: ServiceRef, context: Context) -> str:
        plan, request = RestorePlan.from_dict(self.plan), RestoreRequest(**self.request)
        values = restore_values(request, self.stored or {}, address.name, Settings.load())
        return hook.restore(
            address,
            store_connection_string=storage_account(self.storage_conn_id).connection_string(),
            backup_name=plan.backup["place"].rpartition("/")[2],
            values=sent(plan, values),
            client_request_id=request_id(context, "restore"),
        )

    def _not_free(self, intent: dict[str, Any], held: OperationNotAllowedError) -> BackupServiceError:
        waited = (datetime.now(UTC) - datetime.fromisoformat(intent["requested_at"])).total_seconds()
        if waited >= timedelta(minutes=self.name_deadline_minutes).total_seconds():
            return NameNotFreeError(
                f"The name of service {self.service} is still not free {waited / 60:.0f} minutes after the restore "
                f"was first asked for; nothing was restored. {held}",
                advice="stop",
            )
        pause = min(max(waited / 20, _QUICKEST), _SLOWEST)
        return NameNotFreeError(f"The name of service {self.service} is not free yet. {held}", retry_after=pause)

    def _adopted(self, store: Any, intent: dict[str, Any], living: Service) -> dict[str, Any]:
        ours = living.last_operation and (living.last_operation.operation_type or "").lower() == "restore"
        if not ours:
            raise OperationNotAllowedError(
                f"Service {self.service} came about while its restore was being asked for, and not by a restore; it is "
                f"{living.state}. Nothing more was asked for; look at the service.",
                advice="stop",
            )
        self.log.info("An earlier try began the restore of %s; going on with it.", self.service)
        return self._begun(store, intent, None)

    @staticmethod
    def _begun(store: Any, intent: dict[str, Any], operation_id: str | None) -> dict[str, Any]:
        begun = {"operation_id": operation_id, **intent}
        store.set("begun", begun, retention=NEVER_EXPIRE)
        return begun


def _living(hook: BizTalkServicesHook, address: ServiceRef) -> Service | None:
    try:
        return hook.get_service(address)
    except ServiceNotFoundError:
        return None
