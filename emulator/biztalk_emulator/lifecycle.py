"""The lifecycle of services and operations: every change of state, in one transaction with its journal entry."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from biztalk_emulator import state_chart, times
from biztalk_emulator.journal import Journal
from biztalk_emulator.operations import ENVELOPED, KINDS, MAKING
from biztalk_emulator.settings import DEFAULTS, merged
from biztalk_emulator.signals import Signal
from biztalk_emulator.store import CloudService, Operation, Service, Store


class NotAllowed(Exception):
    """The state chart does not allow the operation in the service's state."""


@dataclass(frozen=True)
class Twist:
    """What fault injection does to an operation that begins.

    :param stuck: it never ends by itself.
    :param forgotten: polls respond as if it did not exist.
    :param error: it ends Failed with this error.
    """

    stuck: bool = False
    forgotten: bool = False
    error: dict[str, Any] | None = None


STRAIGHT = Twist()


def new_id() -> str:
    """A request id: 32 lower-case hex digits."""
    return uuid.uuid4().hex


def new_etag() -> str:
    """An entity tag: a bare GUID."""
    return str(uuid.uuid4())


class Lifecycle:
    """Begins and ends operations.

    :param store: where all state is kept.
    :param journal: where every change is recorded.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self.store = store
        self.journal = journal
        self.changed = Signal()
        self.settings_changed: Callable[[Service], None] = lambda service: None
        """Called in the transaction that gives a service new settings."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings in force."""
        return merged(DEFAULTS, self.store.fact("settings", {}))

    def change_settings(self, change: Any) -> dict[str, Any]:
        """Apply `change`, record it in the journal and return all settings.

        :raises SettingsError: for an unknown name or impossible value; nothing is changed then.
        """
        with self.store.transaction():
            settings = merged(self.settings, change)
            self.store.save_fact("settings", settings)
            self.journal.write("admin", None, event="change settings", change=change)
        self.wake()
        return settings

    def wake(self) -> None:
        """Signal to the threads that wait for due times that something changed."""
        self.changed.set()

    def begin(
        self,
        kind: str,
        service: Service,
        *,
        operation_id: str | None = None,
        payload: dict[str, Any] | None = None,
        twist: Twist = STRAIGHT,
    ) -> Operation:
        """Begin an operation on a service and save both.

        :raises NotAllowed: when the state chart forbids it; nothing is changed then.
        """
        with self.store.transaction():
            if kind not in MAKING:
                self.require_allowed(kind, service)
            operation = self._new_operation(kind, service.cloud_service, service, operation_id, payload, twist)
            before = service.visible_state
            service.last_operation = operation
            if kind in ENVELOPED:
                service.etag = new_etag()
                self.touch_cloud_service(service.cloud_service)
            self.store.save_service(service)
            self.store.save_operation(operation)
            self._record_started(operation)
            self._record_state(service, before if kind not in MAKING else None, operation.id)
        return operation

    def begin_without_effect(self, kind: str, service: Service, *, operation_id: str) -> Operation:
        """Record an operation that has nothing to do and has succeeded at once."""
        with self.store.transaction():
            operation = self._new_operation(kind, service.cloud_service, service, operation_id, None, STRAIGHT)
            operation.status = "Succeeded"
            operation.due_at = operation.ended_at = operation.started_at
            service.last_operation = operation
            self.store.save_operation(operation)
            self.store.save_service(service)
            self._record_started(operation)
            self._record_ended(operation)
        return operation

    def begin_on_cloud_service(self, kind: str, name: str, *, operation_id: str) -> Operation:
        """Begin the operation that reports the making or removing of a cloud service."""
        with self.store.transaction():
            operation = self._new_operation(kind, name, None, operation_id, None, STRAIGHT)
            self.store.save_operation(operation)
            self._record_started(operation)
        return operation

    def require_allowed(self, kind: str, service: Service) -> None:
        """Refuse what the state chart does not allow.

        :raises NotAllowed: always in a transitional state.
        """
        if service.running_operation or not state_chart.allows(service.state, kind):
            raise NotAllowed(f"{kind} is not allowed while {service.name} is {service.visible_state}.")

    def end(
        self, operation_id: str, error: dict[str, Any] | None = None, outcome: dict[str, Any] | None = None
    ) -> bool:
        """End a running operation: Succeeded, or Failed with `error`.

        :param error: ``http_code`` (4xx or 5xx), ``code``, ``message``, ``extended_code``.
        :param outcome: what a success changes in the service: ``settings``, ``content``, ``runtime``, any of them; by
            default what the operation's payload has of these.
        :returns: False when it had ended before; nothing is changed then.
        """
        with self.store.transaction():
            operation = self.store.operation(operation_id)
            if operation is None or not operation.running:
                return False
            error = error or operation.planned_error
            payload = operation.payload
            operation.status = "Failed" if error else "Succeeded"
            operation.error, operation.ended_at, operation.payload = error, times.now(), None
            self.store.save_operation(operation)
            service = self.store.service(operation.service) if operation.service else None
            if service:
                before = KINDS[operation.kind].transitional
                self._settle(service, operation, outcome or payload or {})
                self._record_ended(operation)
                self._record_state(self.store.service(service.name), before, operation.id, name=service.name)
            else:
                self._record_ended(operation)
            if payload:
                self.store.erase_traces()
        self.wake()
        return True

    def force_state(self, service: Service, state: str) -> None:
        """Put a service into a settled state, whatever the chart allows; a running operation ends Failed."""
        with self.store.transaction():
            if service.running_operation:
                self.end(service.running_operation.id, _CANCELLED)
                service = self.store.service(service.name) or service
            before, service.state = service.visible_state, state
            self.store.save_service(service)
            self._record_state(service, before, None, forced=True)

    def release(self, operation: Operation) -> None:
        """Let a running operation, also a stuck one, end now."""
        with self.store.transaction():
            operation.due_at = times.now()
            self.store.save_operation(operation)
        self.wake()

    def touch(self, service: Service) -> None:
        """Record that the configuration of a service changed: new ETag."""
        service.etag = new_etag()
        self.touch_cloud_service(service.cloud_service)
        self.store.save_service(service)

    def touch_cloud_service(self, name: str) -> None:
        """Give a cloud service a new ETag."""
        cloud_service = self.store.cloud_service(name)
        if cloud_service:
            cloud_service.etag = new_etag()
            self.store.save_cloud_service(cloud_service)

    def create_cloud_service(self, name: str, label: str, description: str, geo_region: str) -> CloudService:
        """Make an empty cloud service."""
        cloud_service = CloudService(name, label, description, geo_region, new_etag())
        self.store.save_cloud_service(cloud_service)
        return cloud_service

    def _new_operation(
        self,
        kind: str,
        cloud_service: str,
        service: Service | None,
        operation_id: str | None,
        payload: dict[str, Any] | None,
        twist: Twist,
    ) -> Operation:
        settings, started = self.settings, times.now()
        due = started + settings["durations"][kind]
        envelope_due = started + settings["envelope_seconds"] if kind in ENVELOPED else None
        if envelope_due is not None and envelope_due >= due:
            envelope_due = None
        if twist.error and envelope_due:
            due, envelope_due = envelope_due, None
        return Operation(
            id=operation_id or new_id(),
            kind=kind,
            cloud_service=cloud_service,
            service=service.name if service else "",
            state_before=service.state if service else "",
            started_at=started,
            due_at=None if twist.stuck else due,
            envelope_due_at=None if twist.stuck else envelope_due,
            planned_error=twist.error,
            forgotten=twist.forgotten,
            payload=payload,
        )

    def _settle(self, service: Service, operation: Operation, outcome: dict[str, Any]) -> None:
        kind, succeeded = KINDS[operation.kind], operation.status == "Succeeded"
        service.last_operation = operation
        if succeeded and operation.kind == "delete":
            self.store.remove_service(service)
            self.touch_cloud_service(service.cloud_service)
            return
        if succeeded:
            service.settings = outcome.get("settings", service.settings)
            service.content = outcome.get("content", service.content)
            service.runtime = outcome.get("runtime", service.runtime)
        service.state = (kind.succeeded if succeeded else kind.failed) or operation.state_before
        if succeeded and operation.kind == "update" and operation.state_before in _UPDATED_IN_PLACE:
            service.state = operation.state_before
        self.store.save_service(service)
        if succeeded and "settings" in outcome:
            self.settings_changed(service)

    def _record_started(self, operation: Operation) -> None:
        self.journal.write(
            "operation",
            operation.service or None,
            event="started",
            operation=operation.kind,
            operation_id=operation.id,
            cloud_service=operation.cloud_service,
            log_name=KINDS[operation.kind].log_name or None,
        )

    def _record_ended(self, operation: Operation) -> None:
        self.journal.write(
            "operation",
            operation.service or None,
            event="ended",
            operation=operation.kind,
            operation_id=operation.id,
            cloud_service=operation.cloud_service,
            log_name=KINDS[operation.kind].log_name or None,
            status=operation.status,
            error=operation.error,
        )

    def _record_state(
        self,
        service: Service | None,
        before: str | None,
        operation_id: str | None,
        *,
        name: str | None = None,
        forced: bool = False,
    ) -> None:
        self.journal.write(
            "state",
            service.name if service else name,
            before=before,
            after=service.visible_state if service else None,
            operation_id=operation_id,
            forced=forced,
        )


_UPDATED_IN_PLACE = {state_chart.START_FAILED, state_chart.STOP_FAILED, state_chart.RESTART_FAILED}
"""An update in these states corrects the configuration but starts nothing."""

_CANCELLED = {
    "http_code": 409,
    "code": "ConflictError",
    "message": "The operation was cancelled: the state of the service was forced through the admin port.",
    "extended_code": "Cancelled",
}
