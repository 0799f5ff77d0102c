"""Sensors that wait for a service, one of its operations, its batches, its first control numbers, or a slot.

A sensor here always defers, fails at its deadline and is never skipped: a wait that timed out is not a success. So it
takes ``deadline_minutes``, and refuses Airflow's arguments that it could not honour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from biztalk_services.drivers.base import Capability
from biztalk_services.flows.first_numbers import Counter
from biztalk_services.flows.waits import DeletedWait, DrainWait, FirstNumbersWait, OperationWait, StateWait, Wait
from biztalk_services.model.choices import check_value
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.requests import PROCEED, RAISE, REFUSE
from biztalk_services.model.steps import NOT_LOOKED_AT, AdvancedNumbers, FirstNumbers, ReachedState
from biztalk_services.provider.base import PlanOperator
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


class FirstNumbersSensor(PollSensor, PlanOperator):
    """Looks at the first control numbers that a restored service gives out, and fails when one of them was used before,
    or comes before the one that was to be the first. What cannot be seen within the deadline fails nothing: the XCom
    says that it is not confirmed.

    XCom: :class:`biztalk_services.model.steps.FirstNumbers`; also when it is skipped, because there is nothing to look
    at. While it waits, the run does not keep the service locked: the next backup need not wait for it.

    :param numbers: XCom of the step that advanced the control numbers
    :param restored: XCom of the wait until the service was restored; numbers count from there on
    :param count: how many numbers of each agreement and kind to look at; 0: none
    """

    template_fields = (*PollSensor.template_fields, "plan", "numbers", "restored")

    def __init__(self, *, numbers: Any, restored: Any, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if count < 0:
            raise ValueError(f"count is {count}; it is 0 or more.")
        self.numbers = numbers
        self.restored = restored
        self.count = count

    def run_step(self, context: Context) -> Any:
        plan = self.approved_plan()
        if reason := self._nothing_to_look_at(context, plan):
            context["ti"].xcom_push(key="return_value", value=FirstNumbers(NOT_LOOKED_AT, reason).to_xcom())
            raise AirflowSkipException(reason)
        self._unlock(context, plan)
        return super().run_step(context)

    def wait_for(self, context: Context) -> FirstNumbersWait:
        counters = [Counter.of(row).to_dict() for row in self._advanced().numbers]
        since = ReachedState.from_xcom(self.restored).reached_at.isoformat()
        later = f"To look again, for {float(self.deadline_minutes):g} minutes, clear task {self.task_id} and report."
        return FirstNumbersWait(self.service, counters, since, self.count, later)

    def _advanced(self) -> AdvancedNumbers:
        return AdvancedNumbers.from_xcom(self.numbers)

    def _nothing_to_look_at(self, context: Context, plan: RestorePlan) -> str | None:
        info, request = self.job(context).driver.info, plan.request
        if Capability.CONTROL_NUMBERS not in info.capabilities:
            return f"A {info.title} has no control numbers to look at."
        if request.control_numbers == RAISE and request.resume_afterwards and self.count:
            nothing_used = "No control number was used since the backup, so there is none that must not come again."
            return None if any(row.latest is not None for row in self._advanced().numbers) else nothing_used
        if request.control_numbers != RAISE:
            why = f"because they were not raised ({request.control_numbers})."
        elif not request.resume_afterwards:
            why = "because it was not resumed. Look at the first ones when it is."
        else:
            why = "because option first_numbers is 0."
        return f"Nothing is confirmed of its control numbers, {why}"

    def _unlock(self, context: Context, plan: RestorePlan) -> None:
        job = self.job(context)
        try:
            job.archive.locks.release(plan.target_key, job.run)
        except BackupServiceError as error:
            self.log.warning("%s", error)  # the report tries it again


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
