"""Finds the services of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from biztalk_services.drivers.biztalk.backup_rules import lacks_backups
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.model.backup import backup_name
from biztalk_services.model.checks import Check, RefusedError, refuse_if_broken
from biztalk_services.operators.step import AdvicePolicy, failure_told
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.model.service import Service

ALL_SERVICES = "all_services"
"""XCom key: every chosen service, also those that have no backups."""


class BizTalkFindServicesOperator(BaseOperator):
    """
    Finds the services of a subscription that are to be backed up.

    XCom ``return_value``: for each service that may have backups ``service`` (address), ``backup_name`` and
    ``tracking_conn_id``, ready to expand a task group. XCom ``all_services``: for each chosen service ``service``
    (address), ``cloud_service``, ``name``, ``region`` and ``edition``.

    Refused, before anything is done: names that the subscription does not have, two services of one name, and a
    scheduled run that starts too late.

    **Idempotency:** only reads. The names of the backups follow from the run, so that another try finds the same.

    :param services: names of the services, in a list or separated by blanks; empty: all that the configuration includes
    :param conn_id: connection to the subscription
    """

    template_fields = ("services", "conn_id")

    def __init__(self, *, services: Sequence[str] | str = (), conn_id: str = "biztalk_default", **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)
        self.services = services
        self.conn_id = conn_id

    def execute(self, context: Context) -> list[dict[str, str]]:
        settings, started = Settings.load(), context["dag_run"].run_after
        with failure_told(context):
            if context["dag_run"].run_type == "scheduled":
                _refuse_late_start(started, settings)
            chosen = self._choose(hook_for(self.conn_id).list_services(), settings)
            _refuse_same_names(chosen)
        context["ti"].xcom_push(key=ALL_SERVICES, value=[_described(service) for service in chosen])
        found = [
            {
                "service": str(service.address),
                "backup_name": backup_name(service.address.name, started),
                "tracking_conn_id": settings.tracking_conn_id_of(service.address.name),
            }
            for service in chosen
            if not lacks_backups(service.edition)
        ]
        self.log.info("To be backed up: %s", ", ".join(target["service"] for target in found) or "none")
        return found

    def _choose(self, existing: list[Service], settings: Settings) -> list[Service]:
        names = self.services.split() if isinstance(self.services, str) else self.services
        wanted = {name.lower() for name in names}
        if not wanted:
            return [service for service in existing if settings.includes(service.address.name)]
        unknown = sorted(wanted - {service.address.name.lower() for service in existing})
        if unknown:
            there = ", ".join(service.address.name for service in existing) or "none at all"
            sentence = f"The subscription has no service {', '.join(unknown)}; it has {there}. Nothing was done."
            raise RefusedError([Check("service-exists", False, sentence, "form of the run")], "the run")
        return [service for service in existing if service.address.name.lower() in wanted]


def _refuse_late_start(planned: datetime, settings: Settings) -> None:
    late = datetime.now(UTC) - planned
    if late > timedelta(minutes=settings.latest_start_minutes):
        sentence = (
            f"The run was planned for {planned:%Y-%m-%d %H:%M} UTC and starts {late.total_seconds() / 60:.0f} minutes "
            f"late; services are not suspended later than {settings.latest_start_minutes} minutes after that (option "
            "latest_start_minutes). Start a run by hand when the missed backups are wanted now."
        )
        raise RefusedError([Check("latest-start", False, sentence, "configuration")], "the run")


def _refuse_same_names(services: Sequence[Service]) -> None:
    """Backup, catalog entry and tracking connection are found by the name of the service alone."""
    by_name: dict[str, list[Service]] = {}
    for service in services:
        by_name.setdefault(service.address.name.lower(), []).append(service)
    violations = [
        Check(
            "names-differ", False,
            f"{' and '.join(str(service.address) for service in same)} have the same name, so that their backups would "
            "meet. Leave one of them out (option exclude), and back it up by another Airflow.",
            "catalog layout",
        )
        for same in by_name.values()
        if len(same) > 1
    ]
    refuse_if_broken(violations, "the run")


def _described(service: Service) -> dict[str, Any]:
    return {
        "service": str(service.address),
        "cloud_service": service.address.cloud_service,
        "name": service.address.name,
        "region": service.region,
        "edition": service.edition,
    }
