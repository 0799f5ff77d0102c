"""A night from outside: what of it is done, at work and waiting, when it ends, how the last one was.

Its plan and its end are recorded in the archive by the run that carries it out; nothing here needs Airflow. A record
that cannot be written or read stops no night: the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

from biztalk_services.archive.errors import StorageError
from biztalk_services.flows.backup_report import BACKED_UP, FAILED, NOT_BEGUN, BackupOutcome
from biztalk_services.flows.forecast import NO_FORECAST, Forecast, forecast, similar_sizes
from biztalk_services.model.backup import moment_in_name
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.listing import Wanted
from biztalk_services.model.night import Night, NightEnd
from biztalk_services.model.plain import to_plain
from biztalk_services.model.run import Run
from biztalk_services.model.steps import BackupJob
from biztalk_services.model.wording import how_many, in_utc

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.nights import KnownNight

log = logging.getLogger(__name__)

_EARLIER = 10
"""So many nights the estimate is from."""
_LATELY = 2
"""Months in which the night of a run that goes on may have begun: where a month begins, the one before counts too."""
_OTHER_CLOCKS = timedelta(minutes=5)
"""How much the clock of the storage account, which dates the locks, may be behind."""
_LONGEST = timedelta(days=2)
"""A night without an end that began before that is not under way any more: its run died, with its Airflow."""


@dataclass(frozen=True)
class Progress:
    """How far a night is.

    :param done: how many services have ended, ``failed`` of them without a backup.
    :param at_work: how many have begun and not ended.
    """

    services: int
    done: int
    failed: int
    at_work: int

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return max(self.services - self.done - self.at_work, 0)

    def sentence(self) -> str:
        failed = f" ({self.failed} failed)" if self.failed else ""
        return (
            f"{self.done} of {how_many(self.services, 'service')} done{failed}, {self.at_work} at work, "
            f"{self.waiting} waiting."
        )

    @property
    def is_over(self) -> bool:
        """Whether all services have ended."""
        return not (self.at_work or self.waiting)


def begin_night(
    archive: Callable[[], Archive],
    run: Run,
    jobs: Sequence[BackupJob],
    at: datetime,
    max_parallel: int,
    kind: str = "nightly",
) -> None:
    """Record the plan of a night. A retry whose services are all of the night that has begun writes nothing, and the
    night keeps its beginning.

    :param jobs: the services that are not backed up yet, also those that must not be.
    :param at: now, aware.
    :param max_parallel: how many services may be suspended at the same time.
    :param kind: of the backups.
    """
    with _never_stops(f"The plan of the night of {run} was not recorded, so that nobody can see how far it is."):
        services: dict[str, dict[str, str]] = {}
        for job in jobs:
            services.setdefault(job.conn_id, {})[job.service] = job.backup_name
        opened = archive()
        begun = _of_run(opened, run, at)
        planned = opened.nights.plan(begun).services if begun else {}
        is_new = any(some.items() - planned.get(conn_id, {}).items() for conn_id, some in services.items())
        if begun is None or is_new:
            opened.nights.begin(Night(run, kind, at, max_parallel, services))


def end_night(
    archive: Callable[[], Archive], run: Run, outcomes: Iterable[BackupOutcome], at: datetime | None = None
) -> None:
    """Record how a night ended. Nothing where its plan was not recorded, or its end was before.

    :param outcomes: of all services that were chosen; those that the night does not have do not count.
    :param at: when it ended, aware; None: now.
    """
    with _never_stops(f"The end of the night of {run} was not recorded, so that it counts as one that is under way."):
        at = at or datetime.now(UTC)
        opened = archive()
        if begun := _of_run(opened, run, at):
            plan = opened.nights.plan(begun)
            ends = [each for each in outcomes if f"{each.scope}/{each.service}" in plan.services.get(each.conn_id, {})]
            backed_up, failed = (sum(each.outcome == outcome for each in ends) for outcome in (BACKED_UP, FAILED))
            not_begun = sum((each.reason or "").startswith(NOT_BEGUN) for each in ends)
            opened.nights.end(
                begun,
                NightEnd(run, plan.kind, plan.begun_at, at, plan.max_parallel, plan.size, backed_up, failed, not_begun),
            )


def progress_sentence(
    archive: Callable[[], Archive],
    run: Run,
    *,
    services: int,
    done: int,
    at_work: int,
    failed: int = 0,
    failed_since: Iterable[BackupJob] = (),
    now: datetime | None = None,
) -> str:
    """What of the night of a run is done, at work and waiting, and when it ends.

    :param services: how many the run has; those that its night has not, because they were backed up before, count no
        more.
    :param done: how many of them have ended, ``failed`` of them without a backup; ``at_work``: how many have begun and
        not ended.
    :param failed_since: those of the failed that were not told before; noted in the archive for whoever asks without
        Airflow.
    :param now: aware; None: now.
    """
    now = now or datetime.now(UTC)
    counted = f"{how_many(done, 'service')} done, {at_work} at work."
    with _never_stops("How far the night is cannot be compared with earlier ones."):
        opened = archive()
        begun = _of_run(opened, run, now)
        if begun is None:
            return counted
        for job in failed_since:
            opened.nights.note_failed(begun, job.backup_name)
        plan = opened.nights.plan(begun)
        progress = Progress(plan.size, done - (services - plan.size), failed, at_work)
        ends, invalid = _forecast(opened, plan, progress, now)
        for sentence in invalid:
            log.warning("%s", sentence)
        return _told(progress, ends, now)
    return counted


@dataclass(frozen=True)
class NightSeen:
    """A night as the archive shows it.

    :param end: None: it has not ended.
    :param progress: None: it has ended, or its run died.
    :param forecast: None: it has ended, or nothing is known.
    """

    run: Run
    begun_at: datetime
    services: int
    end: NightEnd | None
    progress: Progress | None
    forecast: Forecast | None

    def sentence(self, now: datetime) -> str:
        """Whether it is under way, how far it is and when it ends, or how it ended."""
        if self.end:
            failed = f", {self.end.failed} failed" if self.end.failed else ""
            not_begun = f" ({self.end.not_begun} not begun)" if self.end.not_begun else ""
            return (
                f"Last night ({self.run}): ended {in_utc(self.end.ended_at)} after {spoken(self.end.seconds)}; "
                f"{self.end.backed_up} of {how_many(self.services, 'service')} backed up{failed}{not_begun}."
            )
        begun = f"({self.run}), begun {in_utc(self.begun_at)}"
        if self.progress is None:
            return f"The night of {how_many(self.services, 'service')} {begun} has not told its end: its run died."
        return f"Night under way {begun}: {_told(self.progress, self.forecast, now)}"

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601. ``estimate`` is the sentence of the forecast."""
        return {
            "sentence": self.sentence(now),
            "run": to_plain(self.run),
            "begun_at": self.begun_at.isoformat(),
            "services": self.services,
            "end": self.end.to_dict() if self.end else None,
            "progress": to_plain(self.progress) | {"waiting": self.progress.waiting} if self.progress else None,
            "forecast": to_plain(self.forecast) if self.forecast else None,
            "estimate": _until(self.progress, self.forecast, now) if self.progress else None,
        }


