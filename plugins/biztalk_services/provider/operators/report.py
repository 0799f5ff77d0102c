"""Operators that report at the end of a run what became of it, and release its locks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import Context

from biztalk_services.drivers.base import Driver
from biztalk_services.flows import backup_report, night, restore_report
from biztalk_services.flows.backup_report import BackupOutcome, BackupsFailedError
from biztalk_services.flows.restore_report import RestoreFailedError, RestoreResults, RestoreSteps
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.options import BACKUP
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.run import Run
from biztalk_services.model.service import Phase, Service, ServiceKey, ServiceRef
from biztalk_services.model.steps import (
    UNKNOWN,
    BackupJob,
    ChosenService,
    ConfirmedPlan,
    FirstNumbers,
    ReachedState,
    RecordedInventory,
    decode_xcom,
)
from biztalk_services.provider import service_runs
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.base import FAILURE, RetriedOperator, run_of
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.offered import offer
from biztalk_services.provider.operators.find import ALL_SERVICES, UNREAD
from biztalk_services.provider.operators.restore import DIFFERENCES, NUMBERS

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive


class _ReportOperator(RetriedOperator):
    def execute(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except BackupServiceError:
            raise
        except Exception as error:
            # So that the run does not count as one that ended without its report.
            context["ti"].xcom_push(key=FAILURE, value=f"The report could not be made ({type(error).__name__}).")
            raise

    def release(self, services: Mapping[ServiceKey, Run]) -> None:
        """Release the locks that these runs have. One that cannot be released expires, because its run has ended."""
        try:
            locks = self.open_archive().locks
            for service, run in services.items():
                locks.release(service, run)
        except BackupServiceError as error:
            self.log.warning("%s", error)


class ReportBackupsOperator(_ReportOperator):
    """Reports for each service of a nightly run what happened; fails the run when one was not backed up or not resumed,
    when a published reference is lost, when there was no service, or when a subscription or an entry of its list could
    not be read.

    XCom: a list of :class:`biztalk_services.flows.backup_report.BackupOutcome`, pushed before the run is failed.

    **Idempotency:** only reads, writes once how the night ended, and releases the locks of the runs that have ended.

    :param find: id of the task that found the services
    :param back_up: id of the task that backed them up
    """

    def __init__(self, *, find: str, back_up: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find = find
        self.back_up = back_up

    def run_step(self, context: Context) -> None:
        ti = context["ti"]
        chosen = ti.xcom_pull(task_ids=self.find, key=ALL_SERVICES)
        if chosen is None:
            raise BackupsFailedError(self._not_found(ti))
        services = [ChosenService.from_xcom(each) for each in chosen]
        jobs = [BackupJob.from_xcom(each) for each in ti.xcom_pull(task_ids=self.find) or []]
        runs = {(job.conn_id, job.service): (service_runs.service_run_id(ti.run_id, job), job) for job in jobs}
        states = service_runs.step_states([run_id for run_id, _ in runs.values()])
        under_way = set(service_runs.sorted_out(list(states))[0])
        drivers = {conn_id: cache(opened) for conn_id, opened in self.drivers().items()}
        listed = cache(lambda conn_id: self._listed(drivers.get(conn_id) or partial(driver_for, conn_id)))
        archive = cache(self.open_archive)
        outcomes = [
            self._outcome(
                ti,
                service,
                runs.get((service.conn_id, service.service)),
                states,
                under_way,
                self._service_now(
                    service.service,
                    listed(service.conn_id),
                    drivers.get(service.conn_id) or partial(driver_for, service.conn_id),
                ),
                archive,
            )
            for service in services
        ]
        ti.xcom_push(key="return_value", value=[outcome.to_xcom() for outcome in outcomes])
        for outcome in outcomes:
            has_failed = outcome.outcome == backup_report.FAILED
            log = self.log.error if has_failed else self.log.warning if outcome.lacking else self.log.info
            log(outcome.sentence())
        self.log.info(backup_report.summary(outcomes))
        night.end_night(archive, run_of(ti), outcomes)
        offer(archive)
        keys = {
            (service.conn_id, service.service): ServiceKey(service.subscription_id, ServiceRef.parse(service.service))
            for service in services
        }
        ended = {each: run_id for each, (run_id, _) in runs.items() if run_id not in under_way}
        self.release({key: self._run(ti, ended[each]) for each, key in keys.items() if each in ended})
        backup_report.require_success(outcomes, ti.xcom_pull(task_ids=self.find, key=UNREAD) or [])

    @staticmethod
    def _run(ti: Any, run_id: str) -> Run:
        return replace(run_of(ti), dag_id=BACKUP, run_id=run_id)

    def _not_found(self, ti: Any) -> str:
        """What is said when it is not known which services the run has."""
        reason = ti.xcom_pull(task_ids=self.find, key=FAILURE) or backup_report.without_a_sentence(self.find)
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[self.back_up], run_ids=[ti.run_id])
        if states.get(ti.run_id, {}).get(self.back_up) not in backup_report.NOT_RUN:
            return f"The services of the run could not be found, after some had been backed up before. {reason}"
        return f"The services of the run could not be found, and nothing was done. {reason}"

    def _outcome(
        self,
        ti: Any,
        service: ChosenService,
        run_and_job: tuple[str, BackupJob] | None,
        states: Mapping[str, Mapping[str, str | None]],
        under_way: Collection[str],
        now: Service | None,
        archive: Callable[[], Archive],
    ) -> BackupOutcome:
        known = BackupOutcome(
            service.conn_id,
            service.name,
            service.scope,
            service.region,
            service.edition,
            backup_report.NO_BACKUP,
            state=now.state if now else None,
        )
        if not service.has_backups:
            return known
        if run_and_job is None:
            return self._not_begun(ti, known, self.find)
        run_id, job = run_and_job
        if run_id not in states:
            return self._not_begun(ti, known, self.back_up)
        left = partial(service_runs.left, run_id)
        quiesced, resumed, recorded = map(left, (service_runs.QUIESCED, service_runs.RESUMED, service_runs.RECORDED))
        outcome = backup_report.backup_outcome(
            known,
            service_runs.STEPS,
            states[run_id],
            published_by=service_runs.PUBLISHED,
            resumed_by=service_runs.RESUMED,
            reference=self._published_reference(self._run(ti, run_id), job, bool(quiesced), archive),
            quiesced=ReachedState.from_xcom(quiesced) if quiesced else None,
            resumed=ReachedState.from_xcom(resumed) if resumed else None,
            recorded=RecordedInventory.from_xcom(recorded) if recorded else None,
            is_running=bool(now and now.phase is Phase.RUNNING),
            has_result=lambda step: left(step) is not None and left(step, FAILURE) is None,
            failure_of=lambda step: left(step, FAILURE),
            archive=archive,
        )
        return backup_report.under_way(outcome, run_id) if run_id in under_way else outcome

    @staticmethod
    def _not_begun(ti: Any, known: BackupOutcome, step: str) -> BackupOutcome:
        return backup_report.not_begun(known, step, ti.xcom_pull(task_ids=step, key=FAILURE))

    def _published_reference(
        self, run: Run, job: BackupJob, is_begun: bool, archive: Callable[[], Archive]
    ) -> BackupReference | None:
        """The reference of a run's backup: what the step has left, else what the catalog has: the step may have been
        ended between the two."""
        if left := service_runs.left(run.run_id, service_runs.PUBLISHED):
            return BackupReference.from_dict(left)
        if not is_begun:
            return None
        try:
            reference = archive().catalog.read(job.service.rpartition("/")[2], job.backup_name)
        except BackupServiceError as error:
            self.log.info("No published reference of %s: %s", job.backup_name, error)
            return None
        return reference if reference.run == run else None

    def _listed(self, driver: Callable[[], Driver]) -> dict[str, Service]:
        """The services of a subscription by their addresses in lower case, read once for all of them."""
        try:
            return {str(each.ref).lower(): each for each in driver().list_services(self.log.warning)}
        except BackupServiceError as error:
            self.log.warning("The services cannot be listed: %s", error)
            return {}

    def _service_now(self, service: str, listed: Mapping[str, Service], driver: Callable[[], Driver]) -> Service | None:
        if service.lower() in listed:
            return listed[service.lower()]
        try:
            return driver().get_service(ServiceRef.parse(service))
        except BackupServiceError as error:
            self.log.warning("The state of %s is unknown now: %s", service, error)
            return None


class ReportRestoreOperator(_ReportOperator):
    """Reports what became of a restore, records it in the archive, and fails the run when it failed or was refused.

    XCom: :class:`biztalk_services.model.steps.RestoreOutcome`, pushed before the run is failed.

    **Idempotency:** a record is never overwritten.

    :param steps: ids of the steps, in their order
    :param changes: ids of those that change something
    :param deletions: id of a step that deletes the existing service -> that of the wait until it is deleted
    :param required: ids of those that all have to succeed before the service counts as restored
    :param sources: ids of the steps whose XComs the report reads: ``plan``, ``approval``, ``confirm``,
        ``safety_backup``, ``verify``, ``numbers``, ``resumed``, ``first_numbers``
    """

    def __init__(
        self,
        *,
        steps: Sequence[str],
        changes: Sequence[str],
        deletions: Mapping[str, str],
        required: Sequence[str],
        sources: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.restore_steps = RestoreSteps(
            all=list(steps),
            changes=list(changes),
            deletions=dict(deletions),
            required=list(required),
            look=sources["first_numbers"],
        )
        self.sources = dict(sources)

    def run_step(self, context: Context) -> None:
        ti = context["ti"]
        plan = self._pulled(ti, "plan")
        results = self._results(context, plan)
        outcome = restore_report.restore_outcome(
            self.restore_steps,
            ti.get_task_states(dag_id=ti.dag_id, task_ids=list(self.restore_steps.all), run_ids=[ti.run_id]).get(
                ti.run_id, {}
            ),
            results,
            driver=self.connect,
            archive=self.open_archive,
            restore_dag=ti.dag_id,
            log=self.log,
        )
        ti.xcom_push(key="return_value", value=outcome.to_xcom())
        if results.plan and outcome.outcome in (restore_report.RESTORED, restore_report.FAILED):
            restore_report.record_restore(
                self.open_archive(),
                outcome,
                when=results.confirmed.confirmed_at if results.confirmed else datetime.now(UTC),
                run=run_of(ti),
                plan=results.plan,
                log=self.log,
            )
        if results.plan:
            self.release({results.plan.target_key: run_of(ti)})
        if outcome.outcome in (restore_report.FAILED, restore_report.REFUSED):
            raise RestoreFailedError(outcome.reason)
        self.log.info(outcome.reason)
        if outcome.first_numbers and outcome.first_numbers.result == UNKNOWN:
            alert = AlertNotifier(subject="The control numbers of a restored service are not confirmed")
            alert.alert(cast(Context, {**context, "exception": outcome.first_numbers.sentence}))

    def _pulled(self, ti: Any, source: str, key: str = "return_value") -> Any:
        return decode_xcom(ti.xcom_pull(task_ids=self.sources[source], key=key))

    def _results(self, context: Context, plan: Any) -> RestoreResults:
        ti = context["ti"]
        approval, confirmed = self._pulled(ti, "approval") or {}, self._pulled(ti, "confirm")
        safety = self._pulled(ti, "safety_backup")

        @cache
        def failure_of(step: str) -> str | None:
            return decode_xcom(ti.xcom_pull(task_ids=step, key=FAILURE))  # type: ignore[no-any-return]

        return RestoreResults(
            plan=RestorePlan.from_dict(plan) if plan else None,
            plan_only=bool(context["params"].get("plan_only")),
            approved_by=(approval.get("responded_by_user") or {}).get("name"),
            confirmed=ConfirmedPlan.from_xcom(confirmed) if confirmed else None,
            safety_backup=BackupReference.from_dict(safety) if safety else None,
            numbers=tuple(NumberRow(**row) for row in self._pulled(ti, "numbers", NUMBERS) or []),
            differences=tuple(self._pulled(ti, "verify", DIFFERENCES) or []),
            resumed=ReachedState.from_xcom(resumed) if (resumed := self._pulled(ti, "resumed")) else None,
            first_numbers=FirstNumbers.from_xcom(look) if (look := self._pulled(ti, "first_numbers")) else None,
            has_result=lambda step: ti.xcom_pull(task_ids=step) is not None and failure_of(step) is None,
            failure_of=failure_of,
        )
