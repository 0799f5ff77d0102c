"""Dataclasses as plain JSON values and back: for XCom, for records in the archive, for trigger arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """A value as plain JSON values; times as ISO 8601 with their offset."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    return value


def from_plain(kind: type[T], values: Any) -> T:
    """The dataclass behind :func:`to_plain`; fields that it does not have are ignored.

    :param values: plain JSON values. Types are not converted: a number in place of a text is refused.
    :raises ValueError: a value is missing or of the wrong type; the message names it.
    """
    missing = [
        each.name for each in fields(cast(Any, kind)) if not isinstance(values, Mapping) or each.name not in values
    ]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    try:
        return cast(T, _adapter(kind).validate_json(json.dumps(values), strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ValueError(f"{where} is of the wrong type ({first['msg']})") from None


def texts_in(value: Any) -> Iterator[str]:
    """Every text in plain JSON values, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield name
            yield from texts_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_in(part)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
