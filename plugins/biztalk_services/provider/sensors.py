"""Sensors that wait for a service, one of its operations, its batches, or a slot.

A sensor here always defers, fails at its deadline and is never skipped: a wait that timed out is not a success. So it
takes ``deadline_minutes``, and refuses Airflow's arguments that it could not honour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import BaseSensorOperator, Context

from biztalk_services.flows.waits import DeletedWait, DrainWait, OperationWait, StateWait, Wait
from biztalk_services.model.choices import check_value
from biztalk_services.model.requests import PROCEED, REFUSE
from biztalk_services.provider.triggers import BoundedTrigger, SlotTrigger, SlotWait
from biztalk_services.provider.waiting import Waiting

_NOT_HONOURED = ("timeout", "poke_interval", "mode", "soft_fail", "never_fail", "silent_fail", "exponential_backoff")


class PollSensor(Waiting, BaseSensorOperator):
    """Polls once on the worker, then waits in the triggerer, which ends the task.

    **Idempotency:** only reads. **On retry** the deadline of the first try still holds; a task that was cleared gets
    a new one.
    """

    def __init__(self, **kwargs: Any) -> None:
        if refused := [name for name in _NOT_HONOURED if name in kwargs]:
            raise ValueError(
                f"{type(self).__name__} does not take {', '.join(refused)}: it always defers, polls at its own pace, "
                "and fails at its deadline (deadline_minutes)."
            )
        super().__init__(**kwargs)


class ServiceStateSensor(PollSensor):
    """Waits until a service is in an expected state.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    :param expected: a state or several, in the driver's spelling; None: the one in which a suspended service is
    :param operation_id: the operation that leads there, where one was started; when it fails, so does the wait
    """

    template_fields = (*PollSensor.template_fields, "expected", "operation_id")

    def __init__(
        self, *, expected: str | Sequence[str] | None = None, operation_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.expected = expected
        self.operation_id = operation_id

    def wait_for(self, context: Context) -> Wait:
        expected = self.expected or self.job(context).driver.info.quiesced_state
        states = [expected] if isinstance(expected, str) else list(expected)
        return StateWait(self.service, states, self.operation_id)


class OperationSensor(PollSensor):
    """Waits until an operation has succeeded and the service is settled again; fails when the operation failed.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    :param operation_id: id of the operation, None when it was adopted without one
    :param operation_type: type of the operation (``Backup``), as the service reports it
    """

    template_fields = (*PollSensor.template_fields, "operation_id")

    def __init__(self, *, operation_id: str | None, operation_type: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id
        self.operation_type = operation_type

    def wait_for(self, context: Context) -> Wait:
        return OperationWait(self.service, self.operation_id, self.operation_type)


class ServiceDeletedSensor(PollSensor):
    """Waits until a service that is being deleted does not exist any more.

    XCom: :class:`biztalk_services.model.steps.ReachedState`, without a state.

    :param operation_id: id of the deletion, None when it was adopted without one
    """

    template_fields = (*PollSensor.template_fields, "operation_id")

    def __init__(self, *, operation_id: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id

    def wait_for(self, context: Context) -> Wait:
        return DeletedWait(self.service, self.operation_id)


class DrainSensor(PollSensor):
    """Waits until no batch of a service holds messages: a backup never contains them.

    XCom: the drain status (``answer``: *empty*, or *unknown* where the run accepts that). Fails, before anything is
    suspended, when batches still hold messages at the deadline, naming them, and when their status is unknown.

    :param unknown_batches_policy: ``refuse`` or ``proceed``, when the batch status is unknown
    :param batches_are_empty: a person confirms it for this run; counts where the status is unknown
    """

    template_fields = (*PollSensor.template_fields, "unknown_batches_policy", "batches_are_empty")

    def __init__(
        self, *, unknown_batches_policy: str = REFUSE, batches_are_empty: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_value("unknown_batches_policy", unknown_batches_policy, (REFUSE, PROCEED))
        self.unknown_batches_policy = unknown_batches_policy
        self.batches_are_empty = batches_are_empty

    def wait_for(self, context: Context) -> Wait:
        check_value("unknown_batches_policy", self.unknown_batches_policy, (REFUSE, PROCEED))
        confirmed = str(self.batches_are_empty).lower() == "true"
        person = context["dag_run"].triggering_user_name or "an unnamed user"
        return DrainWait(self.service, self.unknown_batches_policy, person if confirmed else None)


class SlotSensor(PollSensor):
    """Waits, inside a mapped task group, until few enough of the mapped services are being backed up.

    :param exempt_task_id: id of the task during which a service takes no slot, because it waits for its batches
    :param release_task_id: id of the task with which a service releases its slot
    :param max_parallel: how many services may have a slot
    """

    def __init__(self, *, exempt_task_id: str, release_task_id: str, max_parallel: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_parallel < 1:
            raise ValueError(f"max_parallel is {max_parallel}; at least one service has a slot.")
        self.exempt_task_id = exempt_task_id
        self.release_task_id = release_task_id
        self.max_parallel = max_parallel

    def wait_for(self, context: Context) -> SlotWait:
        ti: Any = context["ti"]
        tasks = (ti.task_id, self.exempt_task_id, self.release_task_id)
        return SlotWait(ti.dag_id, ti.run_id, ti.map_index, *tasks, self.max_parallel)

    def build_trigger(self, context: Context, **bounds: Any) -> BoundedTrigger:
        return SlotTrigger(service=self.service, slot=asdict(self.wait_for(context)), **bounds)
