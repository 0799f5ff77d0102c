"""Requests a person's approval of the plan of a restore."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.flows.plan_document import plan_document
from biztalk_services.flows.restore_report import NOTHING_CHANGED
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.provider.base import AdvicePolicy, failure_pushed

PLAN_HASH = "plan_hash"
"""XCom key: which plan was approved."""


class NotApprovedError(BackupServiceError):
    """The plan was rejected, or not approved in time; nothing was changed."""


class ApprovePlanOperator(ApprovalOperator):
    """Shows the plan of a restore to a person, and waits until they approve it.

    XCom: Airflow's own, with ``responded_by_user``; ``plan_hash``: the plan that was shown and approved. Fails when the
    plan is rejected and when it is not approved in time.

    **On retry** approval is requested again. That happens only when Airflow has lost the response (in 3.3 the task may
    be failed when it is answered in the very moment in which it begins to wait), not after a rejection or a timeout.

    :param plan: XCom of the plan
    :param hours: how long to wait for the approval
    """

    template_fields = (*ApprovalOperator.template_fields, "plan", "hours")

    def __init__(self, *, plan: Any, hours: float | str, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(subject="Approve the plan of a restore?", execution_timeout=None, **kwargs)
        self.plan = plan
        self.hours = hours

    def execute(self, context: Context) -> Any:
        plan = RestorePlan.from_dict(self.plan)
        # The plan may be made again while the person reads; what they approve is what they were shown.
        context["task_state_store"].set("shown", plan.hash, retention=NEVER_EXPIRE)
        self.subject = f"Restore {plan.backup.place} as {plan.target.service}?"
        self.body = plan_document(plan)
        self.response_timeout = timedelta(hours=float(self.hours))
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        with failure_pushed(context):
            try:
                # What Airflow does with a rejection, skip what follows, would leave the run green.
                response = super(ApprovalOperator, self).execute_complete(context, event)
            except HITLTimeoutError:
                raise NotApprovedError(
                    f"The plan was not approved within {timedelta(hours=float(self.hours))}. {NOTHING_CHANGED}"
                ) from None
            if response["chosen_options"] != [self.APPROVE]:
                who = (response["responded_by_user"] or {}).get("name") or "an unnamed user"
                raise NotApprovedError(f"The plan was rejected by {who}. {NOTHING_CHANGED}")
        context["ti"].xcom_push(key=PLAN_HASH, value=context["task_state_store"].get("shown"))
        return response
