"""Whether a value from outside has the shape of its type, for the types of :mod:`.content`."""

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

_SCALARS = {str: "text", int: "a whole number", bool: "true or false", type(None): "null"}


def misfits(value: Any, wanted: Any, owner: str, part: str = "") -> Iterator[str]:
    """Where a value does not have the shape of its type, one sentence each.

    :param wanted: a TypedDict, list, dict with text as keys, literal, scalar, union of these, or Any.
    :param owner: whose value it is, to begin a sentence with.
    :param part: name of the value in its owner; empty: it is the owner.
    """
    name = f"{owner}: {part}" if part else owner
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return
    if is_typeddict(wanted):
        yield from _misfits_of_object(value, wanted, name)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{name} is a list."
            return
        for index, each in enumerate(value):
            yield from misfits(each, arguments[0], f"{name} {_label(each, index)}")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{name} is an object."
            return
        for key, each in value.items():
            yield from misfits(each, arguments[1], f"{name} '{key}'")
    elif origin is Literal:
        if value not in arguments:
            yield f"{owner} has a {part} of {' or '.join(arguments)}."
    elif origin is UnionType:
        if all(any(misfits(value, each, owner, part)) for each in arguments):
            yield f"{name} is {' or '.join(_SCALARS[each] for each in arguments)}."
    elif type(value) is not wanted:
        yield f"{name} is {_SCALARS[wanted]}."


def _misfits_of_object(value: Any, wanted: Any, name: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{name} is an object."
        return
    if missing := wanted.__required_keys__ - value.keys():
        yield f"{name} lacks {', '.join(sorted(missing))}."
    if unknown := value.keys() - wanted.__required_keys__ - wanted.__optional_keys__:
        yield f"{name} has unknown {', '.join(sorted(unknown))}."
    for key, kind in _types_in(wanted).items():
        if key in value:
            yield from misfits(value[key], kind, name, key)


def _label(entity: Any, index: int) -> str:
    named = isinstance(entity, dict) and isinstance(entity.get("Name"), str)
    return f"'{entity['Name']}'" if named else f"number {index + 1}"


@cache
def _types_in(wanted: Any) -> dict[str, Any]:
    return get_type_hints(wanted)
