"""Finds the services of a backup run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.find import find_services, refuse_missed_start
from biztalk_services.provider.base import RetriedOperator
from biztalk_services.provider.settings import Settings

ALL_SERVICES = "all_services"
"""XCom key: every chosen service, also those that have no backups."""


class FindServicesOperator(RetriedOperator):
    """Finds the services of a subscription that are to be backed up.

    XCom ``return_value``: a :class:`biztalk_services.model.steps.BackupJob` for each service that may have backups,
    ready to expand a task group. XCom ``all_services``: a :class:`biztalk_services.model.steps.ChosenService` for each
    chosen service.

    Refused, before anything is done: names that the subscription does not have, two services of one name, and a
    scheduled run that missed its start window.

    **Idempotency:** only reads. The names of the backups follow from the run, so that another try finds the same.

    :param services: names of the services, in a list or separated by blanks; empty: all that the configuration includes
    :param start_window_minutes: how late a scheduled run may start
    """

    template_fields = (*RetriedOperator.template_fields, "services")

    def __init__(self, *, services: Sequence[str] | str = (), start_window_minutes: float = 120, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.services = services
        self.start_window = timedelta(minutes=start_window_minutes)

    def run_step(self, context: Context) -> list[dict[str, Any]]:
        run = context["dag_run"]
        if run.run_type == "scheduled":
            refuse_missed_start(run.run_after, self.start_window)
        named = self.services.split() if isinstance(self.services, str) else self.services
        chosen, jobs = find_services(self.connect(), named=named, includes=Settings.load().includes, at=run.run_after)
        context["ti"].xcom_push(key=ALL_SERVICES, value=[each.to_xcom() for each in chosen])
        self.log.info("To be backed up: %s", ", ".join(each.service for each in jobs) or "none")
        return [each.to_xcom() for each in jobs]
