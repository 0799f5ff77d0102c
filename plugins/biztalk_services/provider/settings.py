"""What can be configured, in the Airflow section ``[biztalk_services]``.

Every option can be set in ``airflow.cfg`` or as ``AIRFLOW__BIZTALK_SERVICES__<OPTION>``, and is shown by ``airflow
config list``. The options of the drivers are in the same section. Reading them never fails: a bad option has its
default, and a sentence says what is wrong with it (:attr:`Settings.problems`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import InterpolationError
from dataclasses import Field, asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.model.options import (
    BACKUP_AGE,
    CHECK,
    EVERY_DAG,
    NIGHTLY,
    RESTORE,
    SECTION,
    WATCHDOG,
    Problem,
    each_matches,
    matches,
    option,
    options_of,
    problem,
    read_option,
    shown,
    split,
)
from biztalk_services.model.requests import LONGEST_APPROVAL_HOURS, LONGEST_DRAIN_MINUTES
from biztalk_services.provider.schedule import NONE, Schedule, broken_schedule, broken_zone

DRIVER_OPTIONS = (BizTalkOptions,)
"""The options of each driver."""

WATCHDOG_POOL = "biztalk_watchdog"
"""Airflow pool of the watchdogs, for nothing else, so that they never wait for a free slot."""

_BACKUP_AND_RESTORE = (NIGHTLY, RESTORE)

_MARGIN = timedelta(minutes=30)
"""For what a wait does not count: tries that fail, a scheduler that is away for a while."""

_CONNECTION_ID = r"(?=.*[A-Za-z])[A-Za-z0-9._-]{1,250}"
_CONNECTION = matches(_CONNECTION_ID, "a connection id: letters, digits, '.', '_' and '-'")
_CONTAINER = matches(
    r"(?=.*[a-z])(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*",
    "the name of a container: 3 to 63 lower-case letters, digits and single '-'",
)
_SERVICE_PATTERNS = each_matches(
    r"(?=.*[A-Za-z*?])([A-Za-z0-9._*?-]|\[!?[A-Za-z0-9._-]+\])+(/([A-Za-z0-9._*?-]|\[!?[A-Za-z0-9._-]+\])+){0,2}",
    "names or patterns of services (letters, digits, '.', '_', '-', and '*', '?', '[...]'), each as name, scope/name "
    "or connection/scope/name",
)
_LONGEST_BETWEEN_CHECKS = {"watchdog_schedule": timedelta(hours=1), "backup_age_schedule": timedelta(hours=24)}
_SHORTEST_BETWEEN_BACKUPS = timedelta(minutes=15)


def _schedule(text: str) -> str | None:
    """The rule of the nightly schedule: a service is suspended for each of its runs."""
    if text == NONE:
        return None
    if broken := broken_schedule(text):
        return f"{broken}; or {NONE}, for no schedule"
    schedule = Schedule(text, "UTC")
    if schedule.closest() < _SHORTEST_BETWEEN_BACKUPS:
        minutes = _SHORTEST_BETWEEN_BACKUPS.total_seconds() / 60
        return f"it has to leave {minutes:.0f} minutes between two backups; this one is read as: {schedule.words}"
    return None


def _checks(name: str) -> Any:
    def rule(text: str) -> str | None:
        if broken := broken_schedule(text):
            return broken
        allowed = _LONGEST_BETWEEN_CHECKS[name]
        if gap := Schedule(text, "UTC").longest_gap(allowed, _this_year()):
            return f"there has to be a check every {allowed.total_seconds() / 3600:.0f} hours; it leaves {gap}"
        return None

    return rule


def _expected(text: str) -> str | None:
    try:
        ExpectedBackups.parse(text)
    except ValueError as error:
        return str(error).rstrip(".")
    return None


def _bundle(text: str) -> str | None:
    try:
        path = Path(text).expanduser()
        is_there = path.is_absolute() and path.exists()
    except (OSError, ValueError, RuntimeError):
        is_there = False
    return None if is_there else "it has to be the whole path of a PEM file, and this machine has no such file"


@dataclass(frozen=True)
class Settings:
    """The options, typed, each with its default and its explanation.

    :param problems: a sentence for each bad option, those of the drivers included.
    """

    conn_id: str = option(
        "biztalk_default",
        "Connection to the subscription that is backed up; several, separated by blanks, for several subscriptions.",
        dags=EVERY_DAG,
        rule=each_matches(_CONNECTION_ID, "connection ids: letters, digits, '.', '_' and '-'", commas=False),
        example="biztalk_east biztalk_west",
    )
    storage_conn_id: str = option(
        "biztalk_backup_storage",
        "Azure Blob Storage connection that receives the backups and the catalog.",
        dags=EVERY_DAG,
        rule=_CONNECTION,
        example="backups_of_the_east",
    )
    catalog_container: str = option(
        "biztalk-backup-catalog",
        "Container that holds the backup references.",
        dags=EVERY_DAG,
        rule=_CONTAINER,
        example="catalog-of-the-east",
    )
    records_container: str = option(
        "",
        "Container that holds what has to be overwritten and deleted, locks and suspension records, where a policy "
        "forbids that in the catalog's. Empty: the catalog's.",
        dags=EVERY_DAG,
        rule=_CONTAINER,
        example="biztalk-records",
    )
    include: str = option(
        "*",
        "The services to back up at night: patterns of name, scope/name or connection/scope/name, separated by blanks "
        "or commas.",
        dags=(NIGHTLY, BACKUP_AGE, CHECK),
        rule=_SERVICE_PATTERNS,
        example="contoso* fabrikamorders",
    )
    exclude: str = option(
        "",
        "The services to leave out at night: patterns of name, scope/name or connection/scope/name, separated by "
        "blanks or commas.",
        dags=(NIGHTLY, BACKUP_AGE, CHECK),
        rule=_SERVICE_PATTERNS,
        example="test-* contosodev",
    )
    schedule: str = option(
        "0 2 * * *",
        "Cron expression of the nightly backup, of five fields; none: no schedule. One that leaves more time between "
        "two backups than expected_backup_hours is refused.",
        dags=(NIGHTLY,),
        rule=_schedule,
        example="30 1 * * *",
    )
    timezone: str = option(
        "Europe/Berlin",
        "Time zone of the schedule, by its IANA name.",
        dags=(NIGHTLY,),
        rule=broken_zone,
        example="America/New_York",
    )
    expected_backup_hours: str = option(
        "30",
        "How old the newest verified backup of a service may be: hours for all, then pattern=hours or pattern=never by "
        "its name, separated by blanks; the first that fits counts.",
        dags=(BACKUP_AGE,),
        rule=_expected,
        example="30 orders*=26 archive-*=168 test-*=never",
    )
    backup_age_schedule: str = option(
        "*/15 * * * *",
        "Cron expression (UTC) of the watchdog over missing backups: at least once a day.",
        dags=(BACKUP_AGE,),
        rule=_checks("backup_age_schedule"),
        example="0 * * * *",
    )
    start_window_minutes: int = option(
        120,
        "A scheduled run that starts later than this after its time, for example after an outage, is refused.",
        dags=(NIGHTLY,),
        minimum=1,
        maximum=1440,
    )
    completion_window_minutes: int = option(
        240,
        "An alert is sent when a nightly run takes longer; a service whose turn has not come by then is given up.",
        dags=(NIGHTLY,),
        minimum=1,
        maximum=1440,
    )
    max_concurrent_backups: int = option(
        3,
        "How many services may be suspended at the same time for their backups. One that had to wait for its batches "
        "goes on at once, so for a while there may be more.",
        dags=(NIGHTLY,),
        minimum=1,
        maximum=64,
    )
    drain_deadline_minutes: int = option(
        30,
        "How long to wait for batches before a service is given up.",
        dags=_BACKUP_AND_RESTORE,
        minimum=0,
        maximum=LONGEST_DRAIN_MINUTES,
    )
    drain_error_tolerance_seconds: int = option(
        60,
        "How long checks of the batches may fail, or one may take, before the batch status counts as unknown.",
        dags=_BACKUP_AND_RESTORE,
        minimum=0,
        maximum=3600,
    )
    suspend_deadline_minutes: int = option(
        15, "How long a service may take to suspend.", dags=_BACKUP_AND_RESTORE, minimum=1, maximum=240
    )
    backup_deadline_minutes: int = option(
        90,
        "How long a backup may take; the service itself may need up to 60.",
        dags=_BACKUP_AND_RESTORE,
        minimum=1,
        maximum=720,
    )
    resume_deadline_minutes: int = option(
        15, "How long a service may take to resume.", dags=_BACKUP_AND_RESTORE, minimum=1, maximum=240
    )
    suspension_grace_minutes: int = option(
        30,
        "How much longer than all its deadlines together an active run may keep a service suspended; then the watchdog "
        "resumes it.",
        dags=(WATCHDOG,),
        minimum=0,
        maximum=720,
    )
    watchdog_schedule: str = option(
        "* * * * *",
        "Cron expression (UTC) of the watchdog over suspended services: at least once an hour.",
        dags=(WATCHDOG,),
        rule=_checks("watchdog_schedule"),
        example="*/2 * * * *",
    )
    poll_error_tolerance_seconds: int = option(
        300,
        "How long polls in a row may fail, or one may take, before a wait fails.",
        dags=_BACKUP_AND_RESTORE,
        minimum=0,
        maximum=3600,
    )
    approval_hours: int = option(
        24,
        "How long a restore waits for the approval of its plan.",
        dags=(RESTORE,),
        minimum=1,
        maximum=LONGEST_APPROVAL_HOURS,
    )
    delete_deadline_minutes: int = option(
        30, "How long a service may take to be deleted.", dags=(RESTORE,), minimum=1, maximum=720
    )
    name_deadline_minutes: int = option(
        120,
        "How long to wait for the name of a deleted service to be free again; the platform may hold it for a while.",
        dags=(RESTORE,),
        minimum=1,
        maximum=240,
    )
    restore_deadline_minutes: int = option(120, "How long a restore may take.", dags=(RESTORE,), minimum=1, maximum=720)
    first_numbers: int = option(
        20,
        "How many control numbers of each agreement and kind to look at after a restored service was resumed: whether "
        "one was used before; 0: none.",
        dags=(RESTORE,),
        minimum=0,
        maximum=10000,
    )
    first_numbers_minutes: int = option(
        30,
        "How long to wait for these numbers; what did not come by then is reported as not confirmed.",
        dags=(RESTORE,),
        minimum=1,
        maximum=1440,
    )
    alert_conn_id: str = option(
        "",
        "Connection whose URL receives alerts as JSON (a webhook). Empty: alerts are only logged.",
        dags=EVERY_DAG,
        rule=_CONNECTION,
        example="biztalk_alerts",
    )
    ca_bundle: str = option(
        "",
        "Path of a PEM file with the CA certificates to trust in every TLS connection, where those of the system do "
        "not suffice; the field of the same name of a connection goes before it.",
        dags=EVERY_DAG,
        rule=_bundle,
        example="/etc/ssl/certs/ca-certificates.crt",
    )
    problems: tuple[Problem, ...] = field(default=())

    @classmethod
    def load(cls) -> Settings:
        """Read the section from Airflow's configuration; what is not set there, or badly, has its default."""
        texts = _texts(_names())
        values, problems = _read(cls, texts)
        for kind in DRIVER_OPTIONS:
            problems += _read(kind, texts)[1]
        problems += _unknown(texts)
        for broken in _contradictions(values, {each.option for each in problems}):
            if broken.option == "schedule":  # an exclude that leaves nothing stays: its default would leave everything
                values.pop(broken.option)
            problems.append(broken)
        return cls(**values, problems=tuple(problems))

    def problems_of(self, dag_id: str) -> tuple[str, ...]:
        """The sentences about bad options that belong to a DAG."""
        return tuple(each.sentence for each in self.problems if dag_id in each.dags)

    @property
    def conn_ids(self) -> tuple[str, ...]:
        """The connections to the subscriptions."""
        return tuple(self.conn_id.split())

    @property
    def archive(self) -> str:
        """The archive as operators take it: storage connection, container of the catalog, and that of the records
        where it is another."""
        records = "" if self.records_container in ("", self.catalog_container) else f"/{self.records_container}"
        return f"{self.storage_conn_id}/{self.catalog_container}{records}"

    @property
    def nightly_schedule(self) -> Schedule | None:
        """When the nightly backup runs; None when it is only started by hand."""
        return None if self.schedule == NONE else Schedule(self.schedule, self.timezone)

    @cached_property
    def expected_backups(self) -> ExpectedBackups:
        """How old the newest backup of each service may be."""
        return ExpectedBackups.parse(self.expected_backup_hours)

    @property
    def completion_window(self) -> timedelta:
        return timedelta(minutes=self.completion_window_minutes)

    @property
    def max_active_backups(self) -> int:
        """How many services have a run at the same time: as many again as may be suspended, ten at least, so that the
        next ones are checked beforehand, and those that wait for their batches are in nobody's way."""
        return self.max_concurrent_backups + max(self.max_concurrent_backups, 10)

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
    def longest_service_run(self) -> timedelta:
        """How long the run of a service may take that begins at the end of the window."""
        return self.longest_wait_before_suspension + self.longest_suspension

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
        """Whether a service is backed up at night.

        :param service: ``connection/scope/name``, or the last parts of that. A pattern is compared with as many parts
            as it has, from the end.
        """
        return _matches_any(service, self.include) and not _matches_any(service, self.exclude)


