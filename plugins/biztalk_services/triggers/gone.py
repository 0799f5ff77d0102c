"""Waits until a service that is being deleted is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from biztalk_services.model.errors import ServiceNotFoundError
from biztalk_services.triggers.service import ServiceTrigger, failed
from biztalk_services.triggers.wait import Missed, Reached


class GoneTrigger(ServiceTrigger):
    """
    Waits until the subscription has no such service any more.

    :param operation_id: the deletion; when it fails, so does the wait
    """

    fields = (*ServiceTrigger.fields, "operation_id")

    def __init__(self, *, operation_id: str | None = None, **wait: Any) -> None:
        super().__init__(**wait)
        self.operation_id = operation_id

    def waiting_for(self) -> str:
        return f"service {self.service} to be gone"

    def look(self) -> Reached | Missed | None:
        try:
            service = self.see()
        except ServiceNotFoundError as gone:
            self.log.info("%s", gone)
            return Reached({"gone_at": datetime.now(UTC).isoformat()})
        deletion = self.operation(self.operation_id) if self.operation_id else None
        if deletion and deletion.result == "Failed":
            return failed(self.service, deletion)
        if deletion is None and service.last_operation and service.last_operation.result == "Failed":
            return failed(self.service, service.last_operation)
        return None
