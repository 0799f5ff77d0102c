"""Finds the services of a backup run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.find import Listing, backup_jobs, choose, list_services, shares
from biztalk_services.model.options import NIGHTLY as NIGHTLY_DAG
from biztalk_services.model.requests import NIGHTLY
from biztalk_services.provider.base import RetriedOperator, first_moment, most_mapped
from biztalk_services.provider.misconfigured import refuse_bad_options
from biztalk_services.provider.run_checks import refuse_backup_run
from biztalk_services.provider.schedule import moment
from biztalk_services.provider.settings import Settings

ALL_SERVICES = "all_services"
"""XCom key: every chosen service, also those that have no backups."""

UNREAD = "unread"
"""XCom key: a sentence for each subscription or entry that could not be read, so that services may be missing; none
where the services were named."""

FURTHER = "further"
"""XCom key: the services that this run leaves to further ones, a list for each run."""

_LONGEST_RUN_ID = 250


class FindServicesOperator(RetriedOperator):
    """Finds the services of the subscriptions that are to be backed up.

    XCom ``return_value``: a :class:`biztalk_services.model.steps.BackupJob` for each service that may have backups,
    ready to expand a task group. XCom ``all_services``: a :class:`biztalk_services.model.steps.ChosenService` for each
    chosen service of this run. XCom ``further``: the services that are too many for this run. XCom ``unread``: what
    could not be read.

    Refused, before anything is done: names that no subscription has or that mean several services, two connections to
    one subscription, and a run that breaks a rule of :mod:`biztalk_services.flows.run_rules`: its form does not reach
    it, it is for another moment than now, it starts too late, or it is a trial (``airflow dags test``).

    A subscription that cannot be read does not keep the services of the others from being backed up: the step is
    retried first, and the report tells of it.

    **Idempotency:** only reads. The names of the backups follow from the moment of the first try, which is stored, so
    that another try finds the same.

    :param services: the services, in a list or separated by blanks, each as ``name``, ``scope/name`` or
        ``connection/scope/name``; empty: all that the configuration includes
    :param start_window_minutes: how late a scheduled run may start
    :param start_before: date and time with time zone after which the run is refused; empty: no limit
    :param most_services: how many services this run backs up at the most; never more than Airflow maps
    :param problems: sentences about bad options; with any of them the run is refused before anything is done
    """

    template_fields = (*RetriedOperator.template_fields, "services", "start_before")

    def __init__(
        self,
        *,
        services: Sequence[str] | str = (),
        start_window_minutes: float = 120,
        start_before: str = "",
        most_services: int = 100,
        problems: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if most_services < 1:
            raise ValueError(f"most_services is {most_services}; a run backs up at least one service.")
        self.services = services
        self.start_window = timedelta(minutes=start_window_minutes)
        self.start_before = start_before
        self.most_services = most_services
        self.problems = list(problems)

    def run_step(self, context: Context) -> list[dict[str, Any]]:
        settings = Settings.load()
        # Their defaults would back up more than was asked for, also in a DAG that passes no problems.
        choice = [each.sentence for each in settings.problems if each.option in ("include", "exclude")]
        refuse_bad_options(dict.fromkeys([*self.problems, *choice]))
        if context["ti"].dag_id == NIGHTLY_DAG:
            self._log_schedule(settings)
        refuse_backup_run(context, self.start_window, self.start_before)
        named = self.services.split() if isinstance(self.services, str) else self.services
        listing = list_services(self.drivers())
        unread = self._unread(context, listing)
        chosen, jobs = backup_jobs(choose(listing, named, settings.includes), listing, first_moment(context))
        size = most_mapped(self.most_services)
        mine, further = shares(jobs, size, most_mapped(len(jobs)))
        left = {(job.conn_id, job.service) for share in further for job in share}
        here = [each for each in chosen if (each.conn_id, each.service) not in left]
        self._push(context, ALL_SERVICES, [each.to_xcom() for each in here])
        self._push(context, UNREAD, [] if named else unread)
        self._push(context, FURTHER, [[f"{job.conn_id}/{job.service}" for job in share] for share in further])
        self.log.info("To be backed up: %s", ", ".join(each.service for each in mine) or "none")
        if further:
            self.log.info("%d services are left to %d further runs, at most %d a run.", len(left), len(further), size)
        return [each.to_xcom() for each in mine]

    def _log_schedule(self, settings: Settings) -> None:
        if schedule := settings.nightly_schedule:
            times = "; ".join(moment(each) for each in schedule.next_times(datetime.now(UTC)))
            self.log.info("Schedule: %s. Its next times: %s", schedule, times)
        else:
            self.log.info("There is no schedule: runs are started by hand only.")

    def _unread(self, context: Context, listing: Listing) -> list[str]:
        """A sentence for each subscription or entry that could not be read; raises while a retry may help, and when
        nothing was read."""
        ti, errors = context["ti"], list(listing.failed.values())
        passing = [error for error in errors if error.advice != "stop"]
        if errors and (len(listing.failed) == len(self.drivers()) or (passing and ti.try_number <= ti.max_tries)):
            raise (passing or errors)[0]
        for sentence in listing.problems:
            self.log.error(sentence)
        return listing.problems

    @staticmethod
    def _push(context: Context, key: str, value: Any) -> None:
        context["ti"].xcom_push(key=key, value=value)


class PlanFurtherRunsOperator(RetriedOperator):
    """Plans a run for each share of services that a run leaves to further ones. They wait in the queue of the DAG.

    XCom: ``trigger_run_id`` and ``conf`` for each, as ``TriggerDagRunOperator`` takes them: the form of this run, with
    the services of the share, the same kind of backup, and the moment until which they may start.

    **Idempotency:** only reads; the ids follow from the run and the services, so that none is started twice, and one
    with other services, after a clear, is another run.

    :param find: id of the task that found the services
    :param start_before_minutes: how long after this step the others may start, unless the form has ``start_before``
    """

    def __init__(self, *, find: str, start_before_minutes: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.find = find
        self.start_before = timedelta(minutes=start_before_minutes)

    def run_step(self, context: Context) -> list[dict[str, Any]]:
        run, form = context["dag_run"], dict(context["params"])
        kind = NIGHTLY if run.run_type == "scheduled" else form["kind"]
        start_before = form["start_before"] or (datetime.now(UTC) + self.start_before).isoformat(timespec="seconds")
        further = context["ti"].xcom_pull(task_ids=self.find, key=FURTHER) or []
        return [
            {
                "trigger_run_id": further_run_id(run.run_id, number, services),
                "conf": form | {"services": services, "kind": kind, "start_before": start_before},
            }
            for number, services in enumerate(further, start=2)
        ]


def further_run_id(run_id: str, number: int, services: Sequence[str]) -> str:
    """Id of the run that backs up what this one leaves to it; Airflow's longest has 250 characters."""
    part = f"__part{number}-{hashlib.sha256(' '.join(services).encode()).hexdigest()[:6]}"
    return run_id[: _LONGEST_RUN_ID - len(part)] + part