def driver_options() -> dict[str, Any]:
    """The options of all drivers, as the configuration sets them, and the CAs that their connections trust."""
    own: dict[str, Any] = {}
    for kind in DRIVER_OPTIONS:
        own |= asdict(kind(**_read(kind, _texts(each.name for each in options_of(kind)))[0]))
    return {"ca_bundle": ca_bundle(), **own}


def ca_bundle() -> str:
    """The option of this name. Every step needs it, and none of what :meth:`Settings.load` checks beside."""
    return str(_read(Settings, _texts(["ca_bundle"]))[0]["ca_bundle"])


def all_options() -> Iterator[Field[Any]]:
    """Every option of the section."""
    for kind in (Settings, *DRIVER_OPTIONS):
        yield from options_of(kind)


def _names() -> list[str]:
    """Every option, and every other name that the configuration sets in the section."""
    from airflow.sdk.configuration import conf

    names = [each.name for each in all_options()]
    if conf.has_section(SECTION):
        names += conf.options(SECTION)
    prefix = f"AIRFLOW__{SECTION.upper()}__"
    names += [name.removeprefix(prefix).lower() for name in os.environ if name.startswith(prefix)]
    return list(dict.fromkeys(names))


def _texts(names: Iterable[str]) -> dict[str, str]:
    """What the configuration sets, by the name of the option."""
    from airflow.sdk.configuration import conf

    texts = {}
    for name in names:
        try:
            text = conf.get(SECTION, name, fallback="")
        except InterpolationError:  # a % that was not doubled
            text = conf.get(SECTION, name, fallback="", raw=True)
        texts[name] = text or ""
    return texts


