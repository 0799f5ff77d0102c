"""Makes an inventory out of what a service and its partner management tell.

Sources: the pages on partner management entities (dn232408, dn232365, dn232356, dn232372, dn606264, dn232373).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.inventory import CONTROL_NUMBERS, PARTNER_MANAGEMENT, Inventory, Item, Scalar, is_secret
from biztalk_services.model.redaction import HIDDEN, redact
from biztalk_services.model.service import Service

Entity = Mapping[str, Any]

ENTITY_SETS: dict[str, tuple[str, ...]] = {
    "Partners": (),
    "BusinessProfiles": ("Partner", "BusinessIdentities", "CertificateReferences"),
    "CertificateReferences": (),
    "Agreements": ("ProtocolSettings", "BatchDescriptions"),
}
"""Entity sets that an inventory is made of, each with the links to expand."""

_NOT_READ = "It was not read."
_LINKS = frozenset(
    {"Partner", "BusinessProfiles", "BusinessIdentities", "CertificateReferences", "ProtocolSettings"}
    | {"BatchDescriptions", "Agreement", "OnewayAgreement"}
)
_LONGEST = 10_000_000


def inventory_of(
    service: Service,
    entities: Mapping[str, Sequence[Entity]] | None,
    *,
    taken_at: datetime,
    uses: UseReport | None = None,
    problem: str | None = None,
) -> Inventory:
    """The inventory of a service.

    :param entities: ``ENTITY_SETS``, as the partner management client reads them; None when they could not be read.
    :param uses: the control numbers given out ``EVER``; None when they were not read.
    :param problem: why the entities could not be read; None when they were.
    """
    items = _Items(entities or {})
    unreadable = problem or (_NOT_READ if entities is None else items.problem())
    unknown = _NOT_READ if uses is None else uses.problem
    return Inventory(
        service=service.ref.name,
        edition=service.edition,
        product_version=service.version,
        taken_at=taken_at,
        items=items.sorted(),
        settings=dict(service.settings),
        control_numbers=uses.uses if uses else (),
        parts={PARTNER_MANAGEMENT: unreadable and redact(unreadable), CONTROL_NUMBERS: unknown and redact(unknown)},
    )


def protocol_settings_of(entities: Mapping[str, Sequence[Entity]], agreement: str) -> Entity | None:
    """The settings of an agreement (any case), with the ``@id`` and ``@etag`` that a change of them needs."""
    for each in entities.get("Agreements", ()):
        if str(each.get("Name")).casefold() == agreement.casefold():
            for settings in _linked(each, "ProtocolSettings"):
                return settings
    return None


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Path and value of everything inside a property; secrets hidden, ids and addresses left out.

    Entries of a list are identified by their name where each has one, else by their place.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not _is_volatile(name, part):
                yield from flatten(part, f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        names = [each.get("Name") if isinstance(each, Mapping) else None for each in value]
        by_name = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for place, (name, part) in enumerate(zip(names, value, strict=True)):
            yield from flatten(part, f"{path}[{name if by_name else place}]")
    else:
        yield redact(path, limit=_LONGEST), _shown(path, value)


class _Items:
    """The items in entities, and what was missing to name them all."""

    def __init__(self, entities: Mapping[str, Sequence[Entity]]) -> None:
        self._missing = [f"{each} was not read" for each in ENTITY_SETS if each not in entities]
        self._found: list[Item] = []
        for partner in entities.get("Partners", ()):
            self._add("partner", [partner])
        for profile in entities.get("BusinessProfiles", ()):
            self._profile(profile)
        for certificate in entities.get("CertificateReferences", ()):
            self._add("certificate", [certificate])
        for agreement in entities.get("Agreements", ()):
            self._agreement(agreement)

    def problem(self) -> str | None:
        """Why the items are not all; None when they are."""
        return "; ".join(dict.fromkeys(self._missing)) + "." if self._missing else None

    def sorted(self) -> tuple[Item, ...]:
        """The items by kind and name, those of the same name numbered by their content."""
        ordered = sorted(self._found, key=lambda item: (item.kind, item.name, item.sha256))
        seen: Counter[tuple[str, str]] = Counter()
        numbered: list[Item] = []
        for item in ordered:
            seen[item.kind, item.name] += 1
            place = seen[item.kind, item.name]
            numbered.append(item if place == 1 else Item(item.kind, f"{item.name} #{place}", item.attributes))
        return tuple(sorted(numbered, key=lambda item: (item.kind, item.name)))

    def _profile(self, profile: Entity) -> None:
        owner = self._inside(profile, "Partner", "BusinessProfiles")
        certificates = self._inside(profile, "CertificateReferences", "BusinessProfiles")
        path = [*owner[:1], profile]
        used = ", ".join(sorted(_named(each) for each in certificates))
        self._add("profile", path, {"CertificateReferences": used} if "CertificateReferences" in profile else {})
        for identity in self._inside(profile, "BusinessIdentities", "BusinessProfiles"):
            self._add("identity", [*path, identity])

    def _agreement(self, agreement: Entity) -> None:
        self._add("agreement", [agreement])
        for settings in self._inside(agreement, "ProtocolSettings", "Agreements"):
            kind = {"Type": str(settings["@type"])} if settings.get("@type") else {}
            self._add("protocol settings", [agreement], kind, settings)
        for batch in self._inside(agreement, "BatchDescriptions", "Agreements"):
            self._add("batch", [agreement, batch])

    def _inside(self, entity: Entity, link: str, entity_set: str) -> list[Entity]:
        if link not in entity:
            self._missing.append(f"{link} of {entity_set} were not read")
        return _linked(entity, link)

    def _add(
        self, kind: str, path: list[Entity], more: Mapping[str, Scalar] | None = None, entity: Entity | None = None
    ) -> None:
        entity = path[-1] if entity is None else entity
        own = {name: value for name, value in entity.items() if isinstance(value, str) or name not in _LINKS}
        attributes = dict(flatten(own))
        name = "/".join(_named(each) for each in path)
        self._found.append(Item(kind, name, dict(sorted((attributes | dict(more or {})).items()))))


def _linked(entity: Entity, link: str) -> list[Entity]:
    linked = entity.get(link)
    several: Iterable[Any] = linked if isinstance(linked, (list, tuple)) else [linked]
    return [each for each in several if isinstance(each, Mapping)]


def _named(entity: Entity) -> str:
    return redact(str(entity.get("Name") or "(unnamed)"))


def _is_volatile(name: str, value: Any) -> bool:
    """Whether a property differs in a restored service: what OData adds, and numeric ids."""
    if name.startswith(("@", "__")) or name.lower() in ("id", "etag", "uri"):
        return True
    return bool(re.search(r"[a-z](Id|ID)$", name)) and not isinstance(value, (str, Mapping, list))


def _shown(path: str, value: Any) -> Scalar:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    text = re.sub(r"(//)[^/@\s]*@", r"\1", redact(str(value), limit=_LONGEST))
    return HIDDEN if is_secret(path, text) else text
