"""Entity sets that are read page by page, from services that page in different ways, and that change meanwhile."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from biztalk_services.drivers.biztalk.wire.partner_reading import MAX_READS, PAGE_SIZE
from biztalk_services.model.errors import BadRequestError, UnexpectedResponseError

from tests.wire.partner_samples import ROOT, collection, entity, json_page, odata_error, token
from tests.wire.scripted_server import ScriptedServer, Step

SIZE = 1520
DESCRIPTION = "x" * 3000


class Service:
    """A service's agreements; by default it honours ``$top``, ``$skip`` and ``$inlinecount``, and has no page size."""

    def __init__(self, server: ScriptedServer, size: int = SIZE, **ways: Any) -> None:
        self.server = server
        self.ids = list(range(size))
        self.honours = ways.get("honours", ("$top", "$skip", "$inlinecount"))
        self.refuses = ways.get("refuses", ())
        self.link_after = ways.get("link_after")
        self.cut_after = ways.get("cut_after")
        self.before_page: Callable[[int], None] = lambda number: None
        self.pages = 0
        server.script = [token(), self._step()]

    def _step(self) -> Step:
        def step(connection: socket.socket) -> None:
            self.before_page(self.pages)
            self.pages += 1
            connection.sendall(self._page(self.server.requests[-1].target))

        return step

    def _page(self, target: str) -> bytes:
        given = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        for name in given:
            if name in self.refuses:
                return odata_error(400, f"The query option {name} is not supported.")
        asked = {name: value for name, value in given.items() if name in self.honours}
        skip = int(asked.get("$skip", 0)) + int(given.get("$skiptoken", 0))
        wanted = self.ids[skip:]
        if "$top" in asked:
            wanted = wanted[: int(asked["$top"])]
        shown = wanted[: self.link_after or self.cut_after]
        more = {"__count": str(len(self.ids))} if "$inlinecount" in asked else {}
        rest = {"$skiptoken": skip + len(shown)}
        if "$top" in asked:
            rest["$top"] = int(asked["$top"]) - len(shown)
        link = "Agreements?" + "&".join(f"{name}={value}" for name, value in rest.items())
        entities = [entity(f"Agreements({each})", Description=DESCRIPTION) for each in shown]
        following = link if self.link_after and len(shown) < len(wanted) else None
        return json_page({"d": collection(*entities, link=following, **more)})


def read(partners: Any) -> list[int]:
    return [int(each["@id"].rpartition("(")[2].rstrip(")")) for each in partners.entities("Agreements")]


WAYS = {
    "all options": {},
    "no count": {"honours": ("$top", "$skip")},
    "pages of its own, as large": {"link_after": 100},
    "pages of its own, smaller": {"link_after": 30},
    "pages of its own, without options": {"link_after": 100, "honours": ()},
    "no options, everything at once": {"honours": ()},
    "no options, but a count": {"honours": ("$inlinecount",)},
    "only $top": {"honours": ("$top",), "link_after": None},
    "$top refused": {"refuses": ("$top",), "honours": ()},
    "$inlinecount refused": {"refuses": ("$inlinecount",), "link_after": 100},
    "answers cut without a link": {"cut_after": 40},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 199, 250])
def test_each_entity_is_read_once(partners, open_server, way, size):
    service = Service(open_server, size, **WAYS[way])
    assert read(partners) == service.ids


@pytest.mark.parametrize("way", ["all options", "pages of its own, as large", "no options, everything at once"])
def test_1520_agreements_of_3_kilobytes(partners, open_server, way):
    service = Service(open_server, **WAYS[way])
    assert read(partners) == service.ids
    assert service.pages == (1 if way.startswith("no options") else 16)


def test_pages_are_asked_for(partners, open_server):
    Service(open_server, 150)
    read(partners)
    page = f"{ROOT}/Agreements?$top={PAGE_SIZE}"
    assert open_server.targets("GET") == [f"{page}&$inlinecount=allpages", f"{page}&$skip=99&$inlinecount=allpages"]


CHANGES: dict[str, Callable[[list[int]], Any]] = {
    "one removed in front": lambda ids: ids.pop(3),
    "one added in front": lambda ids: ids.insert(3, 999),
    "one removed behind": lambda ids: ids.pop(-1),
    "one added behind": lambda ids: ids.append(999),
    "the last one read is removed": lambda ids: ids.remove(99),
    "one in front for another behind": lambda ids: ids.append(ids.pop(3)),
    "emptied": lambda ids: ids.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["all options", "no count", "pages of its own, as large"])
def test_set_that_changes_between_pages_is_read_again(partners, open_server, change, way):
    service = Service(open_server, 250, **WAYS[way])
    service.before_page = lambda number: CHANGES[change](service.ids) if number == 1 else None
    assert read(partners) == service.ids


@pytest.mark.parametrize("way", ["all options", "no count", "pages of its own, smaller"])
def test_set_that_changes_with_each_page_is_an_error(partners, open_server, way):
    service = Service(open_server, 250, **WAYS[way])
    service.before_page = lambda number: service.ids.pop(0)
    with pytest.raises(UnexpectedResponseError, match=f"Agreements changed during each of {MAX_READS} reads") as caught:
        read(partners)
    assert caught.value.advice == "retry"


def test_service_that_counts_more_than_it_returns(partners, open_server):
    page = json_page({"d": collection(entity("Agreements(1)"), **{"__count": "2"})})
    open_server.script = [token(), page]
    with pytest.raises(UnexpectedResponseError, match="counted 2 entities and returned 1"):
        partners.entities("Agreements")


def test_refused_without_options_is_an_error(partners, open_server):
    open_server.script = [token(), odata_error(400, "No.")]
    with pytest.raises(BadRequestError, match="No"):
        partners.entities("Agreements")
    assert open_server.targets("GET")[-1] == f"{ROOT}/Agreements"


@pytest.mark.parametrize("count", [-1, "two", 1.5, [], "9" * 30])
def test_count_that_is_no_number(partners, open_server, count):
    open_server.script = [token(), json_page(json.loads(json.dumps({"d": {"results": [], "__count": count}})))]
    with pytest.raises(UnexpectedResponseError, match="the count of the entities is not a number"):
        partners.entities("Agreements")
