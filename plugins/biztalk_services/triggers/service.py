"""Waits for a service: until it is in a state, until an operation has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.state_chart import StateKind, is_moving, state_kind
from biztalk_services.hooks.biztalk_services import BizTalkServicesHook, hook_for
from biztalk_services.model.errors import OperationNotFoundError
from biztalk_services.model.service import ServiceRef
from biztalk_services.triggers.wait import Missed, Reached, WaitTrigger

if TYPE_CHECKING:
    from biztalk_services.model.service import OperationStatus, Service


class ServiceTrigger(WaitTrigger):
    """
    A wait for one service.

    :param conn_id: connection to the subscription
    :param service: address of the service, ``cloud service/name``
    """

    fields = ("conn_id", "service")

    def __init__(self, *, conn_id: str, service: str, **wait: Any) -> None:
        super().__init__(**wait)
        self.conn_id = conn_id
        self.service = service
        self._state_told: str | None = None

    @cached_property
    def hook(self) -> BizTalkServicesHook:
        return hook_for(self.conn_id)

    @property
    def address(self) -> ServiceRef:
        return ServiceRef.parse(self.service)

    def see(self) -> Service:
        """The service as it is now; a change of its state is told to the log."""
        service = self.hook.get_service(self.address)
        if service.state != self._state_told:
            self.log.info("%s is %s", self.service, service.state)
            self._state_told = service.state
        return service

    def operation(self, operation_id: str) -> OperationStatus | None:
        """How an operation is; None when the service does not know it (any more)."""
        try:
            return self.hook.operation_status(self.address, operation_id)
        except OperationNotFoundError as error:
            self.log.warning("%s", error)
            return None


def seen(service: Service) -> dict[str, Any]:
    """What a wait tells of a service: ``state``, ``etag`` and ``seen_at`` (ISO 8601, UTC)."""
    return {"state": service.state, "etag": service.etag, "seen_at": datetime.now(UTC).isoformat()}


def failed(service: str, operation: OperationStatus) -> Missed:
    """The ending when an operation failed."""
    which = operation.operation_id or operation.operation_type
    return Missed(f"Operation {which} of service {service} failed: {_said(operation)}")


def _said(operation: OperationStatus | None) -> str:
    """What a failed operation says of its failure."""
    parts = (operation.code, operation.message) if operation else ()
    return " ".join(part for part in parts if part) or "without saying why"


class StateTrigger(ServiceTrigger):
    """
    Waits until the service is in one of the expected states.

    :param expected: states, as the state chart spells them
    :param operation_id: the operation that leads there; when it fails, so does the wait
    """

    fields = (*ServiceTrigger.fields, "expected", "operation_id")

    def __init__(self, *, expected: list[str], operation_id: str | None = None, **wait: Any) -> None:
        super().__init__(**wait)
        self.expected = expected
        self.operation_id = operation_id

    def waiting_for(self) -> str:
        return f"service {self.service} to be {' or '.join(self.expected)}"

    def look(self) -> Reached | Missed | None:
        service = self.see()
        if service.state in self.expected:
            return Reached(seen(service))
        if state_kind(service.state) is StateKind.FAILED:
            return Missed(
                f"Service {self.service} went to {service.state} while we waited for {self.waiting_for()}: "
                f"{_said(service.last_operation).rstrip('.')}. Look at its operation log; the state chart says what is "
                "allowed from there."
            )
        if self.operation_id:
            operation = self.operation(self.operation_id)
            if operation and operation.result == "Failed":
                return failed(self.service, operation)
        return None


class OperationTrigger(ServiceTrigger):
    """
    Waits until an operation has ended well and the service is settled again.

    :param operation_id: id of the operation; None when it was adopted without its id. Then, and when the service has
        forgotten the id, what the service itself reports of its last operation counts
    :param operation_type: type of the operation (``Backup``), as the service reports it
    """

    fields = (*ServiceTrigger.fields, "operation_id", "operation_type")

    def __init__(self, *, operation_id: str | None, operation_type: str, **wait: Any) -> None:
        super().__init__(**wait)
        self.operation_id = operation_id
        self.operation_type = operation_type

    def waiting_for(self) -> str:
        return f"operation {self.operation_id or self.operation_type} of service {self.service} to end"

    def look(self) -> Reached | Missed | None:
        service = None
        operation = self.operation(self.operation_id) if self.operation_id else None
        if operation is None:
            service = self.see()
            operation = service.last_operation
            if operation is None or self.operation_type.lower() not in (operation.operation_type or "").lower():
                return None
        if operation.result == "Failed":
            return failed(self.service, operation)
        if operation.result == "InProgress":
            return None
        service = service or self.see()
        if is_moving(service.state):
            return None
        return Reached({"operation_id": self.operation_id, "result": operation.result, **seen(service)})
