"""What partner management says: pages of entities as verbose JSON (OData 2, WCF Data Services 5.3), made plain.

An entity comes as its properties, with what OData wraps around them left out. Kept are ``@id`` (its address), ``@etag``
(None when it has none) and ``@type`` (``X12ProtocolSettings``). What is merely linked is left out; what was expanded is
a list of entities, or one, or None. Times in the old form ``/Date(1398902400000)/`` become ISO 8601.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from biztalk_services.drivers.biztalk.wire.messages import (
    LARGEST_ANSWER,
    LONGEST_MESSAGE,
    ErrorBody,
    UnreadableError,
    parse_error,
)
from biztalk_services.model.redaction import redact

MEDIA_TYPE = "application/json;odata=verbose"
DEEPEST = 32
"""Levels of nesting in an answer that is read; the service needs about eight."""

_OLD_TIME = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/")


@dataclass(frozen=True)
class More:
    """Where a list goes on that does not end on this page.

    :param entities: the list, to be extended.
    :param link: address of its next page, as it came.
    """

    entities: list[dict[str, Any]]
    link: str


@dataclass(frozen=True)
class Page:
    """Some entities, and what they and the collections expanded in them still lack."""

    entities: list[dict[str, Any]]
    more: list[More]


def parse_page(body: bytes) -> Page:
    """One page of an entity set.

    :raises UnreadableError: no JSON, or no page of entities.
    """
    root = parse_json(body)
    if not isinstance(root, dict) or "d" not in root:
        raise UnreadableError("the JSON is no OData answer: it has no 'd'")
    content = root["d"]
    more: list[More] = []
    return Page(_collection({"results": content} if isinstance(content, list) else content, more), more)


def parse_json(body: bytes) -> Any:
    """The content of a JSON answer.

    :raises UnreadableError: empty, too large, malformed, not UTF-8, or nested too deep.
    """
    if not body.strip():
        raise UnreadableError("the body is empty")
    if len(body) > LARGEST_ANSWER:
        raise UnreadableError(f"the body is larger than {LARGEST_ANSWER} bytes")
    trouble = "the body is an HTML page" if _is_html(body) else "the body is not JSON"
    content = None
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
    except RecursionError:
        trouble = f"the JSON is nested deeper than {DEEPEST} levels"
    except ValueError:
        pass
    else:
        trouble = f"the JSON is nested deeper than {DEEPEST} levels" if _too_deep(content) else ""
    # Not raised above: the exceptions met there hold the whole body.
    if trouble:
        raise UnreadableError(trouble)
    return content


def parse_odata_error(body: bytes, secrets: tuple[str, ...] = ()) -> ErrorBody:
    """Code and message of an error in JSON, XML or plain text; both None when there is none. Never raises.

    :param secrets: exact values that the message must not repeat.
    """
    try:
        root = parse_json(body)
    except UnreadableError:
        found = parse_error(body, secrets)
        return found if found.message or found.code else ErrorBody(None, _plain(body, secrets))
    error = root.get("error", root.get("odata.error")) if isinstance(root, dict) else None
    if not isinstance(error, dict):
        return ErrorBody(None, None)
    code, message = error.get("code"), error.get("message")
    message = message.get("value") if isinstance(message, dict) else message
    return ErrorBody(
        redact(code, secrets, limit=64) or None if isinstance(code, str) else None,
        redact(message, secrets, LONGEST_MESSAGE) or None if isinstance(message, str) else None,
    )


def _collection(content: object, more: list[More]) -> list[dict[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise UnreadableError("the JSON is no page of entities: it has no list of 'results'")
    entities = [_entity(each, more) for each in content["results"]]
    link = content.get("__next")
    if link is not None:
        if not isinstance(link, str):
            raise UnreadableError("the address of the next page is no text")
        more.append(More(entities, link))
    return entities


def _entity(content: object, more: list[More]) -> dict[str, Any]:
    about = content.get("__metadata") if isinstance(content, dict) else None
    uri, etag, kind = (about.get(name) for name in ("uri", "etag", "type")) if isinstance(about, dict) else (None,) * 3
    if not isinstance(uri, str) or not uri:
        raise UnreadableError("an entity does not say its own address ('__metadata' with 'uri')")
    if not isinstance(etag, str | None) or not isinstance(kind, str | None):
        raise UnreadableError("an entity's ETag or type is no text")
    told = {"@id": uri, "@etag": etag or None, "@type": kind.rpartition(".")[2] if kind else None}
    return told | _properties(content, more)


def _properties(content: dict[str, Any], more: list[More]) -> dict[str, Any]:
    return {
        name: _value(value, more)
        for name, value in content.items()
        if not name.startswith(("__", "@")) and not (isinstance(value, dict) and "__deferred" in value)
    }


def _value(value: Any, more: list[More]) -> Any:
    if isinstance(value, str):
        return _time(value)
    if isinstance(value, list):
        return [_value(each, more) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_entity(value):
        return _entity(value, more)
    results = value.get("results")
    if isinstance(results, list):
        if "__next" not in value and not any(_is_entity(each) for each in results):
            return _value(results, more)
        return _collection(value, more)
    return _properties(value, more)


def _is_entity(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("__metadata"), dict) and "uri" in value["__metadata"]


def _time(text: str) -> str:
    old = _OLD_TIME.fullmatch(text)
    if not old:
        return text
    try:
        zone = timezone(timedelta(minutes=int(old[2]))) if old[2] else None
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(old[1]))
        return (at.astimezone(zone) if zone else at.replace(tzinfo=None)).isoformat()
    except (ValueError, OverflowError):
        return text


def _too_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html"))


def _plain(body: bytes, secrets: tuple[str, ...]) -> str | None:
    """A short text as the Access Control Service answers it; None when it is something else."""
    text = body.decode("utf-8", "replace").strip()
    if not text or text.startswith(("<", "{", "[")) or "\ufffd" in text or len(text) > LARGEST_ANSWER // 1024:
        return None
    return redact(text, secrets)
