"""Asks a person to approve the plan of a restore."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.operators.step import AdvicePolicy, failure_told

if TYPE_CHECKING:
    from airflow.sdk import Context

NOTHING_CHANGED = "Nothing was changed."
PLAN_HASH = "plan_hash"
"""XCom key: which plan was approved."""


class NotApprovedError(BackupServiceError):
    """The plan was rejected, or nobody answered in time; nothing was changed."""


class BizTalkApprovePlanOperator(ApprovalOperator):
    """
    Shows the plan of a restore to a person, and waits until they approve it.

    XCom: Airflow's own, with ``responded_by_user``; ``plan_hash``: the plan that was shown and approved. Fails when the
    plan is rejected and when nobody answers in time.

    **On retry** somebody is asked again. That happens only when Airflow has lost the answer (in 3.3 the task may be
    failed when it is answered in the very moment in which it begins to wait), not after a rejection or a timeout.

    :param plan_hash: identifies the plan that ``body`` shows
    :param hours: how long to wait for an answer
    """

    template_fields = (*ApprovalOperator.template_fields, "plan_hash", "hours")

    def __init__(self, *, plan_hash: str, hours: float | str, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(execution_timeout=None, **kwargs)
        self.plan_hash = plan_hash
        self.hours = hours

    def execute(self, context: Context) -> Any:
        # The plan may be made again while the person reads; what they approve is what they were shown.
        context["task_state_store"].set("shown", self.plan_hash, retention=NEVER_EXPIRE)
        self.response_timeout = timedelta(hours=float(self.hours))
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        with failure_told(context):
            try:
                # What Airflow does with a rejection, skip what follows, would leave the run green.
                answer = super(ApprovalOperator, self).execute_complete(context, event)
            except HITLTimeoutError:
                raise NotApprovedError(
                    f"Nobody approved the plan within {timedelta(hours=float(self.hours))}. {NOTHING_CHANGED}"
                ) from None
            if answer["chosen_options"] != [self.APPROVE]:
                who = (answer["responded_by_user"] or {}).get("name") or "somebody"
                raise NotApprovedError(f"The plan was rejected by {who}. {NOTHING_CHANGED}")
        context["ti"].xcom_push(key=PLAN_HASH, value=context["task_state_store"].get("shown"))
        return answer
