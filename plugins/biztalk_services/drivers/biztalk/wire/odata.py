"""Entities of partner management from pages of verbose JSON (OData 2, WCF Data Services 5.3).

An entity is the dict of its properties without the OData envelope, with ``@id`` (address), ``@etag`` (None when absent)
and ``@type`` (``X12ProtocolSettings``). Deferred links are omitted; an expanded link is a list of entities, one entity
or None. Times in the form ``/Date(1398902400000)/`` are converted to ISO 8601.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from biztalk_services.drivers.biztalk.wire.messages import (
    MAX_MESSAGE_LENGTH,
    ErrorBody,
    UnreadableError,
    check_not_empty,
    malformed,
    parse_error,
)
from biztalk_services.model.redaction import redact

MEDIA_TYPE = "application/json;odata=verbose"
MAX_NESTING = 32
"""Maximum nesting levels of a response; the service uses about eight."""

_MAX_PLAIN_TEXT = 4096
_TOO_DEEP = f"the JSON is nested deeper than {MAX_NESTING} levels"
_DATE = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/")


@dataclass(frozen=True)
class NextPage:
    """The next page of a list: what it extends, and its address, unchecked."""

    entities: list[dict[str, Any]]
    link: str


@dataclass(frozen=True)
class Page:
    """The entities of a page, and the next pages of their list and of the collections expanded in them.

    :param count: how many entities the list has in all; None where the service does not count them.
    """

    entities: list[dict[str, Any]]
    next_pages: list[NextPage]
    count: int | None = None


def parse_page(body: bytes) -> Page:
    """One page of an entity set.

    :raises UnreadableError: the body is not JSON or not a page of entities.
    """
    root = parse_json(body)
    if not isinstance(root, dict) or "d" not in root:
        raise UnreadableError("the JSON is not an OData response: it has no 'd'")
    content = root["d"]
    pages: list[NextPage] = []
    content = {"results": content} if isinstance(content, list) else content
    return Page(_collection(content, pages), pages, _count(content.get("__count")))


def parse_json(body: bytes) -> Any:
    """The content of a JSON body.

    :raises UnreadableError: empty, malformed, not UTF-8, or nested too deep.
    """
    check_not_empty(body)
    content: Any = None
    problem = ""
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_reject_constant)
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError:
        problem = malformed(body, "JSON")
    # Raised outside the handlers: their exceptions contain the whole body.
    if problem or _is_too_deep(content):
        raise UnreadableError(problem or _TOO_DEEP)
    return content


def parse_odata_error(body: bytes, secrets: tuple[str, ...] = ()) -> ErrorBody:
    """As :func:`parse_error`, for an error in JSON, XML or plain text."""
    try:
        root = parse_json(body)
    except UnreadableError:
        error = parse_error(body, secrets)
        return error if error.message or error.code else ErrorBody(None, _plain_text(body, secrets))
    content = root.get("error", root.get("odata.error")) if isinstance(root, dict) else None
    if not isinstance(content, dict):
        return ErrorBody(None, None)
    code, message = content.get("code"), content.get("message")
    message = message.get("value") if isinstance(message, dict) else message
    return ErrorBody(
        redact(code, secrets, limit=64) or None if isinstance(code, str) else None,
        redact(message, secrets, MAX_MESSAGE_LENGTH) or None if isinstance(message, str) else None,
    )


def _collection(content: object, pages: list[NextPage]) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise UnreadableError("the JSON is not a page of entities: it has no list of 'results'")
    entities = [_entity(each, pages) for each in content["results"]]
    link = content.get("__next")
    if link is not None:
        if not isinstance(link, str):
            raise UnreadableError("the address of the next page is not text")
        pages.append(NextPage(entities, link))
    return entities


def _count(value: object) -> int | None:
    """Verbose JSON has the count as text, other forms as a number."""
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
        raise UnreadableError("the count of the entities is not a number")
    return int(str(value))


def _entity(content: Any, pages: list[NextPage]) -> dict[str, Any]:
    metadata = content.get("__metadata") if isinstance(content, dict) else None
    values = metadata if isinstance(metadata, dict) else {}
    uri, etag, kind = values.get("uri"), values.get("etag"), values.get("type")
    if not isinstance(uri, str) or not uri:
        raise UnreadableError("an entity has no address of its own ('__metadata' with 'uri')")
    if not isinstance(etag, str | None) or not isinstance(kind, str | None):
        raise UnreadableError("the ETag or type of an entity is not text")
    identity = {"@id": uri, "@etag": etag or None, "@type": kind.rpartition(".")[2] if kind else None}
    return identity | _properties(content, pages)


def _properties(content: dict[str, Any], pages: list[NextPage]) -> dict[str, Any]:
    return {
        name: _value(value, pages)
        for name, value in content.items()
        if not name.startswith(("__", "@")) and not (isinstance(value, dict) and "__deferred" in value)
    }


def _value(value: Any, pages: list[NextPage]) -> Any:
    if isinstance(value, str):
        return _time(value)
    if isinstance(value, list):
        return [_value(each, pages) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_entity(value):
        return _entity(value, pages)
    results = value.get("results")
    if isinstance(results, list):
        if "__next" not in value and not any(_is_entity(each) for each in results):
            return _value(results, pages)
        return _collection(value, pages)
    return _properties(value, pages)


def _is_entity(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("__metadata"), dict) and "uri" in value["__metadata"]


def _time(text: str) -> str:
    date = _DATE.fullmatch(text)
    if not date:
        return text
    try:
        zone = timezone(timedelta(minutes=int(date[2]))) if date[2] else None
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(date[1]))
        return (at.astimezone(zone) if zone else at.replace(tzinfo=None)).isoformat()
    except (ValueError, OverflowError):
        return text


def _is_too_deep(content: Any) -> bool:
    level = [content]
    for _ in range(MAX_NESTING):
        inner = [list(each.values()) if isinstance(each, dict) else each for each in level]
        level = [each for children in inner if isinstance(children, list) for each in children]
        if not level:
            return False
    return True


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _plain_text(body: bytes, secrets: tuple[str, ...]) -> str | None:
    """A short plain text, as returned by the Access Control Service; None for any other body."""
    text = body.decode("utf-8", "replace").strip()
    if not text or text.startswith(("<", "{", "[")) or "\ufffd" in text or len(text) > _MAX_PLAIN_TEXT:
        return None
    return redact(text, secrets)
