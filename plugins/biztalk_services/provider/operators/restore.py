"""Operators that carry the plan of a restore out: delete, restore, verify, advance control numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows import restore as flow
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.plain import to_plain
from biztalk_services.model.steps import AdvancedNumbers, ReachedState, StartedOperation, VerifiedRestore, decode_xcom
from biztalk_services.provider.base import LockingOperator, PlanOperator

DIFFERENCES = "differences"
"""XCom key: what the restored service does not hold as it should; pushed before the step fails."""

NUMBERS = "numbers"
"""XCom key: control numbers, one row an agreement and kind; pushed before the step fails."""


class DeleteServiceOperator(PlanOperator, LockingOperator):
    """Requests the deletion of the service that a plan replaces, once; with a safety backup only while the service is
    quiesced as it was when that was taken, and when the safety backup is whole.

    XCom: :class:`biztalk_services.model.steps.StartedOperation`.

    **Idempotency:** a deletion is never requested twice. When the response is lost, on retry, and when the task is
    cleared, the service itself shows whether it is being deleted; the step fails when it is not.

    :param plan: XCom of the approved plan; the service must still have the ETag in it
    :param safety_backup: XCom of the step that published its safety backup; None: it is deleted without one, as
        approved
    :param quiesced: XCom of the wait until the service was quiesced; None: it is deleted as it is
    """

    template_fields = (*PlanOperator.template_fields, "safety_backup", "quiesced")

    def __init__(self, *, safety_backup: Any = None, quiesced: Any = None, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.safety_backup = safety_backup
        self.quiesced = quiesced

    def run_step(self, context: Context) -> StartedOperation:
        existing, safety = self.approved_plan().existing, decode_xcom(self.safety_backup)
        return flow.delete_service(
            self.job(context),
            etag=existing.etag if existing else None,
            safety_backup=BackupReference.from_dict(safety) if safety else None,
            quiesced=ReachedState.from_xcom(self.quiesced) if self.quiesced else None,
        )


class StartRestoreOperator(PlanOperator, LockingOperator):
    """Requests the restore of a backup as a service that does not exist. Secrets are read from their connections here,
    and are stored nowhere else.

    XCom: :class:`biztalk_services.model.steps.StartedOperation`.

    **Idempotency:** the intent is stored before the request is sent, the operation after. **On retry** a service of
    this name that exists since is adopted when a restore made it; a name that is still held is requested again until
    the deadline, for there is no other way to check whether it is free.

    :param name_deadline_minutes: how long to wait for the name
    """

    def __init__(self, *, name_deadline_minutes: float = 120, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        if name_deadline_minutes < 0:
            raise ValueError(f"name_deadline_minutes is {name_deadline_minutes}; it is 0 or more.")
        self.name_deadline = timedelta(minutes=name_deadline_minutes)

    def run_step(self, context: Context) -> StartedOperation:
        return flow.start_restore(self.job(context), self.approved_plan(), name_deadline=self.name_deadline)


class VerifyRestoreOperator(PlanOperator):
    """Compares what a restored service holds with what was recorded at its backup.

    XCom: :class:`biztalk_services.model.steps.VerifiedRestore`; ``differences``: a sentence each.

    Fails when anything is different that the request did not ask for, and when the backup has no inventory.

    **Idempotency:** only reads.
    """

    def run_step(self, context: Context) -> VerifiedRestore:
        differing: list[str] = []
        try:
            return flow.verify_restore(self.job(context), self.approved_plan(), differing)
        finally:
            context["ti"].xcom_push(key=DIFFERENCES, value=differing)


class AdvanceControlNumbersOperator(PlanOperator, LockingOperator):
    """Makes sure that a restored service gives out no control number that was used since its backup.

    XCom: :class:`biztalk_services.model.steps.AdvancedNumbers`; its rows also under ``numbers``.

    ``raise`` changes the bounds of the agreements, ``report`` only lists, ``exact`` does not even read. Fails when
    numbers cannot be advanced as requested.

    **Idempotency:** the same bounds are decided upon again, and not set twice; where more numbers were used meanwhile,
    they move on.
    """

    def run_step(self, context: Context) -> AdvancedNumbers:
        rows: list[NumberRow] = []
        try:
            flow.advance_control_numbers(self.job(context), self.approved_plan(), rows)
        finally:
            context["ti"].xcom_push(key=NUMBERS, value=to_plain(rows))
        return AdvancedNumbers(tuple(rows))
