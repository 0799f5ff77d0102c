"""Operators that report at the end of a run what became of it, and release its locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from biztalk_services.drivers.base import Driver
from biztalk_services.flows import backup_report, restore_report
from biztalk_services.flows.backup_report import BackupOutcome, BackupsFailedError
from biztalk_services.flows.restore_report import RestoreFailedError, RestoreResults, RestoreSteps
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.service import ServiceRef
from biztalk_services.model.steps import ChosenService, ConfirmedPlan, ReachedState, decode_xcom
from biztalk_services.provider.base import FAILURE, RetriedOperator, run_of
from biztalk_services.provider.operators.find import ALL_SERVICES
from biztalk_services.provider.operators.restore import DIFFERENCES, NUMBERS

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive


class _ReportOperator(RetriedOperator):
    """
    :param steps: ids of the steps, in their order
    """

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = list(steps)

    def states(self, ti: Any) -> Mapping[str, str | None]:
        """State of each step; those of mapped ones by ``<task id>_<map index>``."""
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=self.steps, run_ids=[ti.run_id])
        return dict(states.get(ti.run_id, {}))

    def release(self, ti: Any, services: Iterable[str]) -> None:
        """Release the locks of this run. One that cannot be released expires, because its run has ended."""
        try:
            locks = self.open_archive().locks
            for service in services:
                locks.release(service, run_of(ti))
        except BackupServiceError as error:
            self.log.warning("%s", error)


class ReportBackupsOperator(_ReportOperator):
    """Reports for each service of the run what happened; fails the run when one was not backed up or not resumed, when
    a published reference is lost, or when there was no service.

    XCom: a list of :class:`biztalk_services.flows.backup_report.BackupOutcome`, pushed before the run is failed.

    **Idempotency:** only reads, and releases the locks of the run.

    :param find: id of the task that found the services
    :param steps: ids of the steps of a service, in their order
    :param quiesced: the step after which the service was quiesced
    :param resumed: the step after which it was resumed
    :param published: the step that published the backup reference
    """

    def __init__(self, *, find: str, quiesced: str, resumed: str, published: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find = find
        self.quiesced = quiesced
        self.resumed = resumed
        self.published = published

    def run_step(self, context: Context) -> None:
        ti = context["ti"]
        chosen = ti.xcom_pull(task_ids=self.find, key=ALL_SERVICES)
        if chosen is None:
            reason = ti.xcom_pull(task_ids=self.find, key=FAILURE) or f"See the log of {self.find}."
            raise BackupsFailedError(f"The services of the run could not be found, and nothing was done. {reason}")
        services, states = [ChosenService.from_xcom(each) for each in chosen], self.states(ti)
        indices = {job["service"]: index for index, job in enumerate(ti.xcom_pull(task_ids=self.find) or [])}
        driver, archive = cache(self.connect), cache(self.open_archive)
        outcomes = [
            self._outcome(ti, service, indices.get(service.service), states, driver, archive) for service in services
        ]
        ti.xcom_push(key="return_value", value=[outcome.to_xcom() for outcome in outcomes])
        for outcome in outcomes:
            log = self.log.error if outcome.outcome == backup_report.FAILED else self.log.info
            log(outcome.sentence())
        self.release(ti, [service.name for service in services])
        backup_report.require_success(outcomes)

    def _outcome(
        self,
        ti: Any,
        service: ChosenService,
        index: int | None,
        states: Mapping[str, str | None],
        driver: Callable[[], Driver],
        archive: Callable[[], Archive],
    ) -> BackupOutcome:
        state = self._state_now(service.service, driver)
        known = BackupOutcome(
            service.name, service.scope, service.region, service.edition, backup_report.NO_BACKUP, state=state
        )
        if index is None:
            return known

        def pulled(step: str, key: str = "return_value") -> Any:
            return decode_xcom(ti.xcom_pull(task_ids=step, key=key, map_indexes=index))

        reference, quiesced, resumed = pulled(self.published), pulled(self.quiesced), pulled(self.resumed)
        return backup_report.backup_outcome(
            known,
            self.steps,
            {step: states.get(f"{step}_{index}") for step in self.steps},
            published_by=self.published,
            reference=BackupReference.from_dict(reference) if reference else None,
            quiesced=ReachedState.from_xcom(quiesced) if quiesced else None,
            resumed=ReachedState.from_xcom(resumed) if resumed else None,
            failure_of=lambda step: pulled(step, FAILURE),
            archive=archive,
        )

    def _state_now(self, service: str, driver: Callable[[], Driver]) -> str | None:
        try:
            return driver().get_service(ServiceRef.parse(service)).state
        except BackupServiceError as error:
            self.log.warning("The state of %s is unknown now: %s", service, error)
            return None


class ReportRestoreOperator(_ReportOperator):
    """Reports what became of a restore, records it in the archive, and fails the run when it failed or was refused.

    XCom: :class:`biztalk_services.model.steps.RestoreOutcome`, pushed before the run is failed.

    **Idempotency:** a record is never overwritten.

    :param changes: ids of those that change something
    :param deletions: id of a step that deletes the existing service -> that of the wait until it is deleted
    :param required: ids of those that all have to succeed before the service counts as restored
    :param sources: ids of the steps whose XComs the report reads: ``plan``, ``approval``, ``confirm``,
        ``safety_backup``, ``verify``, ``numbers``
    """

    def __init__(
        self,
        *,
        changes: Sequence[str],
        deletions: Mapping[str, str],
        required: Sequence[str],
        sources: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.restore_steps = RestoreSteps(
            all=self.steps, changes=list(changes), deletions=dict(deletions), required=list(required)
        )
        self.sources = dict(sources)

    def run_step(self, context: Context) -> None:
        ti = context["ti"]
        plan = self._pulled(ti, "plan")
        outcome = restore_report.restore_outcome(
            self.restore_steps,
            self.states(ti),
            self._results(context, plan),
            driver=self.connect,
            archive=self.open_archive,
            restore_dag=ti.dag_id,
            log=self.log,
        )
        ti.xcom_push(key="return_value", value=outcome.to_xcom())
        if outcome.outcome in (restore_report.RESTORED, restore_report.FAILED):
            run, when = {"dag_id": ti.dag_id, "run_id": ti.run_id}, context["dag_run"].run_after
            restore_report.record_restore(self.open_archive(), outcome, when=when, run=run, plan=plan, log=self.log)
        if outcome.service:
            self.release(ti, [ServiceRef.parse(outcome.service).name])
        if outcome.outcome in (restore_report.FAILED, restore_report.REFUSED):
            raise RestoreFailedError(outcome.reason)
        self.log.info(outcome.reason)

    def _pulled(self, ti: Any, source: str, key: str = "return_value") -> Any:
        return decode_xcom(ti.xcom_pull(task_ids=self.sources[source], key=key))

    def _results(self, context: Context, plan: Any) -> RestoreResults:
        ti = context["ti"]
        approval, confirmed = self._pulled(ti, "approval") or {}, self._pulled(ti, "confirm")
        safety = self._pulled(ti, "safety_backup")
        return RestoreResults(
            plan=RestorePlan.from_dict(plan) if plan else None,
            plan_only=bool(context["params"].get("plan_only")),
            approved_by=(approval.get("responded_by_user") or {}).get("name"),
            confirmed=ConfirmedPlan.from_xcom(confirmed) if confirmed else None,
            safety_backup=BackupReference.from_dict(safety) if safety else None,
            numbers=tuple(NumberRow(**row) for row in self._pulled(ti, "numbers", NUMBERS) or []),
            differences=tuple(self._pulled(ti, "verify", DIFFERENCES) or []),
            failure_of=lambda step: decode_xcom(ti.xcom_pull(task_ids=step, key=FAILURE)),
        )