def nights_now(archive: Archive, now: datetime) -> tuple[list[NightSeen], list[str]]:
    """The nights that are under way, one an Airflow at the most; the last one where there is none. Beside it a sentence
    for each record of a night that cannot be read.

    Costs a list of the nights of one month, up to four where there were none; one of open suspension records, one of
    locks, one of what failed, the index of the catalog; and a read for the plan and for each of the ten nights before.

    :param now: aware.
    :raises StorageError: the account was not reached or refused.
    """
    known = archive.nights.known(now)
    last = next(known, None)
    newest: dict[str, KnownNight] = {}
    for night in takewhile(lambda each: each.begun_at > now - _LONGEST, chain([last] if last else [], known)):
        newest.setdefault(night.airflow, night)  # an Airflow has one night at a time
    under_way = [night for night in newest.values() if not night.has_ended]
    seen: list[NightSeen] = []
    invalid: list[str] = []
    for night in under_way or ([last] if last else []):
        try:
            seen.append(_seen(archive, night, now, invalid))
        except BackupServiceError as error:
            if isinstance(error, StorageError) and error.of_account:
                raise
            invalid.append(str(error))
    return seen, list(dict.fromkeys(invalid))


def _seen(archive: Archive, night: KnownNight, now: datetime, invalid: list[str]) -> NightSeen:
    if night.has_ended:
        end = archive.nights.end_of(night)
        return NightSeen(end.run, end.begun_at, end.services, end, None, None)
    plan = archive.nights.plan(night)
    if night.begun_at <= now - _LONGEST:
        return NightSeen(plan.run, plan.begun_at, plan.size, None, None, None)
    progress = _progress(archive, night, plan)
    ends, unread = _forecast(archive, plan, progress, now)
    invalid += unread
    return NightSeen(plan.run, plan.begun_at, plan.size, None, progress, ends)


