"""Which services have no recent backup: how old the newest verified backup of each is, and what people are told of it.

Nothing here depends on the nightly backup: its DAG, its runs and its schedule are never read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from biztalk_services.archive.errors import StorageError
from biztalk_services.drivers.base import Driver
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.flows.find import ListedService, list_services
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import AgeAlert
from biztalk_services.model.service import ServiceKey
from biztalk_services.model.steps import BackupAge

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.backup_ages import BackupAgeRecords
    from biztalk_services.archive.catalog import Catalog

log = logging.getLogger(__name__)

COUNTED_KINDS = ("nightly", "manual", "safety")
"""The kinds of backup that count; one of a drill does not."""

CLOCK_TOLERANCE = timedelta(minutes=15)
"""How far the clock of another machine may be ahead of ours."""

ALERT_AGAIN = timedelta(days=1)
NAMED = 10
"""How many services, and how many problems, an alert names."""

STORAGE_ERRORS_IN_A_ROW = 3
"""When the backups of so many services cannot be read one after another, the other services are not tried."""

ALL_RECENT = "The newest verified backup of every service is recent enough again."


class BackupsOverdueError(BackupServiceError):
    """Services have no recent backup, or it is not known whether they have one. That was alerted."""


@dataclass
class Findings:
    """What a check has found.

    :param ages: of the services that are expected to have a backup.
    :param problems: sentences about what could not be read, by a name that stays the same from check to check.
    """

    ages: list[BackupAge] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add_problem(self, name: str, sentence: str) -> None:
        self.problems.setdefault(name, []).append(sentence)

    @property
    def overdue(self) -> list[BackupAge]:
        """The longest overdue first."""
        found = [each for each in self.ages if each.overdue]
        return sorted(found, key=lambda each: each.age_seconds - each.allowed_seconds, reverse=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that is wrong, each by a name that stays the same from check to check."""
        overdue = [f"{each.subscription_id}/{each.service}@{each.backup or 'never'}" for each in self.overdue]
        return tuple(sorted([*overdue, *self.problems]))

    @property
    def sentences(self) -> list[str]:
        """Everything that is wrong, for people."""
        problems = [sentence for sentences in self.problems.values() for sentence in sentences]
        return [*self._about_overdue(), *problems]

    def summary(self) -> str:
        """As :attr:`sentences`, in one text that is short enough for an alert."""
        problems = [sentence for sentences in self.problems.values() for sentence in sentences]
        more = len(problems) - NAMED
        cut = [f"There are {more} more problems; the log of the task has all."] if more > 0 else []
        return " ".join([*self._about_overdue(NAMED), *problems[:NAMED], *cut])

    def _about_overdue(self, most: int | None = None) -> Iterator[str]:
        overdue = self.overdue
        if overdue:
            many = len({each.subscription_id for each in self.ages}) > 1
            named = [_described(each, with_subscription=many) for each in overdue[:most]]
            if len(named) < len(overdue):
                named.append(f"and {len(overdue) - len(named)} more")
            have = "1 service has" if len(overdue) == 1 else f"{len(overdue)} services have"
            yield f"{have} no verified backup that is recent enough: {'; '.join(named)}."


@dataclass(frozen=True)
class AgeCheck:
    """Checks the newest verified backup of every service that is expected to have one.

    :param subscriptions: connection to each -> opens its driver.
    :param includes: whether the configuration includes an address (``connection/scope/name``).
    :param now: aware.
    """

    subscriptions: Mapping[str, Callable[[], Driver]]
    archive: Archive
    expected: ExpectedBackups
    includes: Callable[[str], bool]
    now: datetime

    def findings(self) -> Findings:
        """Check all services. What cannot be read is a problem, and all others are checked.

        :raises StorageError: the archive cannot be read at all.
        """
        found = Findings()
        services = self._services(found)
        included = {key: each.service for key, each in services.items() if self.includes(str(each))}
        with_backups = [key for key, each in included.items() if each.has_backups is not False]
        expected = {key: self.expected.allowed(key.ref.name) for key in with_backups}
        allowed = {key: limit for key, limit in expected.items() if limit is not None}
        if not allowed and not found.problems:
            found.add_problem(
                "no service",
                f"No backup is expected of any service, so none would be missed. There are {len(services)} services; "
                f"the options include and exclude leave {len(included)} of them, {len(with_backups)} of those have an "
                "edition with backups, and the option expected_backup_hours leaves none.",
            )
        self._check(allowed, found)
        return found

    def _services(self, found: Findings) -> dict[ServiceKey, ListedService]:
        listing = list_services(self.subscriptions)
        for name in listing.failed:
            found.add_problem(f"connection {name}", listing.why_failed(name))
        for name, sentences in listing.unread.items():
            for sentence in sentences:
                found.add_problem(f"list of connection {name}", sentence)
        has_something = {*listing.failed, *listing.unread, *(each.conn_id for each in listing.services)}
        for name in self.subscriptions:
            if name not in has_something:
                found.add_problem(
                    f"connection {name}",
                    f"The subscription of connection {name} has no service, so no backup is expected there. Check its "
                    "subscription id.",
                )
        return {each.key: each for each in listing.services}

    def _check(self, allowed: Mapping[ServiceKey, timedelta], found: Findings) -> None:
        failed = 0
        for number, (key, limit) in enumerate(allowed.items(), 1):
            try:
                found.ages.append(self._age(key, limit, found))
                failed = 0
            except StorageError as error:
                failed += 1
                if failed == min(len(allowed), STORAGE_ERRORS_IN_A_ROW):
                    if failed == number:
                        raise
                    found.add_problem("archive", f"{len(allowed) - number} more services were not checked. {error}")
                    return
                found.add_problem(f"backups of {key}", f"The backups of service {key} cannot be read. {error}")
            except BackupServiceError as error:
                found.add_problem(f"backups of {key}", str(error))

    def _age(self, key: ServiceKey, allowed: timedelta, found: Findings) -> BackupAge:
        def add_problem(sentence: str) -> None:
            found.add_problem(f"backups of {key}", sentence)

        newest = newest_backup(self.archive.catalog, key, self.now, add_problem)
        seen = None if newest else self.archive.backup_ages.note_first_seen(key, self.now)
        if seen and seen > self.now + CLOCK_TOLERANCE:
            add_problem(f"Service {key} has no backup, and was first seen at {seen:%Y-%m-%d %H:%M} UTC. {_FUTURE}")
        return backup_age(key, newest, seen, allowed, self.now)


