"""Whether the queries of each service are answered, and by what: for a person, before the first night. Only reads.

What cannot be read of one service or subscription hides no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.find import ListedService, Listing, backup_jobs, choose, list_services
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.finding import Finding

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

log = logging.getLogger(__name__)


class ConnectionsWrongError(BackupServiceError):
    """Something of what was checked is wrong; all of it was checked, and is told."""


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What an Airflow is configured to work with.

    :param subscriptions: connection to each -> opens its driver.
    :param includes: whether the configuration includes an address (``connection/scope/name``).
    :param archive: opens the archive.
    :param alerts: says in a sentence where alerts go; raises BackupServiceError where they cannot get there.
    :param problems: sentences about bad options, which have their defaults.
    :param notes: sentences about what cannot be looked at from here.
    """

    subscriptions: Mapping[str, Callable[[], Driver]]
    includes: Callable[[str], bool]
    archive: Callable[[], Archive]
    alerts: Callable[[], str]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class QueryChecks:
    """Checks the queries of services.

    :param named: what a person named, as :attr:`biztalk_services.flows.find.ListedService.names`; empty: all services
        that the configuration includes and whose edition has backups.
    """

    def __init__(self, configured: Configured, named: Sequence[str] = ()) -> None:
        self._drivers = {conn_id: cache(opened) for conn_id, opened in configured.subscriptions.items()}
        self._includes = configured.includes
        self._problems, self._notes = configured.problems, configured.notes
        self._named = tuple(named)

    def findings(self) -> Iterator[Finding]:
        """Each finding as soon as it is made: options, connections to subscriptions, services."""
        if self._notes:
            yield Finding(subject="Airflow", verdict="not checked", sentences=self._notes)
        if self._problems:
            yield Finding(subject="options", verdict="wrong", sentences=self._problems)
        reached = {}
        for conn_id, opened in self._drivers.items():
            finding = attempt(f"connection {conn_id}", partial(_reached, opened))
            if finding.is_wrong:
                yield finding
            else:
                reached[conn_id] = finding
        listing = list_services({conn_id: self._drivers[conn_id] for conn_id in reached})
        for conn_id, finding in reached.items():
            yield self._listed(conn_id, finding, listing)
        yield from self._services(listing)

    def of_service(self, service: ListedService) -> Iterator[Finding]:
        """What the queries of one service are answered."""
        subject = f"service {service}"
        try:
            check = self.driver_of(service).check_queries(service.service.ref.name)
        except Exception as error:
            yield wrong(subject, error)
            return
        if check is None:
            yield Finding(subject=subject, verdict="not checked", sentences=("No database is asked about it.",))
        else:
            yield Finding(subject=subject, verdict="wrong" if check.problems else "good", queries=check)

    def driver_of(self, service: ListedService) -> Driver:
        return self._drivers[service.conn_id]()

    @staticmethod
    def _listed(conn_id: str, finding: Finding, listing: Listing) -> Finding:
        if conn_id in listing.failed:
            return Finding(subject=finding.subject, verdict="wrong", sentences=(listing.why_failed(conn_id),))
        if unread := listing.unread.get(conn_id):
            return Finding(subject=finding.subject, verdict="wrong", sentences=tuple(unread))
        return finding

    def _services(self, listing: Listing) -> Iterator[Finding]:
        if not listing.subscriptions.keys() - listing.failed.keys():
            why = "No service was looked for, because no list of services can be read."
            yield Finding(subject="services", verdict="not checked", sentences=(why,))
            return
        try:
            chosen = choose(listing, self._named, self._includes)
        except RefusedError as error:
            yield Finding(subject="services", verdict="wrong", sentences=tuple(check.message for check in error.broken))
            return
        _, jobs = backup_jobs(chosen, listing, datetime.now(UTC))
        shared = {(job.conn_id, job.service): job.problem for job in jobs if job.problem}
        for each in chosen:
            key = each.conn_id, str(each.service.ref)
            if each.service.has_backups is False and not self._named:
                why = "Its edition has no backups."
                yield Finding(subject=f"service {each}", verdict="not checked", sentences=(why,))
            elif key in shared:
                yield Finding(subject=f"service {each}", verdict="wrong", sentences=(shared[key],))
            else:
                yield from self.of_service(each)


def _reached(opened: Callable[[], Driver]) -> str:
    return opened().check_connection()


def attempt(subject: str, look: Callable[[], str]) -> Finding:
    """The finding of a look that says in a sentence what it has seen, or raises why it is wrong."""
    try:
        return Finding(subject=subject, verdict="good", sentences=(look(),))
    except Exception as error:
        return wrong(subject, error)


def wrong(subject: str, error: Exception) -> Finding:
    """What is wrong by an error. The words of others than ours are in the log only: they could hold a secret."""
    if isinstance(error, BackupServiceError):
        return Finding(subject=subject, verdict="wrong", sentences=(str(error),))
    log.warning("Checking %s failed.", subject, exc_info=error)
    return Finding(subject=subject, verdict="wrong", sentences=(f"It failed: {type(error).__name__}; see the log.",))
