"""Sensors that wait for a service, one of its operations, its batches, its first control numbers, or a slot.

A sensor here defers, fails at its deadline and is never skipped: a wait that timed out is not a success. So it
takes ``deadline_minutes``, and refuses Airflow's arguments that it could not honour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from biztalk_services.drivers.base import Capability
from biztalk_services.flows.first_numbers import Counter
from biztalk_services.flows.waits import DeletedWait, DrainWait, FirstNumbersWait, OperationWait, StateWait, Wait
from biztalk_services.model.choices import check_value
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.requests import PROCEED, RAISE, REFUSE
from biztalk_services.model.steps import NOT_LOOKED_AT, AdvancedNumbers, FirstNumbers, ReachedState
from biztalk_services.provider.base import PlanOperator
from biztalk_services.provider.triggers import BoundedTrigger, RequestTrigger, SlotTrigger
from biztalk_services.provider.waiting import GRACE, Waiting

_NOT_HONOURED = ("timeout", "poke_interval", "mode", "soft_fail", "never_fail", "silent_fail", "exponential_backoff")


class PollSensor(Waiting, BaseSensorOperator):
    """Waits in the triggerer, which ends the task; where it may be over already, the worker polls once before.

    **Idempotency:** only reads. **On retry** the deadline of the first try still holds; a task that was cleared gets
    a new one.
    """

    def __init__(self, **kwargs: Any) -> None:
        if refused := [name for name in _NOT_HONOURED if name in kwargs]:
            raise ValueError(
                f"{type(self).__name__} does not take {', '.join(refused)}: it defers, polls at its own pace, "
                "and fails at its deadline (deadline_minutes)."
            )
        super().__init__(**kwargs)


class _RequestSensor(PollSensor):
    """
    :param operation_id: id of the operation that was requested; None or empty where it has none
    :param requested_at: when it was requested, ISO 8601 with offset; empty: nothing was
    :param start_from_trigger: whether the scheduler hands the wait to the triggerer, without a worker; the deadline
        then counts from the request, and the arguments are numbers and templates that give texts
    """

    template_fields = (*PollSensor.template_fields, "operation_id", "requested_at", "fields")

    def __init__(
        self,
        *,
        operation_id: str | None = None,
        requested_at: str = "",
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        if start_from_trigger:
            kwargs["execution_timeout"] = None  # the scheduler would cut the wait to it
        super().__init__(**kwargs)
        self.operation_id = operation_id
        self.requested_at = requested_at
        self.start_from_trigger = start_from_trigger
        self.fields: dict[str, Any] = {}

    def _hand_over(self, kind: type[Wait], **fields: Any) -> None:
        """Say with which trigger the scheduler starts the wait; with :class:`StartTriggerArgs` as Airflow has them.

        :param fields: of the wait, without the service
        """
        self.fields = fields
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{RequestTrigger.__module__}.{RequestTrigger.__qualname__}",
            trigger_kwargs={
                "kind": kind.__name__,
                "service": self.service,
                "fields": fields,
                "requested_at": self.requested_at,
                "deadline_minutes": self.deadline_minutes,
                "conn_id": self.conn_id,
                "archive": self.archive,
                "tolerance_seconds": self.error_tolerance_seconds,
            },
            next_method="execute_complete",
            timeout=timedelta(minutes=float(self.deadline_minutes)) + GRACE,
        )


class ServiceStateSensor(_RequestSensor):
    """Waits until a service is in an expected state.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    :param expected: a state or several, in the driver's spelling; None: the one in which a suspended service is
    :param operation_id: the operation that leads there, where one was started; when it fails, so does the wait
    """

    template_fields = (*_RequestSensor.template_fields, "expected")

    def __init__(self, *, expected: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.expected = expected
        if self.start_from_trigger:
            self._hand_over(StateWait, expected=[expected], operation_id=self.operation_id)

    def wait_for(self, context: Context) -> Wait:
        expected = self.expected or self.job(context).driver.info.quiesced_state
        states = [expected] if isinstance(expected, str) else list(expected)
        return StateWait(self.service, states, self.operation_id or None)


class OperationSensor(_RequestSensor):
    """Waits until an operation has succeeded and the service is settled again; fails when the operation failed.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    :param operation_type: type of the operation (``Backup``), as the service reports it
    """

    def __init__(self, *, operation_type: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation_type = operation_type
        if self.start_from_trigger:
            self._hand_over(OperationWait, operation_id=self.operation_id, operation_type=operation_type)

    def wait_for(self, context: Context) -> Wait:
        return OperationWait(self.service, self.operation_id or None, self.operation_type)


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
    """Waits until few enough services are suspended, and lets them through in the order in which their runs began. The
    scheduler hands it to the triggerer, without a worker.

    XCom: ``max_parallel``. Fails when there is no slot within the deadline, which counts from the begin of the run: so
    it is the same for a retry, and a task that was cleared has a new one only where its run begins anew.

    :param max_parallel: how many services may have a slot
    :param longest_suspension_minutes: how long a suspension record takes a slot; one that nobody closes does not take
        it for ever
    :param deadline_minutes: how long after the begin of the run to wait at the most; a number
    :param start_from_trigger: False: a worker hands it to the triggerer
    """

    def __init__(
        self, *, max_parallel: int, longest_suspension_minutes: float, start_from_trigger: bool = True, **kwargs: Any
    ) -> None:
        kwargs.setdefault("polls_first", False)
        kwargs["execution_timeout"] = None  # the scheduler would cut the wait to it
        super().__init__(**kwargs)
        if max_parallel < 1:
            raise ValueError(f"max_parallel is {max_parallel}; at least one service has a slot.")
        if longest_suspension_minutes <= 0:
            raise ValueError(
                f"longest_suspension_minutes is {longest_suspension_minutes}; a suspension takes longer than that."
            )
        self.max_parallel = max_parallel
        self.longest_suspension_minutes = longest_suspension_minutes
        self.start_from_trigger = start_from_trigger
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{SlotTrigger.__module__}.{SlotTrigger.__qualname__}",
            trigger_kwargs=self._arguments(),
            next_method="execute_complete",
            timeout=timedelta(minutes=float(self.deadline_minutes)) + GRACE,
        )

    def bounds(self, context: Context) -> tuple[str, str]:
        since = context["dag_run"].start_date or datetime.now(UTC)
        return since.isoformat(), (since + timedelta(minutes=float(self.deadline_minutes))).isoformat()

    def build_trigger(self, context: Context, **bounds: Any) -> BoundedTrigger:
        ti = context["ti"]
        return SlotTrigger(**self._arguments(), dag_id=ti.dag_id, run_id=ti.run_id, since=bounds["since"])

    def wait_for(self, context: Context) -> Wait:
        since, deadline = self.bounds(context)
        return self.build_trigger(context, since=since, deadline=deadline).wait()[0]

    def _arguments(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "conn_id": self.conn_id,
            "archive": self.archive,
            "max_parallel": self.max_parallel,
            "longest_suspension_minutes": self.longest_suspension_minutes,
            "deadline_minutes": self.deadline_minutes,
            "tolerance_seconds": self.error_tolerance_seconds,
        }
