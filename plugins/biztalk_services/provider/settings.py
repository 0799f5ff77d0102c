"""What can be configured, in the Airflow section ``[biztalk_services]``.

Every option can be set in ``airflow.cfg`` or as ``AIRFLOW__BIZTALK_SERVICES__<OPTION>``, and is shown by ``airflow
config list``. The options of the drivers are in the same section.
"""

from __future__ import annotations

from collections.abc import Iterator
from configparser import InterpolationError
from dataclasses import Field, asdict, dataclass, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.model.options import option

SECTION = "biztalk_services"
DRIVER_OPTIONS = (BizTalkOptions,)
"""The options of each driver."""

_MARGIN = timedelta(minutes=30)
"""For what a wait does not count: tries that fail, a scheduler that is away for a while."""


@dataclass(frozen=True)
class Settings:
    """The options, typed, each with its default and its explanation."""

    conn_id: str = option("biztalk_default", "Connection to the subscription that is backed up.")
    storage_conn_id: str = option(
        "biztalk_backup_storage", "Azure Blob Storage connection that receives the backups and the catalog."
    )
    catalog_container: str = option("biztalk-backup-catalog", "Container that holds the backup references.")
    include: str = option("*", "Names of the services to back up at night: patterns, separated by blanks.")
    exclude: str = option("", "Names of the services to leave out at night: patterns, separated by blanks.")
    schedule: str = option("0 2 * * *", "Cron expression of the nightly backup.")
    timezone: str = option("Europe/Berlin", "Time zone of the schedule, by its IANA name.")
    start_window_minutes: int = option(
        120, "A scheduled run that starts later than this after its time, for example after an outage, is refused."
    )
    completion_window_minutes: int = option(
        240, "An alert is sent when a nightly run takes longer; a service that has no slot by then is given up."
    )
    max_concurrent_backups: int = option(
        3,
        "How many services are backed up at the same time. One that had to wait for its batches goes on at once, so "
        "for a while there may be more.",
    )
    drain_deadline_minutes: int = option(30, "How long to wait for batches before a service is given up.")
    drain_error_tolerance_seconds: int = option(
        60, "How long checks of the batches may fail before the batch status counts as unknown."
    )
    suspend_deadline_minutes: int = option(15, "How long a service may take to suspend.")
    backup_deadline_minutes: int = option(90, "How long a backup may take; the service itself may need up to 60.")
    resume_deadline_minutes: int = option(15, "How long a service may take to resume.")
    suspension_grace_minutes: int = option(
        30,
        "How much longer than all its deadlines together an active run may keep a service suspended; then the watchdog "
        "resumes it.",
    )
    watchdog_schedule: str = option("* * * * *", "Cron expression of the watchdog over suspended services.")
    watchdog_pool: str = option(
        "biztalk_watchdog", "Airflow pool of the watchdog, for nothing else, so that it never waits for a free slot."
    )
    poll_error_tolerance_seconds: int = option(300, "How long polls in a row may fail before a wait fails.")
    approval_hours: int = option(24, "How long a restore waits for the approval of its plan.")
    delete_deadline_minutes: int = option(30, "How long a service may take to be deleted.")
    name_deadline_minutes: int = option(
        120,
        "How long to wait for the name of a deleted service to be free again; the platform may hold it for a while.",
    )
    restore_deadline_minutes: int = option(120, "How long a restore may take.")
    alert_conn_id: str = option(
        "", "Connection whose URL receives alerts as JSON (a webhook). Empty: alerts are only logged."
    )

    @classmethod
    def load(cls) -> Settings:
        """Read the section from Airflow's configuration; what is not set there has its default."""
        settings: Settings = _load(cls)
        return settings

    @property
    def archive(self) -> str:
        """The archive as operators take it: storage connection and container."""
        return f"{self.storage_conn_id}/{self.catalog_container}"

    @property
    def completion_window(self) -> timedelta:
        return timedelta(minutes=self.completion_window_minutes)

    @property
    def longest_wait_before_suspension(self) -> timedelta:
        """How long a service may wait for its slot and its batches."""
        return timedelta(minutes=self.completion_window_minutes + self.drain_deadline_minutes) + _MARGIN

    @property
    def longest_suspension(self) -> timedelta:
        """How long a service that is backed up may be suspended, when every wait takes as long as it may."""
        return timedelta(
            minutes=self.suspend_deadline_minutes + self.backup_deadline_minutes + self.resume_deadline_minutes
        )

    @property
    def longest_step(self) -> timedelta:
        """How long may pass between two steps that change a service, when a wait takes as long as it may."""
        waits = (
            self.drain_deadline_minutes + self.suspend_deadline_minutes,
            self.backup_deadline_minutes,
            self.delete_deadline_minutes + self.name_deadline_minutes,
            self.restore_deadline_minutes,
        )
        return timedelta(minutes=max(waits)) + _MARGIN

    def includes(self, service: str) -> bool:
        """Whether a service of this name is backed up at night."""
        return _matches_any(service, self.include) and not _matches_any(service, self.exclude)


def driver_options() -> dict[str, Any]:
    """The options of all drivers, as the configuration sets them."""
    return {name: value for kind in DRIVER_OPTIONS for name, value in asdict(_load(kind)).items()}


def all_options() -> Iterator[Field[Any]]:
    """Every option of the section."""
    for kind in (Settings, *DRIVER_OPTIONS):
        yield from fields(kind)


def _load(kind: Any) -> Any:
    from airflow.sdk.configuration import conf

    def value(each: Field[Any]) -> Any:
        if isinstance(each.default, int):
            return conf.getint(SECTION, each.name, fallback=each.default)
        try:
            return conf.get(SECTION, each.name, fallback=each.default)
        except InterpolationError:  # a % that was not doubled
            return conf.get(SECTION, each.name, fallback=each.default, raw=True)

    return kind(**{each.name: value(each) for each in fields(kind)})


def _matches_any(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns.replace(",", " ").split())
