"""Looks after services that runs of ours have left suspended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from biztalk_services.flows.suspension import Verdict, is_same_subscription, judge
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.runs import owner, run_of
from biztalk_services.hooks.tickets import tickets_of
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.model.run import Owner
from biztalk_services.model.service import ServiceRef
from biztalk_services.notifications.alert import AlertNotifier
from biztalk_services.operators.step import request_id
from biztalk_services.triggers.service import failed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.archive.suspensions import SuspensionRecords
    from biztalk_services.model.records import SuspensionRecord
    from biztalk_services.model.service import Service

_RESUMED, _GONE = "resumed", "not-found"


class LeftSuspendedError(BackupServiceError):
    """A service of ours is not back, and the watchdog cannot bring it back."""


class _TicketStep(BaseOperator):
    """
    A step that looks at suspension tickets.

    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of the catalog
    :param catalog_container: container of the catalog, which holds the tickets too
    :param grace_minutes: how much longer than its deadline a run that still works may take
    """

    template_fields = ("conn_id", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        conn_id: str = "biztalk_default",
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        grace_minutes: float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container
        self.grace = timedelta(minutes=grace_minutes)

    @cached_property
    def tickets(self) -> SuspensionRecords:
        return tickets_of(self.storage_conn_id, self.catalog_container)


class BizTalkFindSuspensionsOperator(_TicketStep):
    """
    Finds the suspensions of a subscription that have to be looked at: those with an open ticket, but for the ones
    whose run still works and has time left.

    XCom: for each ``ticket`` (as it is filed; null when a blob in its place is none), ``owner`` (``works``, ``ended``,
    ``unknown``), ``superseded``, and ``trouble`` (a sentence, when there is no ticket), ready to expand a task.

    **Idempotency:** only reads.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from biztalk_services.archive.suspensions import is_superseded

        everybodys, unusable = self.tickets.look()
        ours = hook_for(self.conn_id).subscription_id
        tickets = [ticket for ticket in everybodys if is_same_subscription(ticket.subscription_id, ours)]
        now = datetime.now(UTC)
        found = []
        for ticket in tickets:
            of_run, superseded = owner(context["ti"], ticket.run), is_superseded(ticket, tickets)
            if superseded or of_run is not Owner.WORKS or now >= ticket.back_by + self.grace:
                found.append({"ticket": ticket.to_dict(), "owner": of_run, "superseded": superseded, "trouble": None})
        found += [{"ticket": None, "owner": None, "superseded": False, "trouble": sentence} for sentence in unusable]
        self.log.info("%d open suspension tickets, %d to be looked at", len(tickets) + len(unusable), len(found))
        return found


class BizTalkBringBackOperator(_TicketStep):
    """
    Looks at one suspension, and does what is to be done: leaves it alone, asks the service to resume, or closes the
    ticket. It waits for nothing: what comes of it is seen at the next look.

    Fails when a person has to look, also when it has asked the service to resume once more because an earlier
    resumption did not bring it back. The first resumption, the return, and at most once an hour a failure are told by
    an alert.

    XCom: ``service``, ``state``, ``verdict`` (``leave``, ``close``, ``resume``), ``why``.

    **Idempotency:** looks at the service before it asks; the service refuses a second resumption while one is under
    way.

    :param found: one entry of what :class:`BizTalkFindSuspensionsOperator` found
    """

    template_fields = ("found", *_TicketStep.template_fields)

    def __init__(self, *, found: Any, **kwargs: Any) -> None:
        kwargs.setdefault("map_index_template", "{{ (task.found['ticket'] or {}).get('service', 'unreadable') }}")
        super().__init__(**kwargs)
        self.found = found

    def execute(self, context: Context) -> dict[str, Any]:
        if self.found["trouble"]:
            self._alert_once_an_hour(context, None, self.found["trouble"])
            raise LeftSuspendedError(self.found["trouble"], advice="stop")
        ticket = self._ticket()
        try:
            return self._look_after(context, ticket)
        except BackupServiceError as error:
            self._alert_once_an_hour(context, ticket, f"{_left(ticket)} and is not back: {error}")
            raise

    def _look_after(self, context: Context, ticket: SuspensionRecord) -> dict[str, Any]:
        from biztalk_services.archive.suspensions import suspension_of

        service = self._service(ticket)
        state = service and service.state
        suspension = suspension_of(
            ticket, service, owner=Owner(self.found["owner"]), superseded=self.found["superseded"]
        )
        verdict, why = judge(suspension, now=datetime.now(UTC), grace=self.grace)
        if verdict is Verdict.CALL:
            raise LeftSuspendedError(f"{why[0].upper()}{why[1:]}. Look at its operation log; bring it back by hand.")
        if state is None and self.tickets.note(ticket, _GONE, by=str(run_of(context["ti"]))):
            verdict, why = Verdict.LEAVE, "it was not found; an absence is believed at the second look"
        if verdict is Verdict.RESUME:
            self._resume(context, ticket, service, why)
        if verdict is Verdict.CLOSE:
            self._close(context, ticket, why)
        self.log.info("%s: %s, because %s.", ticket.service, verdict, why)
        return {"service": ticket.service, "state": state, "verdict": verdict, "why": why}

    def _resume(self, context: Context, ticket: SuspensionRecord, service: Service, why: str) -> None:
        operation_id = hook_for(self.conn_id).resume(service.address, client_request_id=request_id(context, "resume"))
        self.log.info("Asked %s to resume: operation %s.", ticket.service, operation_id)
        if not self.tickets.note(ticket, _RESUMED, by=str(run_of(context["ti"]))):
            raise LeftSuspendedError(
                f"It was asked to resume before, and is {service.state}. {_failure(service)}. It was asked once more."
            )
        self._alert(context, f"{_left(ticket)}: {why}. It was asked to resume")

    def _close(self, context: Context, ticket: SuspensionRecord, why: str) -> None:
        resumed = self.tickets.is_noted(ticket, _RESUMED)
        self.tickets.close(ticket, by=str(run_of(context["ti"])), how=why)
        if resumed:
            self._alert(context, f"{_left(ticket)}. That is over: {why}")

    def _ticket(self) -> SuspensionRecord:
        from biztalk_services.model.records import SuspensionRecord

        return SuspensionRecord.from_dict(self.found["ticket"])

    def _service(self, ticket: SuspensionRecord) -> Service | None:
        try:
            return hook_for(self.conn_id).get_service(ServiceRef.parse(ticket.service))
        except ServiceNotFoundError:
            return None

    def _alert_once_an_hour(self, context: Context, ticket: SuspensionRecord | None, sentence: str) -> None:
        """Tell it unless it was told in this hour. Where that cannot be noted it is told too often, not too seldom."""
        what, by = f"failed-{datetime.now(UTC):%Y%m%d%H}", str(run_of(context["ti"]))
        try:
            if ticket:
                new = self.tickets.note(ticket, what, by=by)
            else:
                new = self.tickets.note_unusable(sentence, what, by=by)
        except BackupServiceError as error:
            self.log.warning("%s", error)
            new = True
        if new:
            self._alert(context, sentence)

    @staticmethod
    def _alert(context: Context, sentence: str) -> None:
        AlertNotifier(subject=sentence).notify(context)


def _left(ticket: SuspensionRecord) -> str:
    return f"Service {ticket.service} was left suspended by {ticket.run} ({ticket.reason})"


def _failure(service: Service) -> str:
    """What is known of why the last resumption failed, without a full stop."""
    operation = service.last_operation
    if operation is None or operation.result != "Failed":
        return "It reports no failed operation"
    return failed(str(service.address), operation).sentence.rstrip(".")