def _progress(archive: Archive, night: KnownNight, plan: Night) -> Progress:
    """What is done, at work and waiting, without Airflow. A service has begun when it is locked; it is at work until
    its reference is published and it is not suspended any more, or its failure is noted."""
    suspended = archive.suspensions.opened_since(plan.begun_at)
    locked = archive.locks.taken_since(plan.begun_at - _OTHER_CLOCKS)
    failed = archive.nights.failed(night)
    from biztalk_services.archive.catalog_index import REFERENCES  # with the storage's library, which no DAG needs

    published = {each.backup for each in archive.catalog.view().pack.select(REFERENCES, Wanted(since=plan.begun_at))}
    done = at_work = not_backed_up = 0
    for backup, service in plan.backups.items():
        if service.lower() in suspended:
            at_work += 1
        elif backup in published or backup in failed:
            done += 1
            not_backed_up += backup not in published
        elif _lock_name(service, backup) in locked:
            at_work += 1
    return Progress(plan.size, done, not_backed_up, at_work)


def _lock_name(service: str, backup: str) -> str:
    """``ServiceKey.blob_name`` of a service: the name of its backup has the digest."""
    found = moment_in_name(backup)
    return f"{service.rpartition('/')[2].lower()}-{found[1] if found else None}"


def _forecast(archive: Archive, plan: Night, progress: Progress, now: datetime) -> tuple[Forecast | None, list[str]]:
    """When a night ends by the nights before, and a sentence for each record of those that cannot be read."""
    earlier, invalid = archive.nights.ended(now, similar_sizes(plan.size), _EARLIER)
    ends = forecast(
        services=plan.size,
        max_parallel=plan.max_parallel,
        begun_at=plan.begun_at,
        now=now,
        done=progress.done,
        at_work=progress.at_work,
        earlier=earlier,
    )
    return ends, invalid


def _told(progress: Progress, ends: Forecast | None, now: datetime) -> str:
    return f"{progress.sentence()} {_until(progress, ends, now)}".rstrip()


def _until(progress: Progress, ends: Forecast | None, now: datetime) -> str:
    """When the night ends, a sentence; empty when all services have ended."""
    if progress.is_over:
        return ""
    return ends.sentence(now) if ends else NO_FORECAST


def _of_run(archive: Archive, run: Run, now: datetime) -> KnownNight | None:
    """The night of a run that has not ended. Only the newest counts: one before the run was cleared is over."""
    night = next((each for each in archive.nights.known(now, months=_LATELY) if each.is_of(run)), None)
    return night if night and not night.has_ended else None


@contextmanager
def _never_stops(otherwise: str) -> Iterator[None]:
    """Whatever goes wrong with the record of a night, the night goes on.

    :param otherwise: what follows from it, a sentence.
    """
    try:
        yield
    except BackupServiceError as error:
        log.warning("%s %s", otherwise, error)
    except Exception as error:  # such as a connection that its library does not open
        log.warning("%s %s", otherwise, type(error).__name__)
