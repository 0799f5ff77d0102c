"""Finds services: one by its address, or those of a backup run in every subscription."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from biztalk_services.drivers.base import Driver
from biztalk_services.model.backup import backup_name
from biztalk_services.model.checks import Check, RefusedError
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.model.service import Service, ServiceKey, ServiceRef
from biztalk_services.model.steps import BackupJob, ChosenService

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedService:
    """A service of one of the subscriptions.

    :param conn_id: connection to its subscription.
    :param drain_source: the connection that its batches are read through; None where it needs none.
    """

    conn_id: str
    subscription_id: str
    service: Service
    drain_source: str | None = None

    @property
    def key(self) -> ServiceKey:
        return ServiceKey(self.subscription_id, self.service.ref)

    def __str__(self) -> str:
        return f"{self.conn_id}/{self.service.ref}"

    @property
    def names(self) -> tuple[str, str, str]:
        """What names it, in lower case: ``name``, ``scope/name``, ``connection/scope/name``."""
        ref = self.service.ref
        return ref.name.lower(), str(ref).lower(), str(self).lower()


@dataclass
class Listing:
    """What the subscriptions have.

    :param subscriptions: connection -> id of its subscription, where the connection could be opened.
    :param unread: connection -> a sentence for each entry of its list that cannot be read.
    :param failed: connection -> why the services of its subscription cannot be listed.
    """

    services: list[ListedService] = field(default_factory=list)
    subscriptions: dict[str, str] = field(default_factory=dict)
    unread: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, BackupServiceError] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """Why services may be missing from it, in sentences."""
        failed = [self.why_failed(name) for name in self.failed]
        return failed + [sentence for sentences in self.unread.values() for sentence in sentences]

    def why_failed(self, conn_id: str) -> str:
        """Why the services of a subscription cannot be listed, in sentences."""
        return f"The services of connection {conn_id} cannot be listed. {self.failed[conn_id]}"


def find_service(driver: Driver, ref: ServiceRef) -> Service | None:
    """The service as it is now; None when there is none at this address."""
    try:
        return driver.get_service(ref)
    except ServiceNotFoundError:
        return None


def list_services(drivers: Mapping[str, Callable[[], Driver]]) -> Listing:
    """The services of several subscriptions. What cannot be listed of one does not hide the others.

    :param drivers: connection -> opens the driver of its subscription.
    """
    listing = Listing()
    for conn_id, open_driver in drivers.items():
        unread: list[str] = []
        try:
            driver = open_driver()
            listing.subscriptions[conn_id] = driver.subscription_id
            services = driver.list_services(on_unread=unread.append)
        except BackupServiceError as error:
            listing.failed[conn_id] = error
        except Exception as error:  # whatever it is, the services of the others are listed
            log.warning("The services of connection %s cannot be listed.", conn_id, exc_info=error)
            listing.failed[conn_id] = BackupServiceError(f"See the log ({type(error).__name__}).", advice="retry")
        else:
            listing.services += [
                ListedService(conn_id, driver.subscription_id, each, driver.drain_source(each.ref.name))
                for each in services
            ]
            listing.unread |= {conn_id: unread} if unread else {}
    return listing


def choose(listing: Listing, named: Collection[str], includes: Callable[[str], bool]) -> list[ListedService]:
    """The services that are chosen for a run.

    :param named: what a person named, as :attr:`ListedService.names` in any case; empty: all that the configuration
        includes.
    :param includes: whether the configuration includes an address (``connection/scope/name``).
    :raises RefusedError: no subscription has a named service, or a name means several, or two connections lead to the
        same subscription.
    """
    if same := _same(listing.subscriptions):
        message = (
            f"The connections {' and '.join(same)} lead to the same subscription {listing.subscriptions[same[0]]}. "
            "Name one of them in option conn_id."
        )
        raise RefusedError([Check("subscriptions-differ", False, message, "configuration")], "the run")
    if not named:
        return [each for each in listing.services if includes(str(each))]
    by_name = defaultdict(list)
    for each in listing.services:
        for name in each.names:
            by_name[name].append(each)
    meant = {text: by_name.get(text.lower(), []) for text in named}
    if broken := [Check("service-exists", False, why, "form of the run") for why in _not_one(meant, listing)]:
        raise RefusedError(broken, "the run")
    chosen = {str(each) for services in meant.values() for each in services}
    return [each for each in listing.services if str(each) in chosen]


def backup_jobs(
    chosen: Sequence[ListedService], listing: Listing, at: datetime
) -> tuple[list[ChosenService], list[BackupJob]]:
    """The chosen services, and a job for each that may have backups.

    :param listing: all services, also those that were not chosen.
    :param at: moment that the names of the backups follow from, aware.
    """
    services = [
        ChosenService(
            conn_id=each.conn_id,
            subscription_id=each.subscription_id,
            service=str(each.service.ref),
            scope=each.service.ref.scope,
            name=each.service.ref.name,
            region=each.service.region,
            edition=each.service.edition,
            has_backups=each.service.has_backups is not False,
        )
        for each in chosen
    ]
    by_source = defaultdict(list)
    for each in listing.services:
        by_source[each.service.ref.name.lower(), each.drain_source].append(str(each))
    jobs = [
        BackupJob(
            each.conn_id,
            str(each.service.ref),
            backup_name(each.key, at),
            _not_told_apart(each, by_source[each.service.ref.name.lower(), each.drain_source]),
        )
        for each in chosen
        if each.service.has_backups is not False
    ]
    return services, jobs


def _not_told_apart(service: ListedService, same: Sequence[str]) -> str:
    """Why the batches of a service cannot be told from those of another; empty where they can."""
    if service.drain_source is None or len(same) < 2:
        return ""
    return (
        f"The batches of {' and '.join(same)} would be read through the same connection {service.drain_source}, and "
        "those of one be taken for those of the other. Name another one in the extra tracking_conn_id of the "
        "connection to one of the subscriptions; inside of one subscription rename a service."
    )


def _same(subscriptions: Mapping[str, str]) -> list[str]:
    """Connections that lead to one subscription; empty when each leads to its own."""
    ids = {conn_id: subscription.lower() for conn_id, subscription in subscriptions.items()}
    twice = [subscription for subscription, count in Counter(ids.values()).items() if count > 1][:1]
    return [conn_id for conn_id, subscription in ids.items() if subscription in twice]


def _not_one(meant: Mapping[str, list[ListedService]], listing: Listing) -> Iterator[str]:
    """A sentence for each name that does not mean exactly one service."""
    if unknown := sorted(text for text, services in meant.items() if not services):
        there = ", ".join(each.service.ref.name for each in listing.services) or "none at all"
        more = "".join(f" {sentence}" for sentence in listing.problems)
        yield (f"The subscription has no service {', '.join(unknown).lower()}; it has {there}.{more} Nothing was done.")
    for text, services in meant.items():
        if len(services) > 1:
            yield (
                f"{text} means several services: {', '.join(str(each) for each in services)}. Write the one that is "
                "meant as it stands here."
            )
