"""A list of services in which one entry cannot be read: it is told by name, and hides no other one."""

from __future__ import annotations

import logging

import pytest
from biztalk_services.drivers.biztalk.wire.server import MAX_ATTEMPTS
from biztalk_services.model.errors import ServiceNotFoundError, UnexpectedResponseError
from biztalk_services.model.service import Phase, ServiceRef

from tests.wire.samples import OTHER_RESOURCE, cloud_service, fleet, resource, single
from tests.wire.scripted_server import response

ORDERS = ServiceRef("contoso-west", "orders")
RETURNS, STOCK = resource("returns"), cloud_service(resource("stock"), name="contoso-east")
EAST = cloud_service(RETURNS, name="contoso-east")
IN_LIST = "in the list of services cannot be read:"


def without(element: str) -> str:
    text = resource()
    begin, end = text.index(f"<{element}>"), text.index(f"</{element}>") + len(f"</{element}>")
    return text[:begin] + text[end:]


ODD = {
    "no name": (without("Name"), f"A service of cloud service contoso-west {IN_LIST} its name is missing."),
    "empty name": (resource(""), f"A service of cloud service contoso-west {IN_LIST} its name is missing."),
    "path as name": (resource("../../x"), "its name is '../../x'."),
    "blank in the name": (resource("new orders"), "Service new orders of cloud service contoso-west"),
    "name not in ascii": (resource("bestellungenü"), "its name is 'bestellungenü'."),
    "name too long": (resource("x" * 65), "its name is 'xxx"),
    "secret as name": (resource("Password=canary;x"), "its name is 'Password=***;x'"),
    "no state": (
        resource(state="", sub_state=""),
        f"Service orders of cloud service contoso-west {IN_LIST} it has neither State nor SubState.",
    ),
    "no type": (
        without("Type"),
        "its provider is biztalkservices and its type is none, not biztalkservices and biztalk.",
    ),
    "other type": (resource().replace("<Type>biztalk<", "<Type>Caching<"), "its type is Caching"),
    "other provider": (resource().replace(">biztalkservices<", ">cacheservice<"), "its provider is cacheservice"),
    "nothing at all": ("<Resource/>", "its provider is none and its type is none"),
    "twice, differing": (resource() + resource(sub_state="Stopped"), "it is there twice, with two contents"),
    "twice in two cases": (resource() + resource("ORDERS"), "it is there twice, with two contents"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_is_told_and_hides_no_other(client, server, name):
    entry, sentence = ODD[name]
    server.script = [response(200, fleet(cloud_service(entry, RETURNS, OTHER_RESOURCE), STOCK))]
    told: list[str] = []
    services = client.list_services(told.append)
    names = [each.ref.name.lower() for each in services]
    assert names == ["stock", *(["orders"] if name.startswith("twice") else []), "returns"]
    assert len(told) == 1
    assert sentence in told[0]
    assert "canary" not in told[0]
    assert len(server.requests) == 1


@pytest.mark.parametrize("group", ["", "contoso/west", "x" * 65, "<b>contoso-west</b>"])
def test_odd_cloud_service_is_told_and_hides_no_other(client, server, group):
    server.script = [response(200, fleet(cloud_service(resource(), RETURNS, name=group), STOCK))]
    told: list[str] = []
    assert [str(each.ref) for each in client.list_services(told.append)] == ["contoso-east/stock"]
    assert len(told) == 1
    assert "the name of the cloud service is" in told[0]


def test_odd_entries_are_logged_by_default(client, server, caplog):
    server.script = [response(200, fleet(cloud_service(resource(sub_state="", state=""), RETURNS), STOCK))]
    assert len(client.list_services()) == 2
    assert [(each.levelno, each.message) for each in caplog.records] == [(logging.WARNING, ODD["no state"][1])]


def test_check_of_the_connection_tells_odd_entries(client, server):
    server.script = [response(200, fleet(cloud_service(resource(sub_state="", state=""), RETURNS)))]
    sentence = client.check_connection()
    assert sentence.endswith(f"BizTalk services: contoso-west/returns. {ODD['no state'][1]}")


def test_every_entry_is_odd(client, server):
    server.script = [response(200, fleet(cloud_service(resource(""), resource("a b")), cloud_service(name="")))]
    told: list[str] = []
    assert client.list_services(told.append) == []
    assert len(told) == 3


def test_what_no_document_has_is_read_all_the_same(client, server):
    unknown = resource(sub_state="Pondering", edition="Platinum").replace("<UnitCount>2<", "<UnitCount>two<")
    server.script = [response(200, fleet(cloud_service(unknown, without("Edition").replace("orders", "returns"))))]
    one, two = client.list_services(pytest.fail)
    assert (one.state, one.phase, one.edition, one.has_backups, one.unit_count) == (
        "Pondering",
        Phase.UNKNOWN,
        "platinum",
        None,
        None,
    )
    assert (two.edition, two.has_backups) == (None, None)


def test_equal_entry_that_comes_twice_is_taken_once(client, server):
    server.script = [response(200, fleet(cloud_service(resource(), RETURNS), cloud_service(resource()), STOCK))]
    assert [each.ref.name for each in client.list_services(pytest.fail)] == ["stock", "orders", "returns"]


@pytest.mark.parametrize("name", ["no name", "no state", "no type", "other type", "twice, differing", "nothing at all"])
def test_service_with_an_odd_entry_is_an_error_of_its_own(client, server, pauses, name):
    """Never "not found": that would pass for a service that was deleted."""
    server.script = [response(200, single(ODD[name][0], RETURNS))]
    with pytest.raises(
        UnexpectedResponseError, match=r"read service contoso-west/orders failed: .* cannot be read: it"
    ):
        client.get_service(ORDERS)
    assert len(server.requests) == MAX_ATTEMPTS
    assert client.get_service(ServiceRef("contoso-west", "returns")).state == "Active"


@pytest.mark.parametrize("name", ["no name", "no state", "no type", "other type", "twice, differing", "nothing at all"])
@pytest.mark.parametrize("scope", ["contoso-west", None])
def test_an_odd_entry_in_a_shared_read_is_an_error_of_its_own(client, server, name, scope):
    entries = (ODD[name][0], RETURNS)
    server.script = [response(200, single(*entries) if scope else fleet(cloud_service(*entries), EAST))]
    find = client.read_services(scope)
    with pytest.raises(
        UnexpectedResponseError, match=r"read service contoso-west/orders failed: .* cannot be read: it"
    ) as caught:
        find(ORDERS)
    assert caught.value.advice == "retry"
    assert find(ServiceRef("contoso-west", "returns")).state == "Active"
    if scope is None:
        assert find(ServiceRef("Contoso-East", "Returns")).ref.scope == "contoso-east"
        with pytest.raises(ServiceNotFoundError, match="it holds: returns"):
            find(ServiceRef("contoso-east", "orders"))
        with pytest.raises(ServiceNotFoundError, match="it holds: none"):
            find(ServiceRef("contoso-north", "orders"))
    assert len(server.requests) == 1


def test_a_cloud_service_without_a_usable_name_may_hold_what_is_missing(client, server):
    server.script = [response(200, fleet(cloud_service(RETURNS), cloud_service(resource(), name="?")))]
    find = client.read_services(None)
    with pytest.raises(UnexpectedResponseError, match="the name of the cloud service is"):
        find(ORDERS)
    assert find(ServiceRef("contoso-west", "returns")).state == "Active"


def test_odd_entry_of_another_service_is_no_matter(client, server, pauses, caplog):
    server.script = [response(200, single(resource(sub_state="", state=""), RETURNS))]
    with pytest.raises(ServiceNotFoundError, match="it holds: returns"):
        client.get_service(ServiceRef("contoso-west", "stock"))
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
