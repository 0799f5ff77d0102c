"""Operators that plan a restore, and make sure that what was approved is still what would be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from biztalk_services.flows.plan_document import plan_document
from biztalk_services.flows.plan_restore import Planner, refuse_if_blocked
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.records import Lock
from biztalk_services.model.run import RunState
from biztalk_services.model.steps import ConfirmedPlan
from biztalk_services.provider.base import RetriedOperator, run_of, run_state
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.hook import driver_for

if TYPE_CHECKING:
    from airflow.sdk import Context

DOCUMENT = "document"
"""XCom key: the plan to read, in Markdown. No step takes it."""


def _planner(operator: RetriedOperator, context: Context) -> Planner:
    ti = context["ti"]
    return Planner(
        driver_for(operator.conn_id),
        open_archive(operator.archive),
        run_of(ti),
        lambda run: run_state(ti, run),
        context["dag_run"].run_after,
    )


class PlanRestoreOperator(RetriedOperator):
    """
    Makes the plan of a restore: every rule with its verdict, every value checked, everything that would be lost.

    XCom ``return_value``: the plan (:class:`biztalk_services.model.plan.RestorePlan`), with its request, its backup and
    the name of the safety backup; ``document``: the same to read (Markdown).

    Refused, after the plan was pushed: a plan with blocking issues; the message lists all of them.

    **Idempotency:** only reads.

    :param request: fields of :class:`biztalk_services.model.requests.RestoreRequest` and the driver's overrides; None:
        the form of the run. ``backup`` may be a name, empty for the newest, or a backup reference
    :param conn_id: connection to the subscription
    :param archive: id of the storage connection and name of the container of the archive, with a slash between them
    """

    template_fields = (*RetriedOperator.template_fields, "request")

    def __init__(self, *, request: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request

    def run_step(self, context: Context) -> None:
        planner, ti = _planner(self, context), context["ti"]
        backup, request = planner.find_backup(dict(self.request or context["params"]))
        plan = planner.plan(request, backup)
        document = plan_document(plan)
        ti.xcom_push(key="return_value", value=plan.to_dict())
        ti.xcom_push(key=DOCUMENT, value=document)
        self.log.info("Plan %s:\n%s", plan.hash[:12], document)
        refuse_if_blocked(plan)


class ConfirmPlanOperator(RetriedOperator):
    """
    Makes the plan again right before the first change, and fails when it is not the approved one. Locks the target for
    this run.

    XCom: :class:`biztalk_services.model.steps.ConfirmedPlan`.

    **Idempotency:** reads, and locks the service for this run.

    :param plan: XCom of the approved plan
    :param approved_hash: hash of the plan that the person was shown who approved
    :param lock_minutes: how long the lock lasts unless it is released
    :param conn_id: connection to the subscription
    :param archive: id of the storage connection and name of the container of the archive, with a slash between them
    """

    template_fields = (*RetriedOperator.template_fields, "plan", "approved_hash")

    def __init__(self, *, plan: Any, approved_hash: str, lock_minutes: float = 180, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if lock_minutes <= 0:
            raise ValueError(f"lock_minutes is {lock_minutes}; a lock lasts longer than 0 minutes.")
        self.plan = plan
        self.approved_hash = approved_hash
        self.hold = timedelta(minutes=lock_minutes)

    def run_step(self, context: Context) -> ConfirmedPlan:
        planner = _planner(self, context)
        plan = planner.confirm(RestorePlan.from_dict(self.plan), self.approved_hash)
        lock = Lock(plan.target.name, run_of(context["ti"]), "restore", datetime.now(UTC) + self.hold)
        planner.archive.locks.take(lock, has_ended=lambda run: planner.run_state(run) is RunState.ENDED)
        return ConfirmedPlan(plan.target.service, plan.hash, datetime.now(UTC))
