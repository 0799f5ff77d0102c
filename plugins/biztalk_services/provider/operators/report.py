"""Operators that report at the end of a run what became of it, and release its locks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import Context

from biztalk_services.drivers.base import Driver
from biztalk_services.flows import backup_report, restore_report
from biztalk_services.flows.backup_report import BackupOutcome, BackupsFailedError
from biztalk_services.flows.restore_report import RestoreFailedError, RestoreResults, RestoreSteps
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.run import RunState
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
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.base import FAILURE, RetriedOperator, run_of, run_state
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.operators.find import ALL_SERVICES, FURTHER, UNREAD
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

    def execute(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except BackupServiceError:
            raise
        except Exception as error:
            # So that the run does not count as one that ended without its report.
            context["ti"].xcom_push(key=FAILURE, value=f"The report could not be made ({type(error).__name__}).")
            raise

    def states(self, ti: Any) -> Mapping[str, str | None]:
        """State of each step; those of mapped ones by ``<task id>_<map index>``."""
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=self.steps, run_ids=[ti.run_id])
        return dict(states.get(ti.run_id, {}))

    def release(self, ti: Any, services: Iterable[ServiceKey]) -> None:
        """Release the locks of this run. One that cannot be released expires, because its run has ended."""
        try:
            locks = self.open_archive().locks
            for service in services:
                locks.release(service, run_of(ti))
        except BackupServiceError as error:
            self.log.warning("%s", error)


class ReportBackupsOperator(_ReportOperator):
    """Reports for each service of the run what happened; fails the run when one was not backed up or not resumed, when
    a published reference is lost, when there was no service, when a subscription or an entry of its list could not be
    read, or when a further run could not be started.

    XCom: a list of :class:`biztalk_services.flows.backup_report.BackupOutcome`, pushed before the run is failed.

    **Idempotency:** only reads, and releases the locks of the run.

    :param find: id of the task that found the services
    :param steps: ids of the steps of a service, in their order
    :param quiesced: the step after which the service was quiesced
    :param resumed: the step after which it was resumed
    :param published: the step that published the backup reference
    :param recorded: the step that recorded the inventory
    :param further: the task that planned further runs for the services that are too many for this one
    :param further_started: the mapped task that started those
    """

    def __init__(
        self,
        *,
        find: str,
        quiesced: str,
        resumed: str,
        published: str,
        recorded: str,
        further: str | None = None,
        further_started: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.further = further
        self.further_started = further_started
        self.find = find
        self.quiesced = quiesced
        self.resumed = resumed
        self.published = published
        self.recorded = recorded

    def run_step(self, context: Context) -> None:
        ti = context["ti"]
        chosen = ti.xcom_pull(task_ids=self.find, key=ALL_SERVICES)
        if chosen is None:
            raise BackupsFailedError(self._not_found(ti))
        services, states = [ChosenService.from_xcom(each) for each in chosen], self.states(ti)
        jobs = [BackupJob.from_xcom(each) for each in ti.xcom_pull(task_ids=self.find) or []]
        indices = {(job.conn_id, job.service): (index, job) for index, job in enumerate(jobs)}
        drivers = {conn_id: cache(opened) for conn_id, opened in self.drivers().items()}
        listed = cache(lambda conn_id: self._listed(drivers.get(conn_id) or partial(driver_for, conn_id)))
        archive = cache(self.open_archive)
        outcomes = [
            self._outcome(
                ti,
                service,
                indices.get((service.conn_id, service.service)),
                states,
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
        self.release(
            ti, [ServiceKey(service.subscription_id, ServiceRef.parse(service.service)) for service in services]
        )
        unread = ti.xcom_pull(task_ids=self.find, key=UNREAD) or []
        backup_report.require_success(outcomes, [*unread, *self._further_runs(ti)])

    def _not_found(self, ti: Any) -> str:
        """What is said when it is not known which services the run has."""
        reason = ti.xcom_pull(task_ids=self.find, key=FAILURE) or backup_report.without_a_sentence(self.find)
        if any(state not in backup_report.NOT_RUN for state in self.states(ti).values()):
            return f"The services of the run could not be found, after steps had been carried out before. {reason}"
        return f"The services of the run could not be found, and nothing was done. {reason}"

    def _further_runs(self, ti: Any) -> Iterator[str]:
        """A sentence for each further run that could not be started; those that follow are logged."""
        shares = ti.xcom_pull(task_ids=self.find, key=FURTHER) or []
        if not (shares and self.further and self.further_started):
            return
        planned = ti.xcom_pull(task_ids=self.further) or []
        for index, share in enumerate(shares):
            run_id = planned[index]["trigger_run_id"] if index < len(planned) else None
            # The run itself, and no state of a step: one that a person has prevented is skipped, too.
            if run_id and run_state(ti, replace(run_of(ti), run_id=run_id)) is not RunState.UNKNOWN:
                self.log.info("Run %s backs up %d more services when this one has ended.", run_id, len(share))
            else:
                yield (
                    f"Run {run_id or '(not planned)'}, which was to back up {len(share)} more services from {share[0]} "
                    f"to {share[-1]}, could not be started. See the log of {self.further_started}, and clear that task."
                )

    def _outcome(
        self,
        ti: Any,
        service: ChosenService,
        index_and_job: tuple[int, BackupJob] | None,
        states: Mapping[str, str | None],
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
        if index_and_job is None:
            return backup_report.not_begun(known, self.find, ti.xcom_pull(task_ids=self.find, key=FAILURE))
        index, job = index_and_job

        def pulled(step: str, key: str = "return_value") -> Any:
            return decode_xcom(ti.xcom_pull(task_ids=step, key=key, map_indexes=index))

        quiesced, resumed, recorded = map(pulled, (self.quiesced, self.resumed, self.recorded))
        return backup_report.backup_outcome(
            known,
            self.steps,
            {step: states.get(f"{step}_{index}") for step in self.steps},
            published_by=self.published,
            resumed_by=self.resumed,
            reference=self._published_reference(ti, job, pulled(self.published), bool(quiesced), archive),
            quiesced=ReachedState.from_xcom(quiesced) if quiesced else None,
            resumed=ReachedState.from_xcom(resumed) if resumed else None,
            recorded=RecordedInventory.from_xcom(recorded) if recorded else None,
            is_running=bool(now and now.phase is Phase.RUNNING),
            has_result=lambda step: pulled(step) is not None and pulled(step, FAILURE) is None,
            failure_of=lambda step: pulled(step, FAILURE),
            archive=archive,
        )

    def _published_reference(
        self, ti: Any, job: BackupJob, left: Any, is_begun: bool, archive: Callable[[], Archive]
    ) -> BackupReference | None:
        """The reference of this run's backup: what the step has left, else what the catalog has. The step may have
        been ended between the two, and what it has left may be of another service, which had its place before."""
        reference = BackupReference.from_dict(left) if left else None
        if reference and reference.container == job.backup_name:
            return reference
        if not is_begun:
            return None
        try:
            reference = archive().catalog.read(job.service.rpartition("/")[2], job.backup_name)
        except BackupServiceError as error:
            self.log.info("No published reference of %s: %s", job.backup_name, error)
            return None
        return reference if reference.run == run_of(ti) else None

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

    :param changes: ids of those that change something
    :param deletions: id of a step that deletes the existing service -> that of the wait until it is deleted
    :param required: ids of those that all have to succeed before the service counts as restored
    :param sources: ids of the steps whose XComs the report reads: ``plan``, ``approval``, ``confirm``,
        ``safety_backup``, ``verify``, ``numbers``, ``resumed``, ``first_numbers``
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
            all=self.steps,
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
            self.states(ti),
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
            self.release(ti, [results.plan.target_key])
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
