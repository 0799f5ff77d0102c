"""Operators that suspend a service and resume it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows import suspend as flow
from biztalk_services.flows.job import Job
from biztalk_services.flows.waits import ResumedWait
from biztalk_services.model.errors import OperationNotAllowedError, ServiceNotFoundError
from biztalk_services.model.steps import ReachedState, Suspension, decode_xcom
from biztalk_services.provider.base import AdvicePolicy, LockingOperator, PlanOperator, ServiceOperator
from biztalk_services.provider.waiting import Waiting


class SuspendServiceOperator(ServiceOperator, LockingOperator):
    """Suspends a service, unless it is quiesced already. Before the request a suspension record is written; without it
    no request is sent.

    XCom: :class:`biztalk_services.model.steps.Suspension`.

    **Idempotency:** the state in which the service was found is stored before the request is sent, and deleted again
    when the request was certainly not taken. **On retry** a service that is being suspended, or is suspended, is not
    requested again; while our request may be under way, every error is retried. A service that was found quiesced is
    left as it is; while another operation is under way, or another run's suspension lasts, no request is sent and the
    step is retried. **When the task is cleared** (Airflow clears the setup with every step behind it) a service is
    suspended anew only when it is running and its backup was not started.

    :param backup_name: name of the backup that the service is suspended for; None: for something else
    :param reason: what the service is suspended for, for the record
    :param resume_within_minutes: how soon it has to be resumed, for the record
    """

    template_fields = (*ServiceOperator.template_fields, "backup_name")

    def __init__(
        self,
        *,
        backup_name: str | None = None,
        reason: str = "backup",
        resume_within_minutes: float = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if resume_within_minutes <= 0:
            raise ValueError(f"resume_within_minutes is {resume_within_minutes}; a suspension takes longer than that.")
        self.backup_name = backup_name
        self.reason = reason
        self.resume_within = timedelta(minutes=resume_within_minutes)

    def run_step(self, context: Context) -> Suspension:
        return flow.suspend(
            self.job(context), backup_name=self.backup_name, reason=self.reason, resume_within=self.resume_within
        )


class _ResumeOperator(Waiting):
    """Requests a resumption where it is wanted, then waits, in one task: a teardown that only requests would be green
    before the service is resumed; this way a resumption that fails later is requested again by the next try."""

    _wait: ResumedWait

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy(insist=True))
        super().__init__(**kwargs)

    def was_quiesced(self) -> bool:
        """Whether it is known that the suspension has ended."""
        return False

    @abstractmethod
    def suspension_of(self, context: Context) -> Suspension | None:
        """The suspension that has to be undone; None when the service is resumed for another reason."""

    def run_step(self, context: Context) -> Any:
        job, suspension = self.job(context), self.suspension_of(context)
        expected, operation_id = job.driver.info.running_state, None
        if suspension is None:
            operation_id = flow.request_resume(job)
        elif suspension.suspended_by_us:
            operation_id = flow.request_resume(job, suspension.operation_id, was_quiesced=self.was_quiesced())
        else:
            expected = suspension.found_state
            self.log.info("%s was %s before this run; leaving it as is.", self.service, expected)
        self._wait = ResumedWait(self.service, [str(expected)], operation_id, **asdict(job.run))
        return super().run_step(context)

    def wait_for(self, context: Context) -> ResumedWait:
        return self._wait


class ResumeServiceOperator(_ResumeOperator):
    """Resumes a service that was suspended by this run, and waits until it is running. The teardown of a suspension.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    **Idempotency:** a service that is running or being resumed is not requested again; one that was not suspended by
    this run is left as it is. **On retry** it insists: as long as tries are left, whatever the error, except when the
    service does not exist. When an accepted resumption fails, the next try requests it again.

    When it is running, its suspension record is closed.

    :param suspension: XCom of the suspend step
    :param quiesced: XCom of the wait until the service was quiesced; null when that was not seen
    """

    template_fields = (*_ResumeOperator.template_fields, "suspension", "quiesced")

    def __init__(self, *, suspension: Any, quiesced: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suspension = suspension
        self.quiesced = quiesced

    def was_quiesced(self) -> bool:
        return decode_xcom(self.quiesced) is not None

    def suspension_of(self, context: Context) -> Suspension | None:
        return Suspension.from_xcom(self.suspension)


class ResumeUnlessDeletedOperator(ResumeServiceOperator):
    """Resumes a service that was suspended to be replaced, when it was not deleted. The teardown of its suspension.

    XCom: as :class:`ResumeServiceOperator`; ``state`` is null when the service is deleted, as planned.

    **Idempotency:** as :class:`ResumeServiceOperator`. While a deletion is under way no request is sent, and the step
    is retried. A service whose deletion was seen is not polled: what has its name by now is another one.

    :param deleted: XCom of the wait until it is deleted; null when that was not seen
    """

    template_fields = (*ResumeServiceOperator.template_fields, "deleted")

    def __init__(self, *, deleted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deleted = deleted

    def run_step(self, context: Context) -> Any:
        job = self.job(context)
        if deleted := decode_xcom(self.deleted):
            return self._is_deleted(job, ReachedState.from_xcom(deleted).reached_at)
        try:
            service = job.service()
        except ServiceNotFoundError:
            return self._is_deleted(job, datetime.now(UTC))
        if service.under_way == "delete":
            raise OperationNotAllowedError(
                f"Service {self.service} is being deleted. This step is retried until that ends."
            )
        return super().run_step(context)

    def _is_deleted(self, job: Job, at: datetime) -> ReachedState:
        self.log.info("%s is deleted, as planned.", self.service)
        flow.close_records(job, "deleted, as planned")
        return ReachedState(None, None, at)


class ResumeRestoredServiceOperator(_ResumeOperator, PlanOperator):
    """Resumes a restored service, when its plan says so, and waits until it is running; otherwise makes sure that it is
    suspended, as it arrived.

    XCom: :class:`biztalk_services.model.steps.ReachedState`.

    **Idempotency:** as :class:`ResumeServiceOperator`.
    """

    template_fields = (*_ResumeOperator.template_fields, "plan")

    def suspension_of(self, context: Context) -> Suspension | None:
        if self.approved_plan().request.resume_afterwards:
            return None
        quiesced = self.job(context).driver.info.quiesced_state
        return Suspension(quiesced, False, quiesced, None)