_FUTURE = "That is in the future, so it does not count. Check the clocks of the machines."


def newest_backup(
    catalog: Catalog, service: ServiceKey, now: datetime, on_problem: Callable[[str], object]
) -> BackupReference | None:
    """The newest verified backup of a service that counts, None when there is none.

    :param on_problem: called with a sentence about each record that is passed over: it cannot be read, or not be true.
    """
    for reference in catalog.newest_first(service, on_invalid=lambda error: on_problem(str(error))):
        if reference.kind not in COUNTED_KINDS:
            continue
        if reference.finished_at <= now + CLOCK_TOLERANCE:
            return reference
        finished = f"{reference.finished_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        on_problem(f"Backup {reference.place} of service {service} was finished at {finished}. {_FUTURE}")
    return None


def backup_age(
    service: ServiceKey,
    newest: BackupReference | None,
    first_seen: datetime | None,
    allowed: timedelta,
    now: datetime,
) -> BackupAge:
    """How old the newest backup of a service is.

    :param first_seen: since when a service without a backup is known; it has as long from then on.
    :param allowed: how old the backup may be.
    """
    since = newest.finished_at if newest else first_seen or now
    age = max(now - since, timedelta())
    return BackupAge(
        service=str(service.ref),
        subscription_id=service.subscription_id,
        backup=newest.place if newest else None,
        finished_at=newest.finished_at if newest else None,
        first_seen_at=first_seen,
        age_seconds=round(age.total_seconds()),
        allowed_seconds=round(allowed.total_seconds()),
        overdue=age > allowed,
    )


def due_alert(found: Findings, last: AgeAlert | None, now: datetime) -> str | None:
    """What people have to be told now: something new is wrong, it is wrong for another day, or all is well again.

    :param last: the newest alert that was sent.
    :returns: None: nothing.
    """
    if not found.names:
        return ALL_RECENT if last and last.findings else None
    if last and set(found.names) <= set(last.findings) and now - last.sent_at < ALERT_AGAIN:
        return None
    return found.summary()


def alert_when_due(
    found: Findings, records: BackupAgeRecords, *, airflow: str, now: datetime, send: Callable[[str], bool]
) -> None:
    """Send the alert that is due, if one is, and record it once it is delivered; where that cannot be done, alert too
    often rather than never.

    :param airflow: id of the Airflow that checks.
    :param send: sends a sentence, and returns whether it was delivered.
    """
    try:
        last = records.newest_alert(airflow, now)
    except StorageError as error:
        log.warning("Whether this was alerted before is not known. %s", error)
        last = None
    if sentence := due_alert(found, last, now):
        if not send(sentence):
            return
        try:
            records.record_alert(airflow, AgeAlert(now, found.names, sentence))
        except StorageError as error:
            log.warning("That this was alerted cannot be recorded. %s", error)


def keep_index(catalog: Catalog) -> None:
    """Bring the index of the catalog up to date, which may take minutes. Where that fails, it is done at the next
    check: no backup depends on it."""
    try:
        if renewal := catalog.tidy():
            log.info("The index of the catalog has %d backups now.", renewal.references)
            if renewal.gone:
                log.warning("%d records that it had do not exist any more.", renewal.gone)
    except BackupServiceError as error:
        log.warning("The index of the catalog was not brought up to date. %s", error)


def _described(age: BackupAge, *, with_subscription: bool) -> str:
    service = f"{age.service} of subscription {age.subscription_id}" if with_subscription else age.service
    if age.finished_at:
        what = f"last backup {age.finished_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    else:
        since = f" since it was first seen at {age.first_seen_at:%Y-%m-%d %H:%M} UTC" if age.first_seen_at else ""
        what = f"no backup{since}"
    return f"{service}: {what}, {spoken(age.age_seconds)} ago, {spoken(age.allowed_seconds)} allowed"
