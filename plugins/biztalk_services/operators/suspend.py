"""Suspends a service and brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.drivers.biztalk.state_chart import is_moving, may_be
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.runs import run_of
from biztalk_services.hooks.storage import storage_account, taken
from biztalk_services.hooks.tickets import close_tickets, new_ticket, tickets_of
from biztalk_services.model.errors import (
    NOT_TAKEN,
    BackupServiceError,
    OperationNotAllowedError,
    OperationNotFoundError,
    ServiceNotFoundError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import ChangingStep
from biztalk_services.operators.step import AdvicePolicy, failure_told, request_id
from biztalk_services.sensors.wait import WaitSensor
from biztalk_services.triggers.back import BackTrigger
from biztalk_services.triggers.wait import told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.archive.suspensions import SuspensionRecords
    from biztalk_services.hooks.biztalk_services import BizTalkServicesHook


class ServiceNotRunningError(BackupServiceError):
    """The service is in a state from which it would not come back as it was."""


def _asked_before(context: Context, service: str) -> dict[str, Any] | None:
    """What this task has stored of its request; not what another service stored that had its place before."""
    asked = context["task_state_store"].get("asked")
    return asked if asked and asked["service"] == service else None


class BizTalkSuspendOperator(ChangingStep):
    """
    Asks a service to suspend, unless it stands still already.

    XCom: ``found_state`` (before us), ``suspended_by_us``, ``expected_state`` (to wait for), ``operation_id`` (or
    null).

    **Idempotency:** the state in which the service was found is stored before the request is sent, and forgotten again
    when the request was certainly not taken. **On retry** a service that is on its way or has arrived is not asked
    again; while our request may be out, whatever stands in the way is tried again. A service that was found Suspended
    or Stopped is left as it is; while another operation is under way, or another run's suspension lasts, nothing is
    asked and the step is tried again. **When the task is cleared** (Airflow clears the setup with every step behind
    it) a service is suspended anew only when it is back and its backup was not begun.

    Before the request a suspension ticket is written; without it nothing is asked.

    :param backup_name: name of the backup that the service is suspended for; None: for something else
    :param reason: what the service is suspended for, for the ticket
    :param back_within_minutes: how soon it has to be back, for the ticket
    """

    template_fields = (*ChangingStep.template_fields, "backup_name")
    purpose = "backup"

    def __init__(
        self,
        *,
        backup_name: str | None = None,
        reason: str = "backup",
        back_within_minutes: float = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.backup_name = backup_name
        self.reason = reason
        self.back_within = timedelta(minutes=back_within_minutes)

    def execute(self, context: Context) -> dict[str, Any]:
        try:
            return super().execute(context)
        except BackupServiceError as error:
            from biztalk_services.archive.locks import ServiceLockedError

            if _asked_before(context, self.service) and not isinstance(
                error, (ServiceNotFoundError, ServiceLockedError)
            ):
                error.advice = "look"
            raise

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceRef.parse(self.service), context["task_state_store"]
        asked, state = _asked_before(context, self.service), hook.get_service(address).state
        if asked and self._tickets.all_closed(self.service, run_of(context["ti"])):
            store.delete("asked")
            asked = None
            if state == "Active" and self._backup_was_begun():
                self.log.info("Backup %s was begun, and %s is back; it stays so.", self.backup_name, self.service)
                return self._told(state, by_us=False, expected=state, operation_id=None)
        if not asked and state in ("Suspended", "Stopped"):
            self._refuse_while_another_run_suspends()
            self.log.info("%s was %s before this run; it stays so.", self.service, state)
            return self._told(state, by_us=False, expected=state, operation_id=None)
        if asked and (state == "Suspended" or may_be(state, "Suspending")):
            self.log.info("An earlier try suspended %s: it is %s.", self.service, state)
            return self._told(asked["found_state"], by_us=True, expected="Suspended", operation_id=None)
        if is_moving(state):
            raise OperationNotAllowedError(
                f"Service {self.service} is {state}: another operation is under way, so it was not asked to suspend. "
                "It is asked when that has ended; should it not end, look at the service's operation log."
            )
        if not asked and state != "Active":
            raise ServiceNotRunningError(
                f"Service {self.service} is {state} now and was not asked to suspend: it would be Active afterwards, "
                "which it was not before. Bring it into a settled state, and run the backup again."
            )
        store.set("asked", {"service": self.service, "found_state": state}, retention=NEVER_EXPIRE)
        ticketed = False
        try:
            self._open_ticket(context, hook.subscription_id)
            ticketed = True
            operation_id = hook.suspend(address, client_request_id=request_id(context, "suspend"))
        except BackupServiceError as error:
            if not asked and (not ticketed or isinstance(error, NOT_TAKEN) or error.advice == "stop"):
                store.delete("asked")
                self._close_ticket(context)
            raise
        self.log.info("Asked %s to suspend: operation %s.", self.service, operation_id)
        return self._told(state, by_us=True, expected="Suspended", operation_id=operation_id)

    def _open_ticket(self, context: Context, subscription_id: str) -> None:
        ticket = new_ticket(
            context, self.service, subscription_id=subscription_id, reason=self.reason, within=self.back_within
        )
        self._tickets.open(ticket)

    def _close_ticket(self, context: Context) -> None:
        close_tickets(
            self.service,
            run_of(context["ti"]),
            how="the request to suspend was not taken",
            storage_conn_id=self.storage_conn_id,
            catalog_container=self.catalog_container,
        )

    @property
    def _tickets(self) -> SuspensionRecords:
        return tickets_of(self.storage_conn_id, self.catalog_container)

    def _backup_was_begun(self) -> bool:
        return bool(self.backup_name and taken(storage_account(self.storage_conn_id), self.backup_name))

    def _refuse_while_another_run_suspends(self) -> None:
        if tickets := self._tickets.look(self.service)[0]:
            raise OperationNotAllowedError(
                f"Service {self.service} is suspended by {tickets[-1].run}, which has to bring it back; when that has "
                "ended, the watchdog does. It is looked at again after that."
            )

    @staticmethod
    def _told(found_state: str, *, by_us: bool, expected: str, operation_id: str | None) -> dict[str, Any]:
        return {
            "found_state": found_state,
            "suspended_by_us": by_us,
            "expected_state": expected,
            "operation_id": operation_id,
        }


class BizTalkResumeOperator(WaitSensor):
    """
    Asks a service that we suspended to resume, and waits until it is back. The teardown of a suspension.

    XCom: ``state``, ``etag``, ``seen_at`` of the service when it was back.

    **Idempotency:** a service that is Active or on its way is not asked again; one that was not suspended by us is
    left as it is. **On retry** it insists: as long as tries are left, whatever stands in the way, but for a service
    that is gone. When an accepted resume fails, the next try asks again.

    When it is seen to be back, its suspension ticket is closed.

    :param suspension: XCom of the suspend step
    :param storage_conn_id: connection to the storage account of the catalog
    :param catalog_container: container of the catalog, which holds the tickets too
    """

    template_fields = (*WaitSensor.template_fields, "suspension", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        suspension: Any,
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy(insist=True))
        super().__init__(**kwargs)
        self.suspension = suspension
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def execute(self, context: Context) -> dict[str, Any] | None:
        if self.suspension["suspended_by_us"]:
            with failure_told(context):
                self._ask(context)
        else:
            self.log.info("%s was %s before this run; it stays so.", self.service, self.suspension["found_state"])
        return super().execute(context)

    def build_trigger(self, context: Context, **wait: Any) -> BackTrigger:
        expected = "Active" if self.suspension["suspended_by_us"] else self.suspension["found_state"]
        return BackTrigger(
            conn_id=self.conn_id,
            service=self.service,
            expected=[expected],
            operation_id=self._asked(context),
            dag_id=context["ti"].dag_id,
            run_id=context["ti"].run_id,
            storage_conn_id=self.storage_conn_id,
            catalog_container=self.catalog_container,
            **wait,
        )

    def _ask(self, context: Context) -> None:
        hook, address = hook_for(self.conn_id), ServiceRef.parse(self.service)
        state = hook.get_service(address).state
        if state == "Active":
            self._refuse_while_suspension_is_pending(hook, address)
        elif state != "Resuming" and not (self._asked(context) and may_be(state, "Resuming")):
            operation_id = hook.resume(address, client_request_id=request_id(context, "resume"))
            asked = {"service": self.service, "operation_id": operation_id}
            context["task_state_store"].set("asked", asked, retention=NEVER_EXPIRE)
            self.log.info("Asked %s to resume: operation %s.", self.service, operation_id)

    def _asked(self, context: Context) -> str | None:
        """The operation that an earlier try or this one began."""
        asked = _asked_before(context, self.service)
        return asked and asked["operation_id"]

    def _refuse_while_suspension_is_pending(self, hook: BizTalkServicesHook, address: ServiceRef) -> None:
        if not (operation_id := self.suspension["operation_id"]):
            return
        try:
            suspension = hook.operation_status(address, operation_id)
        except OperationNotFoundError:
            return
        if suspension.result == "InProgress":
            raise OperationNotAllowedError(
                f"Service {self.service} is still Active, but its suspension, operation {operation_id}, is under way; "
                "it is asked to resume when that has ended."
            )


class BizTalkBringBackUnlessDeletedOperator(BizTalkResumeOperator):
    """
    Brings a service back that was suspended to be replaced, when it did not come to that. The teardown of its
    suspension.

    XCom: as :class:`BizTalkResumeOperator`; ``state`` is null when the service is gone, as planned.

    **Idempotency:** as :class:`BizTalkResumeOperator`. While a deletion is under way nothing is asked, and the step is
    tried again. A service that was seen to be gone is not looked at: what has its name by now is another one.

    :param gone: XCom of the wait until it is gone; null when it was not seen to be
    """

    template_fields = (*BizTalkResumeOperator.template_fields, "gone")

    def __init__(self, *, gone: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gone = gone

    def execute(self, context: Context) -> dict[str, Any] | None:
        if gone := told(self.gone):
            return self._gone(context, gone["gone_at"])
        with failure_told(context):
            try:
                state = hook_for(self.conn_id).get_service(ServiceRef.parse(self.service)).state
            except ServiceNotFoundError:
                return self._gone(context, datetime.now(UTC).isoformat())
            if state == "Deleting":
                raise OperationNotAllowedError(
                    f"Service {self.service} is being deleted; it is looked at again after that."
                )
        return super().execute(context)

    def _gone(self, context: Context, seen_at: str) -> dict[str, Any]:
        self.log.info("%s is deleted, as planned.", self.service)
        close_tickets(
            self.service,
            run_of(context["ti"]),
            how="deleted, as planned",
            storage_conn_id=self.storage_conn_id,
            catalog_container=self.catalog_container,
        )
        return {"state": None, "etag": None, "seen_at": seen_at}
