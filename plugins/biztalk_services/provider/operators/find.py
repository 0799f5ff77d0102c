"""Finds the services of a backup run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.find import Listing, backup_jobs, choose, list_services
from biztalk_services.model.options import NIGHTLY
from biztalk_services.provider.base import RetriedOperator, first_moment
from biztalk_services.provider.misconfigured import refuse_bad_options
from biztalk_services.provider.run_checks import refuse_backup_run
from biztalk_services.provider.schedule import moment
from biztalk_services.provider.settings import Settings

ALL_SERVICES = "all_services"
"""XCom key: every chosen service, also those that have no backups."""

UNREAD = "unread"
"""XCom key: a sentence for each subscription or entry that could not be read, so that services may be missing; none
where the services were named."""


class FindServicesOperator(RetriedOperator):
    """Finds the services of the subscriptions that are to be backed up.

    XCom ``return_value``: a :class:`biztalk_services.model.steps.BackupJob` for each service that may have backups;
    ``all_services``: a :class:`biztalk_services.model.steps.ChosenService` for each chosen service; ``unread``: what
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
    :param problems: sentences about bad options; with any of them the run is refused before anything is done
    """

    template_fields = (*RetriedOperator.template_fields, "services", "start_before")

    def __init__(
        self,
        *,
        services: Sequence[str] | str = (),
        start_window_minutes: float = 120,
        start_before: str = "",
        problems: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.services = services
        self.start_window = timedelta(minutes=start_window_minutes)
        self.start_before = start_before
        self.problems = list(problems)

    def run_step(self, context: Context) -> list[dict[str, Any]]:
        settings = Settings.load()
        # Their defaults would back up more than was asked for, also in a DAG that passes no problems.
        choice = [each.sentence for each in settings.problems if each.option in ("include", "exclude")]
        refuse_bad_options(dict.fromkeys([*self.problems, *choice]))
        if context["ti"].dag_id == NIGHTLY:
            self._log_schedule(settings)
        refuse_backup_run(context, self.start_window, self.start_before)
        named = self.services.split() if isinstance(self.services, str) else self.services
        listing = list_services(self.drivers())
        unread = self._unread(context, listing)
        chosen, jobs = backup_jobs(choose(listing, named, settings.includes), listing, first_moment(context))
        context["ti"].xcom_push(key=ALL_SERVICES, value=[each.to_xcom() for each in chosen])
        context["ti"].xcom_push(key=UNREAD, value=[] if named else unread)
        self.log.info("To be backed up: %s", ", ".join(each.service for each in jobs) or "none")
        return [each.to_xcom() for each in jobs]

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
