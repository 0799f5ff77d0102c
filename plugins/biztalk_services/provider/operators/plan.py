"""Operators that plan a restore, and make sure that what was approved is still what would be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from biztalk_services.flows.job import take_lock
from biztalk_services.flows.plan_document import plan_document
from biztalk_services.flows.plan_restore import Planner, driver_of, find_backup, refuse_if_blocked
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.steps import ConfirmedPlan
from biztalk_services.provider.base import LockingOperator, RetriedOperator, first_moment, run_of, run_state
from biztalk_services.provider.misconfigured import refuse_bad_options
from biztalk_services.provider.run_checks import refuse_restore_run

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.drivers.base import Driver

DOCUMENT = "document"
"""XCom key: the plan to read, in Markdown. No step takes it."""


def _planner(driver: Driver, conn_id: str, archive: Archive, context: Context) -> Planner:
    ti = context["ti"]
    return Planner(driver, conn_id, archive, run_of(ti), lambda run: run_state(ti, run), first_moment(context))


class PlanRestoreOperator(RetriedOperator):
    """Makes the plan of a restore: every rule with its verdict, every value checked, everything that would be lost.

    XCom ``return_value``: the plan (:class:`biztalk_services.model.plan.RestorePlan`), with its request, its backup and
    the name of the safety backup; ``document``: the same to read (Markdown).

    Refused, before anything is read: a run that breaks a rule of :mod:`biztalk_services.flows.run_rules`: its form does
    not reach it, it is for another moment than now and does not only plan, or it is a trial (``airflow dags test``).
    Refused, after the plan was pushed: a plan with blocking issues; the message lists all of them.

    **Idempotency:** only reads.

    :param request: fields of :class:`biztalk_services.model.requests.RestoreRequest` and the driver's overrides; None:
        the form of the run. ``backup`` may be a name, empty for the newest, or a backup reference
    :param problems: sentences about bad options; with any of them the run is refused before anything is done
    """

    template_fields = (*RetriedOperator.template_fields, "request")

    def __init__(
        self, *, request: Mapping[str, Any] | None = None, problems: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.problems = list(problems)

    def run_step(self, context: Context) -> None:
        refuse_bad_options(self.problems)
        refuse_restore_run(context)
        ti, form = context["ti"], dict(self.request or context["params"])
        archive, drivers = self.open_archive(), self.drivers()
        backup = find_backup(archive, form, drivers)
        conn_id, driver = driver_of(backup, drivers)
        planner = _planner(driver, conn_id, archive, context)
        plan = planner.plan(planner.request(form, backup), backup)
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
        planner = _planner(self.connect(), self.conn_id, self.open_archive(), context)
        plan = planner.confirm(RestorePlan.from_dict(self.plan), self.approved_hash)
        take_lock(
            planner.archive,
            plan.target_key,
            "restore",
            run=run_of(context["ti"]),
            lasts=self.lock_lasts,
            run_state=planner.run_state,
        )
        return ConfirmedPlan(plan.target.service, plan.hash, datetime.now(UTC))
