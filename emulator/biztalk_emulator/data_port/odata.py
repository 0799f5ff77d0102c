"""OData in verbose JSON: query options in, documents out (WCF Data Services 5.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from biztalk_emulator.data_port.errors import DataError
from biztalk_emulator.data_port.tpm import Entity, Long, Many
from biztalk_emulator.http_server import Response

PAGE_SIZE = 100
NAMESPACE = "Microsoft.ApplicationServer.Integration.PartnerManagement"
"""Of all types, as the category of a documented request names them."""

_CONTENT_TYPE = "application/json;odata=verbose;charset=utf-8"
_ONE = ("$expand",)
_SEVERAL = ("$expand", "$top", "$skip", "$skiptoken", "$inlinecount")


@dataclass(frozen=True)
class Options:
    """Query options of a read.

    :param expand: navigation properties whose entities come along.
    :param top: at most so many entities in all pages; None: no limit.
    :param skip: leave out so many at the beginning.
    :param count: return how many there are.
    """

    expand: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False


def options(query: str, *, several: bool, paging: str = "pages") -> Options:
    """Read the query options that are known for one entity or for several.

    :param paging: ``ignored``: those for several have no effect; ``refused``: they are not known; else they act.
    :raises DataError: 400 for any other option and for impossible values.
    """
    given = dict(parse_qsl(query, keep_blank_values=True))
    possible = _SEVERAL if several and paging != "refused" else _ONE
    if unknown := [name for name in given if name not in possible]:
        raise DataError(400, f"The query option {unknown[0]} is not offered here; possible are {', '.join(possible)}.")
    if paging == "ignored":
        given = {name: value for name, value in given.items() if name in _ONE}
    counting = given.get("$inlinecount", "none")
    if counting not in ("none", "allpages"):
        raise DataError(400, "The query option $inlinecount is none or allpages.")
    return Options(
        tuple(name.strip() for name in given.get("$expand", "").split(",") if name.strip()),
        _number(given, "$top") if "$top" in given else None,
        _number(given, "$skip") + _number(given, "$skiptoken"),
        counting == "allpages",
    )


def require_verbose(accept: str) -> None:
    """Refuse a read that does not accept verbose JSON.

    :raises DataError: 406.
    """
    for each in accept.split(","):
        media, *parameters = [part.strip().replace('"', "").replace(" ", "").lower() for part in each.split(";")]
        if media == "application/json" and "odata=verbose" in parameters:
            return
    raise DataError(
        406, "Only verbose JSON is offered here, not Atom; send the header Accept: application/json;odata=verbose."
    )


class Writer:
    """Writes entities with URIs under one root.

    :param root: URI of the OData service, without a slash at its end.
    :param page_size: how many entities an answer has at most; None: all that were requested.
    """

    def __init__(self, root: str, page_size: int | None = PAGE_SIZE) -> None:
        self._root = root
        self._page_size = page_size

    def service_document(self, sets: Iterable[str]) -> Response:
        """The names of the entity sets."""
        return _answer({"EntitySets": list(sets)})

    def one(self, entity: Entity, chosen: Options) -> Response:
        """One entity."""
        response = _answer(self._entity(entity, chosen.expand))
        response.headers["ETag"] = entity.etag
        return response

    def several(self, entities: list[Entity], path: str, chosen: Options) -> Response:
        """A page of entities, with the URI of the next page if there is one.

        :param path: of the collection, below the root.
        """
        wanted = entities[chosen.skip :]
        if chosen.top is not None:
            wanted = wanted[: chosen.top]
        page = wanted[: self._page_size]
        document: dict[str, Any] = {"results": [self._entity(entity, chosen.expand) for entity in page]}
        if chosen.count:
            document["__count"] = str(len(entities))
        if len(wanted) > len(page):
            document["__next"] = f"{self._root}/{path}?{_rest(chosen, len(page))}"
        return _answer(document)

    def _entity(self, entity: Entity, expand: tuple[str, ...] = ()) -> dict[str, Any]:
        uri = f"{self._root}/{entity.set}({entity.id})"
        if unknown := [name for name in expand if name not in entity.leads_to]:
            raise DataError(
                400,
                f"{entity.type} has no navigation property {unknown[0]}; possible in $expand are "
                f"{', '.join(entity.leads_to) or 'none'}.",
            )
        document = {"__metadata": {"uri": uri, "type": f"{NAMESPACE}.{entity.type}", "etag": entity.etag}}
        document |= {name: _value(name, value) for name, value in entity.properties.items()}
        for name, target in entity.leads_to.items():
            document[name] = self._related(target) if name in expand else {"__deferred": {"uri": f"{uri}/{name}"}}
        return document

    def _related(self, target: Entity | list[Entity] | None) -> Any:
        if isinstance(target, list):
            return {"results": [self._entity(each) for each in target]}
        return self._entity(target) if target else None


def refusal(error: DataError) -> Response:
    """The answer to a refused request."""
    document = {"error": {"code": "", "message": {"lang": "en-US", "value": str(error)}}}
    return Response(error.status, json.dumps(document).encode(), {"Content-Type": _CONTENT_TYPE, **error.headers})


def _answer(document: Any) -> Response:
    body = json.dumps({"d": document}, indent=1).encode()
    return Response(200, body, {"Content-Type": _CONTENT_TYPE})


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Long):
        return str(value)
    if isinstance(value, Many):
        return {"__metadata": {"type": "Collection(Edm.String)"}, "results": list(value)}
    if isinstance(value, dict):
        kind = "Transport" if name == "Transport" else "Party"
        return {"__metadata": {"type": f"{NAMESPACE}.{kind}"}, **value}
    return value


def _rest(chosen: Options, given: int) -> str:
    parts = {"$skiptoken": str(chosen.skip + given)}
    if chosen.top is not None:
        parts["$top"] = str(chosen.top - given)
    if chosen.expand:
        parts["$expand"] = ",".join(chosen.expand)
    if chosen.count:
        parts["$inlinecount"] = "allpages"
    return "&".join(f"{name}={quote(value, safe=',')}" for name, value in parts.items())


def _number(given: dict[str, str], name: str) -> int:
    text = given.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise DataError(400, f"The query option {name} is a whole number.")
    return int(text)
