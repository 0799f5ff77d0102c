"""The description of a choice that a person makes: the form, the command line and the dataclass all come from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

_HAS_LETTER_OR_DIGIT = "(?=[._-]*[A-Za-z0-9])"
ADDRESS = f"^({_HAS_LETTER_OR_DIGIT}[A-Za-z0-9._-]{{1,250}}/){{0,2}}{_HAS_LETTER_OR_DIGIT}[A-Za-z0-9._-]{{1,64}}$"
"""``name``, ``scope/name`` or ``connection/scope/name``."""

MOMENT = "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2}))?$"
CONNECTION_ID = "^[A-Za-z0-9._-]{0,250}$"


@dataclass(frozen=True)
class Choice:
    """How the form shows and checks a value; None: no such limit.

    :param values: the values to choose from, each with its explanation.
    :param pattern: regular expression of a text.
    :param is_option: whether the command line has it, too.
    """

    title: str
    description: str = ""
    section: str = ""
    values: Mapping[str, str] | None = None
    pattern: str | None = None
    max_length: int | None = None
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    is_option: bool = True


def choice(default: Any, title: str, description: str = "", **how: Any) -> Any:
    """A field of a dataclass that is a choice; parameters as :class:`Choice`."""
    return field(default=default, metadata={"choice": Choice(title, description, **how)})


def choices_of(kind: type) -> Iterator[tuple[Field[Any], Choice]]:
    """The fields of a dataclass that are choices, in order."""
    return ((each, each.metadata["choice"]) for each in fields(kind) if "choice" in each.metadata)


def check_value(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of those allowed; a template is checked when it is rendered.

    :raises ValueError: it is not one of them.
    """
    if value not in allowed and "{{" not in str(value):
        raise ValueError(f"{name} is {value!r}; it is one of {', '.join(allowed)}.")


def add_option(group: Any, option: str, *, help: str, default: Any = None, **how: Any) -> None:
    """Add an option that may stand in an environment variable: ``--port`` in ``BIZTALK_PORT``."""
    variable = f"BIZTALK_{option.strip('-').upper().replace('-', '_')}"
    group.add_argument(option, default=os.environ.get(variable) or default, help=f"{help} [{variable}]", **how)


def add_arguments(group: Any, kind: type, *, without: tuple[str, ...] = ()) -> None:
    """Add the options of a command line for the choices of a dataclass, all but those ``without``."""
    for each, choice in choices_of(kind):
        if not choice.is_option or each.name in without:
            continue
        how: dict[str, Any] = {"help": f"{choice.title[:1].lower()}{choice.title[1:]}. {choice.description}".strip()}
        if each.default is False:
            how["action"] = "store_true"
        else:
            how["default"] = each.default
            if isinstance(each.default, int):
                how["type"] = _number_of(choice)
            if choice.values:
                how["choices"] = tuple(choice.values)
        group.add_argument(f"--{each.name.replace('_', '-')}", **how)


def _number_of(choice: Choice) -> Any:
    def count(text: str) -> int:
        number = int(text)
        if not (choice.minimum or 0) <= number <= (choice.maximum or number):
            raise ValueError
        return number

    return count
