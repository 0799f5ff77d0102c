"""Dataclasses as plain JSON values and back: for XCom, for records in the archive, for trigger arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Self, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

_SURROGATE = re.compile("[\ud800-\udfff]")


class Plain:
    """A dataclass that is stored or handed on as plain JSON values."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return dict(to_plain(self))

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The object behind :meth:`to_dict`; fields that it does not have are ignored.

        :raises ValueError: the values are not such an object; the message names what is wrong.
        """
        return from_plain(cls, values)


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
    if isinstance(value, frozenset):
        return sorted(to_plain(part) for part in value)
    return value


def from_plain(kind: type[T], values: Any) -> T:
    """The dataclass behind :func:`to_plain`; fields that it does not have are ignored.

    :param values: plain JSON values. Types are not converted: a number in place of a text is refused.
    :raises ValueError: a value is missing, also one that has a default, or of the wrong type; the message names it.
    """
    missing = [
        each.name for each in fields(cast(Any, kind)) if not isinstance(values, Mapping) or each.name not in values
    ]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    try:
        read = cast(T, _adapter(cast(Any, kind)).validate_json(_json(values), strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ValueError(f"{where} is of the wrong type ({first['msg']})") from None
    if missing := list(_left_out(read, values)):
        raise ValueError(f"{', '.join(missing)} is missing")
    return read


def _left_out(read: Any, values: Any, where: str = "") -> Iterator[str]:
    """Paths of the fields that the values do not have, so that their defaults were read."""
    if is_dataclass(read):
        for each in fields(read):
            if each.name in values:
                yield from _left_out(getattr(read, each.name), values[each.name], f"{where}{each.name}.")
            else:
                yield f"{where}{each.name}"
    elif isinstance(read, (list, tuple)):
        for number, (part, value) in enumerate(zip(read, values, strict=True)):
            yield from _left_out(part, value, f"{where}{number}.")
    elif isinstance(read, Mapping):
        for name in read.keys() & values.keys():
            yield from _left_out(read[name], values[name], f"{where}{name}.")


def parsed(content: bytes | str) -> Any:
    """The values in a JSON document.

    :raises ValueError: it is not JSON, or it is nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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


def _json(values: Any) -> str:
    """The values as JSON; half of a surrogate pair, which pydantic refuses, as its visible escape."""
    text = json.dumps(values, ensure_ascii=False)
    return _SURROGATE.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
