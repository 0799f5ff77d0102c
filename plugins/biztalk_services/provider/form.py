"""The forms of runs, out of the description of each choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field
from typing import Any

from airflow.sdk import Param
from airflow.sdk.configuration import conf

from biztalk_services.model.choices import Choice, choices_of

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def form(
    *kinds: type,
    defaults: Mapping[str, Any] | None = None,
    also: Mapping[str, str] | None = None,
    offers: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Param]:
    """The form of a run: one parameter for each choice of these dataclasses.

    :param defaults: defaults other than those of the dataclasses, by field
    :param also: further JSON types that a field takes
    :param offers: texts that a field offers, beside which it takes any other
    """
    return {
        each.name: _param(
            each,
            choice,
            (defaults or {}).get(each.name, each.default),
            (also or {}).get(each.name),
            (offers or {}).get(each.name),
        )
        for kind in kinds
        for each, choice in choices_of(kind)
    }


def _param(each: Field[Any], choice: Choice, default: Any, also: str | None, offers: Sequence[str] | None) -> Param:
    if default is MISSING and not conf.getboolean("core", "dag_run_conf_overrides_params"):
        default = ""  # No value reaches the steps, and without a default none of them could start and say so.
    schema: dict[str, Any] = {
        "title": choice.title,
        "description": choice.description or None,
        "section": choice.section,
        "maxLength": choice.max_length,
        "minimum": choice.minimum,
        "exclusiveMinimum": choice.exclusive_minimum,
        "maximum": choice.maximum,
        "examples": list(offers) if offers else None,
    }
    kind = _TYPES.get(str(each.type).partition("[")[0], "string")
    if str(each.type).startswith("tuple"):
        kind, default = "array", list(default) or None
        schema["items"] = {"type": "string", "pattern": choice.pattern}
    else:
        schema["pattern"] = choice.pattern
    optional = (default in (None, "", 0) and kind != "boolean" and choice.values is None) or default == ""
    if choice.values:
        schema["enum"] = [*([None] if default == "" else []), *choice.values]
        if any(choice.values.values()):
            schema["values_display"] = {
                value: explanation if explanation.startswith(value) else f"{value}: {explanation}"
                for value, explanation in choice.values.items()
            }
    types = [*(["null"] if optional else []), kind, *([also] if also else [])]
    schema["type"] = types if len(types) > 1 else types[0]
    schema = {name: value for name, value in schema.items() if value is not None}
    if default is MISSING:
        return Param(**schema)
    return Param(None if optional else default, **schema)
