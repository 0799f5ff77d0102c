"""Edits of what a service holds, as its portal would make them."""

from __future__ import annotations

from typing import Any

from biztalk_emulator.business import integrity, quotas
from biztalk_emulator.store import Service

KINDS = ("partners", "agreements", "bridges", "assemblies", "certificates", "transforms", "pipelines", "templates")


class EditError(ValueError):
    """An edit was refused; the message gives every reason."""


def apply(service: Service, edit: dict[str, Any]) -> None:
    """Put entities into a service's content: one whose ``Name`` is there already is replaced, any other is added.

    :param edit: kind of entity to list of entities, e.g. ``{"partners": [...]}``.
    :raises EditError: when the content would be inconsistent or exceed its edition; nothing is changed then.
    """
    content = dict(service.content)
    for kind, entities in edit.items():
        if kind not in KINDS:
            raise EditError(f"{kind!r} cannot be edited; possible are {', '.join(KINDS)}.")
        if not isinstance(entities, list) or not all(
            isinstance(each, dict) and isinstance(each.get("Name"), str) for each in entities
        ):
            raise EditError(f"{kind} must be a list of objects with a Name, which is text.")
        names = [entity["Name"] for entity in entities]
        content[kind] = [each for each in content[kind] if each["Name"] not in names] + entities
    problems = integrity.problems(content) or quotas.excesses(
        content, edition=service.edition, units=service.settings["UnitCount"]
    )
    if problems:
        raise EditError(" ".join(problems))
    service.content = content
