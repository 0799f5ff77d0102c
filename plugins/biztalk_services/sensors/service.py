"""Sensors that wait for a service or one of its operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biztalk_services.sensors.wait import WaitSensor
from biztalk_services.triggers.gone import GoneTrigger
from biztalk_services.triggers.service import OperationTrigger, StateTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkStateSensor(WaitSensor):
    """
    Waits until a service is in an expected state.

    XCom: ``state``, ``etag``, ``seen_at``.

    :param expected: a state or several, as the state chart spells them
    :param operation_id: the operation that leads there, where one was begun; when it fails, so does the wait
    """

    template_fields = (*WaitSensor.template_fields, "expected", "operation_id")

    def __init__(self, *, expected: str | Sequence[str], operation_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expected = expected
        self.operation_id = operation_id

    def build_trigger(self, context: Context, **wait: Any) -> StateTrigger:
        expected = [self.expected] if isinstance(self.expected, str) else list(self.expected)
        return StateTrigger(
            conn_id=self.conn_id, service=self.service, expected=expected, operation_id=self.operation_id, **wait
        )


class BizTalkOperationSensor(WaitSensor):
    """
    Waits until an operation has ended well and the service is settled again; fails when the operation failed.

    XCom: ``operation_id``, ``result``, ``state``, ``etag``, ``seen_at``.

    :param operation_id: id of the operation, None when it was adopted without one
    :param operation_type: type of the operation (``Backup``), as the service reports it
    """

    template_fields = (*WaitSensor.template_fields, "operation_id")

    def __init__(self, *, operation_id: str | None, operation_type: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id
        self.operation_type = operation_type

    def build_trigger(self, context: Context, **wait: Any) -> OperationTrigger:
        return OperationTrigger(
            conn_id=self.conn_id,
            service=self.service,
            operation_id=self.operation_id,
            operation_type=self.operation_type,
            **wait,
        )


class BizTalkGoneSensor(WaitSensor):
    """
    Waits until a service that is being deleted is gone.

    XCom: ``gone_at``.

    :param operation_id: id of the deletion, None when it was adopted without one
    """

    template_fields = (*WaitSensor.template_fields, "operation_id")

    def __init__(self, *, operation_id: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id

    def build_trigger(self, context: Context, **wait: Any) -> GoneTrigger:
        return GoneTrigger(conn_id=self.conn_id, service=self.service, operation_id=self.operation_id, **wait)
