"""Finds services: one by its address, or those of a backup run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from biztalk_services.drivers.base import Driver
from biztalk_services.model.backup import backup_name
from biztalk_services.model.checks import Check, RefusedError, refuse_if_broken
from biztalk_services.model.errors import ServiceNotFoundError
from biztalk_services.model.service import Service, ServiceRef
from biztalk_services.model.steps import BackupJob, ChosenService


def find_service(driver: Driver, ref: ServiceRef) -> Service | None:
    """The service as it is now; None when there is none at this address."""
    try:
        return driver.get_service(ref)
    except ServiceNotFoundError:
        return None


def find_services(
    driver: Driver, *, named: Collection[str], includes: Callable[[str], bool], at: datetime
) -> tuple[list[ChosenService], list[BackupJob]]:
    """The services that are chosen for a run, and a job for each that may have backups.

    :param named: names of services; empty: all that the configuration includes.
    :param includes: whether the configuration includes a name.
    :param at: moment that the names of the backups follow from, aware.
    :raises RefusedError: the subscription does not have a named service, or two chosen services have one name.
    """
    chosen = _choose(driver.list_services(), named, includes)
    _refuse_same_names(chosen)
    services = [
        ChosenService(str(each.ref), each.ref.scope, each.ref.name, each.region, each.edition) for each in chosen
    ]
    jobs = [
        BackupJob(str(each.ref), backup_name(each.ref.name, at)) for each in chosen if each.has_backups is not False
    ]
    return services, jobs


def refuse_missed_start(scheduled: datetime, window: timedelta) -> None:
    """Refuse a scheduled run that starts too late, for example after an outage.

    :param scheduled: when it was due, aware.
    :raises RefusedError: the run missed its start window.
    """
    late = datetime.now(UTC) - scheduled
    if late > window:
        message = (
            f"The run missed its start window (scheduled {scheduled:%Y-%m-%d %H:%M} UTC, "
            f"{late.total_seconds() / 60:.0f} minutes late, limit {window.total_seconds() / 60:.0f}; option "
            "start_window_minutes). Start a run by hand if the missed backups are wanted now."
        )
        raise RefusedError([Check("start-window", False, message, "configuration")], "the run")


def _choose(existing: list[Service], named: Collection[str], includes: Callable[[str], bool]) -> list[Service]:
    wanted = {name.lower() for name in named}
    if not wanted:
        return [service for service in existing if includes(service.ref.name)]
    unknown = sorted(wanted - {service.ref.name.lower() for service in existing})
    if unknown:
        there = ", ".join(service.ref.name for service in existing) or "none at all"
        message = f"The subscription has no service {', '.join(unknown)}; it has {there}. Nothing was done."
        raise RefusedError([Check("service-exists", False, message, "form of the run")], "the run")
    return [service for service in existing if service.ref.name.lower() in wanted]


def _refuse_same_names(services: Sequence[Service]) -> None:
    """Backup, catalog entry and lock are found by the name of the service alone."""
    by_name: dict[str, list[Service]] = {}
    for service in services:
        by_name.setdefault(service.ref.name.lower(), []).append(service)
    messages = (
        f"{' and '.join(str(service.ref) for service in same)} have the same name; their backups would collide. Leave "
        "one of them out (option exclude), and back it up by another Airflow."
        for same in by_name.values()
        if len(same) > 1
    )
    refuse_if_broken((Check("names-differ", False, message, "archive layout") for message in messages), "the run")
