"""What can be configured, in the Airflow section ``[biztalk_services]``.

Every option can be set in ``airflow.cfg`` or as ``AIRFLOW__BIZTALK_SERVICES__<OPTION>``, and is shown by ``airflow
config list``.
"""

from __future__ import annotations

from configparser import InterpolationError
from dataclasses import dataclass, field, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

SECTION = "biztalk_services"
_MARGIN = timedelta(minutes=30)
"""For what a wait does not count: tries that fail, a scheduler that is away for a while."""


def _option(default: str | int, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class Settings:
    """The options, typed, each with its default and its explanation."""

    conn_id: str = _option("biztalk_default", "Connection to the subscription that is backed up.")
    storage_conn_id: str = _option(
        "biztalk_backup_storage", "Azure Blob Storage connection that receives the backups and the catalog."
    )
    tracking_conn_id: str = _option(
        "biztalk_tracking_{service}",
        "SQL connection to a service's tracking database; {service} stands for its name in lower case.",
    )
    catalog_container: str = _option("biztalk-backup-catalog", "Container that holds the backup references.")
    include: str = _option("*", "Names of the services to back up at night: patterns, separated by blanks.")
    exclude: str = _option("", "Names of the services to leave out at night: patterns, separated by blanks.")
    schedule: str = _option("0 2 * * *", "Cron expression of the nightly backup.")
    timezone: str = _option("Europe/Berlin", "Time zone of the schedule, by its IANA name.")
    latest_start_minutes: int = _option(
        120, "A scheduled run that starts later than this after its time, for example after an outage, is refused."
    )
    services_at_once: int = _option(
        3,
        "How many services are backed up at the same time. One that had to wait for its batches goes on at once, so "
        "for a while there may be more.",
    )
    drain_query: str = _option(
        "",
        "SQL query that lists the batches that hold messages (columns agreement, batch, messages, oldest). "
        "It may use the service's name, as the database driver writes a parameter: :service or %(service)s (in "
        "airflow.cfg write %% for %). Empty: the query for the emulator's tracking schema.",
    )
    drain_deadline_minutes: int = _option(30, "How long to wait for batches before a service is given up.")
    unknown_patience_seconds: int = _option(
        60, "How long a tracking database may fail to answer before its batches count as unknown."
    )
    suspend_deadline_minutes: int = _option(15, "How long a service may take to suspend.")
    backup_deadline_minutes: int = _option(90, "How long a backup may take; the service itself may need up to 60.")
    resume_deadline_minutes: int = _option(15, "How long a service may take to resume.")
    suspension_grace_minutes: int = _option(
        30,
        "How much longer than all its deadlines together a run that has not ended may keep a service suspended; then "
        "the watchdog brings it back.",
    )
    watchdog_schedule: str = _option("* * * * *", "Cron expression of the watchdog over suspended services.")
    watchdog_pool: str = _option(
        "biztalk_watchdog", "Airflow pool of the watchdog, for nothing else, so that it never waits for a free slot."
    )
    trouble_patience_seconds: int = _option(
        300, "How long a wait puts up with a service that does not answer properly."
    )
    night_deadline_minutes: int = _option(
        240, "An alert fires when a nightly run takes longer; a service that has not had its turn by then is given up."
    )
    acs_conn_id: str = _option(
        "biztalk_acs_{namespace}",
        "Connection to the Access Control namespace of a service, which guards its partner management; {namespace} "
        "stands for its name in lower case.",
    )
    sql_conn_id: str = _option(
        "biztalk_sql_{database}",
        "Connection with server, database, user and password as a service itself uses its tracking database; "
        "{database} stands for its name in lower case.",
    )
    store_conn_id: str = _option(
        "biztalk_store_{account}",
        "Azure Blob Storage connection to an archiving or monitoring store; {account} stands for its name.",
    )
    control_number_query: str = _option(
        "",
        "SQL query that lists the control numbers given out since :since (columns agreement, kind, highest, latest, "
        "used, last_used). Empty: the query for the emulator's tracking schema.",
    )
    approval_hours: int = _option(24, "How long a restore waits for somebody to approve its plan.")
    delete_deadline_minutes: int = _option(30, "How long a service may take to be deleted.")
    name_deadline_minutes: int = _option(
        120, "How long to wait for the name of a deleted service to be free again; it may take longer than wanted."
    )
    restore_deadline_minutes: int = _option(120, "How long a restore may take.")
    alert_conn_id: str = _option(
        "", "Connection whose URL receives alerts as JSON (a webhook). Empty: alerts are only logged."
    )

    @classmethod
    def load(cls) -> Settings:
        """Read the section from Airflow's configuration; what is not set there has its default."""
        from airflow.sdk.configuration import conf

        def text(section: str, name: str, fallback: str) -> str:
            try:
                return conf.get(section, name, fallback=fallback)
            except InterpolationError:  # a % that was not doubled
                return conf.get(section, name, fallback=fallback, raw=True)

        return cls(
            **{
                option.name: (conf.getint if isinstance(option.default, int) else text)(
                    SECTION, option.name, fallback=option.default
                )
                for option in fields(cls)
            }
        )

    @property
    def night_deadline(self) -> timedelta:
        return timedelta(minutes=self.night_deadline_minutes)

    @property
    def longest_way_to_suspension(self) -> timedelta:
        """How long a service may wait for its turn and its batches."""
        return timedelta(minutes=self.night_deadline_minutes + self.drain_deadline_minutes) + _MARGIN

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

    def tracking_conn_id_of(self, service: str) -> str:
        """Connection id of the tracking database of this service."""
        return self.tracking_conn_id.replace("{service}", service.lower())


def _matches_any(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns.replace(",", " ").split())
