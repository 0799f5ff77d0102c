"""Operators that plan a restore, and make sure that what was approved is still what would be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.job import take_lock
from biztalk_services.flows.plan_document import plan_document
from biztalk_services.flows.plan_restore import Planner, refuse_if_blocked
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.steps import ConfirmedPlan
from biztalk_services.provider.base import LockingOperator, RetriedOperator, run_of, run_state

DOCUMENT = "document"
"""XCom key: the plan to read, in Markdown. No step takes it."""


def _planner(operator: RetriedOperator, context: Context) -> Planner:
    ti = context["ti"]
    at = context["dag_run"].run_after
    return Planner(operator.connect(), operator.open_archive(), run_of(ti), lambda run: run_state(ti, run), at)


class PlanRestoreOperator(RetriedOperator):
    """Makes the plan of a restore: every rule with its verdict, every value checked, everything that would be lost.

    XCom ``return_value``: the plan (:class:`biztalk_services.model.plan.RestorePlan`), with its request, its backup and
    the name of the safety backup; ``document``: the same to read (Markdown).

    Refused, after the plan was pushed: a plan with blocking issues; the message lists all of them.

    **Idempotency:** only reads.

    :param request: fields of :class:`biztalk_services.model.requests.RestoreRequest` and the driver's overrides; None:
        the form of the run. ``backup`` may be a name, empty for the newest, or a backup reference
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


class ConfirmPlanOperator(LockingOperator):
    """Makes the plan again right before the first change, and fails when it is not the approved one. Locks the target
    for this run.

    XCom: :class:`biztalk_services.model.steps.ConfirmedPlan`.

    **Idempotency:** reads, and locks the service for this run.

    :param plan: XCom of the approved plan
    :param approved_hash: hash of the plan that the person was shown who approved
    """

    template_fields = (*LockingOperator.template_fields, "plan", "approved_hash")

    def __init__(self, *, plan: Any, approved_hash: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.approved_hash = approved_hash

    def run_step(self, context: Context) -> ConfirmedPlan:
        planner = _planner(self, context)
        plan = planner.confirm(RestorePlan.from_dict(self.plan), self.approved_hash)
        take_lock(
            planner.archive,
            plan.target.name,
            "restore",
            run=run_of(context["ti"]),
            lasts=self.lock_lasts,
            run_state=planner.run_state,
        )
        return ConfirmedPlan(plan.target.service, plan.hash, datetime.now(UTC))
