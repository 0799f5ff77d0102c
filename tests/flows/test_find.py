"""Services of several subscriptions: listed, chosen by their names, split into runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.flows.find import ListedService, Listing, backup_jobs, choose, list_services
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import AuthenticationError, BackupServiceError
from biztalk_services.model.service import Service, ServiceRef

AT = datetime(2026, 1, 1, 2, tzinfo=UTC)


def service(address: str, edition: str = "premium") -> Service:
    return biztalk_service(ServiceRef.parse(address), "Active", edition)


@dataclass
class FakeDriver:
    """What a driver has of a subscription.

    :param unread: sentences about entries of its list that cannot be read.
    :param tracking: how the connections to its tracking databases begin; None: it has none.
    """

    subscription_id: str
    services: list[Service] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    tracking: str | None = None

    def drain_source(self, name: str) -> str | None:
        return self.tracking and f"{self.tracking}_{name.lower()}"

    def list_services(self, on_unread: Callable[[str], None]) -> list[Service]:
        for sentence in self.unread:
            on_unread(sentence)
        return self.services


def fails(error: Exception) -> Callable[[], FakeDriver]:
    def connect() -> FakeDriver:
        raise error

    return connect


def listed(**drivers: FakeDriver) -> Listing:
    return list_services({name: lambda driver=driver: driver for name, driver in drivers.items()})


def everything(address: str) -> bool:
    return True


TWO = {
    "north": FakeDriver("5f3c", [service("west/orders"), service("west/billing"), service("east/orders")]),
    "south": FakeDriver("0b51", [service("West/Orders"), service("west/retail")]),
}


# --- the list --------------------------------------------------------------------------------------------------------


def test_services_of_one_address_in_two_subscriptions():
    jobs = backup_jobs(choose(listed(**TWO), (), everything), listed(**TWO), AT)[1]
    twins = [job for job in jobs if job.service.lower() == "west/orders"]
    assert [(job.conn_id, job.service) for job in twins] == [("north", "west/orders"), ("south", "West/Orders")]
    assert len({job.backup_name for job in jobs}) == len(jobs) == 5


@pytest.mark.parametrize(
    ("north", "south", "refused"),
    [
        ("db", "db", ["north/west/orders", "south/west/orders"]),
        ("db", "other", []),
        (None, None, []),
        ("db", None, []),
    ],
)
def test_batches_that_cannot_be_told_apart_are_refused(north, south, refused):
    """Also where only one of the two is chosen; all other services are backed up."""
    listing = listed(
        north=FakeDriver("5f3c", [service("west/orders"), service("west/billing")], tracking=north),
        south=FakeDriver("0b51", [service("west/orders"), service("west/retail")], tracking=south),
    )
    for named in ([], ["north/west/orders", "south/west/orders"], ["north/west/orders"], ["south/west/orders"]):
        _, jobs = backup_jobs(choose(listing, named, everything), listing, AT)
        chosen = [f"{job.conn_id}/{job.service}" for job in jobs]
        problems = [f"{job.conn_id}/{job.service}" for job in jobs if "db_orders" in job.problem]
        assert problems == [each for each in refused if each in chosen]


def test_a_chosen_service_has_its_subscription():
    chosen, _ = backup_jobs(choose(listed(**TWO), ["south/west/orders"], everything), listed(**TWO), AT)
    assert [(each.conn_id, each.subscription_id, each.service) for each in chosen] == [("south", "0b51", "West/Orders")]


@pytest.mark.parametrize("error", [AuthenticationError("The certificate was rejected."), KeyError("host"), OSError()])
@pytest.mark.parametrize("broken", ["north", "middle"])
def test_a_broken_connection_hides_no_other(error, broken):
    listing = list_services({broken: fails(error), "south": lambda: TWO["south"]})
    assert [str(each) for each in listing.services] == ["south/West/Orders", "south/west/retail"]
    assert list(listing.failed) == [broken]
    assert isinstance(listing.failed[broken], BackupServiceError)
    assert str(listing.failed[broken])


def test_an_entry_that_cannot_be_read_hides_no_other():
    listing = listed(north=FakeDriver("5f3c", [service("west/orders")], ["The entry at 2 has no name."]))
    assert (len(listing.services), listing.problems) == (1, ["The entry at 2 has no name."])


@pytest.mark.parametrize("ids", [("5f3c", "5f3c"), ("5f3c", "5F3C"), ("0b51", "5f3c", "5F3c")])
def test_two_connections_to_one_subscription_are_refused(ids):
    """Else each of its services would be suspended twice in a night."""
    with pytest.raises(RefusedError, match=r"\[subscriptions-differ\] The connections c\d and c\d lead to the same"):
        choose(listed(**{f"c{number}": FakeDriver(each) for number, each in enumerate(ids)}), [], everything)


# --- what a person names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("retail", "south/west/retail"),
        ("RETAIL", "south/west/retail"),
        ("west/billing", "north/west/billing"),
        ("east/orders", "north/east/orders"),
        ("north/west/orders", "north/west/orders"),
        ("South/WEST/orders", "south/West/Orders"),
    ],
)
def test_a_name_that_means_one_service(text, meant):
    assert [str(each) for each in choose(listed(**TWO), [text], lambda address: False)] == [meant]


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("orders", "north/west/orders, north/east/orders, south/West/Orders"),
        ("WEST/orders", "north/west/orders, south/West/Orders"),
    ],
)
def test_a_name_that_means_several_is_refused(text, several):
    with pytest.raises(RefusedError, match="service-exists") as caught:
        choose(listed(**TWO), [text, "retail"], everything)
    assert f"{text} means several services: {several}. Write the one that is meant as it stands here." in str(
        caught.value
    )


@pytest.mark.parametrize(
    "text", ["order", "est/orders", "/orders", "middle/west/orders", "a/north/west/orders", "", "/"]
)
def test_part_of_a_name_means_nothing(text):
    with pytest.raises(RefusedError, match="has no service"):
        choose(listed(**TWO), [text], everything)


def test_a_refusal_names_what_could_not_be_read():
    listing = list_services(
        {
            "north": fails(AuthenticationError("The certificate was rejected.")),
            "south": lambda: FakeDriver("0b51", [service("west/retail")], ["The entry at 2 has no name."]),
        }
    )
    with pytest.raises(RefusedError) as caught:
        choose(listing, ["orders"], everything)
    for part in (
        "no service orders; it has retail.",
        "services of connection north cannot be listed.",
        "entry at 2 has no name",
    ):
        assert part in str(caught.value)


def test_the_configuration_sees_the_whole_address():
    seen: list[str] = []
    choose(listed(**TWO), (), lambda address: bool(seen.append(address)))
    assert seen == [str(each) for each in listed(**TWO).services]
    assert seen[0] == "north/west/orders"


def test_a_name_counts_once():
    listing = listed(**TWO)
    assert len(choose(listing, ["retail", "west/retail", "RETAIL"], everything)) == 1
    assert isinstance(listing.services[0], ListedService)