def _read(kind: type, texts: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The values of a dataclass of options, and what is wrong with the texts that set them."""
    values, problems = {}, []
    for each in options_of(kind):
        values[each.name], broken = read_option(each, texts.get(each.name, ""))
        problems += [broken] if broken else []
    return values, problems


def _unknown(texts: Mapping[str, str]) -> list[Problem]:
    """Names that are set and mean nothing: a night that should leave a service out, and does not, is worse than
    none."""
    known = [each.name for each in all_options()]
    found = []
    for name in sorted(set(texts) - set(known)):
        if texts[name].strip():
            close = get_close_matches(name, known, n=1)
            meant = f"Do you mean {close[0]}? " if close else ""
            sentence = (
                f"There is no option {shown(name)} in [{SECTION}]. {meant}Correct its name, or remove it; "
                "docs/configuration.md lists all of them."
            )
            found.append(Problem(name, (NIGHTLY, CHECK), sentence))
    return found


def _contradictions(values: Mapping[str, Any], bad: set[str]) -> Iterator[Problem]:
    """What is wrong with options that are right one by one.

    :param bad: names of the options that have their defaults because they are wrong.
    """
    options = {each.name: each for each in options_of(Settings)}
    include, exclude = split(values["include"]), split(values["exclude"])
    plain = [pattern for pattern in exclude if not set("?[") & set(pattern)]
    if exclude and all(_matches_any(name, " ".join(plain)) for name in include):
        broken = f"it leaves out everything that include names ({shown(values['include'])})"
        yield problem(options["exclude"], values["exclude"], broken)
    strictest = ExpectedBackups.parse(values["expected_backup_hours"]).strictest()
    if values["schedule"] == NONE or strictest is None or bad & {"schedule", "timezone", "expected_backup_hours"}:
        return
    pattern, allowed = strictest
    schedule = Schedule(values["schedule"], values["timezone"])
    if gap := schedule.longest_gap(allowed, _this_year()):
        of = "" if pattern == "*" else f" of services named {pattern}"
        sentence = (
            f"Option schedule is {shown(schedule.expression)}, read as: {schedule.words} ({schedule.timezone}). It "
            f"leaves {gap}, without a backup{of}; expected_backup_hours allows {allowed.total_seconds() / 3600:g} "
            f"hours. Correct one of the two; with {NONE} as schedule runs are started by hand only."
        )
        yield Problem("schedule", options["schedule"].metadata["dags"], sentence)


def _this_year() -> datetime:
    """When schedules are watched from: the same moment for a long time, so that a DAG does not change with it."""
    return datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)


def _matches_any(service: str, patterns: str) -> bool:
    return any(_matches(service.lower().split("/"), pattern.lower().split("/")) for pattern in split(patterns))


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    last = parts[-len(patterns) :]
    return len(last) == len(patterns) and all(map(fnmatchcase, last, patterns))
