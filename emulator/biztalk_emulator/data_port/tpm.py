"""What a service's trading partner management shows: the entities in its content and how they lead to each other.

Sources: "TPM OM API: Exposed Entities and Properties" (MSDN dn232408) and the pages of the entities: Agreement
dn232365, OnewayAgreement dn232355, BusinessProfile dn232356, QualifierIdentity dn232423, BatchDescription dn232373,
X12ProtocolSettings dn232372, EDIFACTProtocolSettings dn606264. An agreement here is one direction, so it has what the
documents give to OnewayAgreement as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from biztalk_emulator.business.content import Agreement, Content, Party

_HIGHEST_ID = 2**31 - 1
_SETTINGS_TYPE = {"X12": "X12ProtocolSettings", "EDIFACT": "EDIFACTProtocolSettings", "AS2": "AS2ProtocolSettings"}
_KIND_NAMES = {
    "interchange": "Interchange",
    "group": "Group",
    "transaction_set": "TransactionSet",
    "acknowledgement": "Acknowledgement",
}
_RANGE_PARTS = ("LowerBound", "UpperBound", "Prefix", "Suffix", "Rollover")
_LONG = ("InterchangeSize", "TimeoutInSeconds", "RecurrencePeriodInSeconds")


class Long(int):
    """An Edm.Int64, which verbose JSON writes as text."""


class Many(list[str]):
    """A collection of texts."""


@dataclass
class Entity:
    """One entity.

    :param set: the entity set that it is in.
    :param type: name of its type.
    :param key: names that make it unique within its set.
    :param id: derived from `key`, so a restored service has the same.
    :param leads_to: navigation properties: an entity, a list of entities, or None.
    """

    set: str
    type: str
    key: tuple[str, ...]
    id: int
    properties: dict[str, Any]
    leads_to: dict[str, Entity | list[Entity] | None] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Weak, as for an entity with a version of bytes."""
        text = json.dumps([self.type, self.key, self.properties], sort_keys=True)
        return f"W/\"X'{hashlib.sha256(text.encode()).hexdigest()[:16].upper()}'\""


SETS = (
    "Partners",
    "BusinessProfiles",
    "BusinessIdentities",
    "CertificateReferences",
    "Agreements",
    "ProtocolSettings",
    "BatchDescriptions",
)


class Model:
    """All entities of a service, in the order of its content."""

    def __init__(self, content: Content) -> None:
        self.sets: dict[str, list[Entity]] = {name: [] for name in SETS}
        self._content = content
        self._by_key: dict[tuple[str, ...], Entity] = {}
        self._add_partners()
        for agreement in content["agreements"]:
            self._add_agreement(agreement)
        for entities in self.sets.values():
            _number(entities)

    def find(self, entity_set: str, entity_id: int) -> Entity | None:
        """One entity by its set and id."""
        return next((each for each in self.sets[entity_set] if each.id == entity_id), None)

    def _add(self, entity_set: str, entity_type: str, key: Iterable[str], properties: dict[str, Any]) -> Entity:
        entity = Entity(entity_set, entity_type, tuple(key), 0, properties)
        self.sets[entity_set].append(entity)
        self._by_key[entity_set, *entity.key] = entity
        return entity

    def _add_partners(self) -> None:
        certificates = {each["Name"]: each for each in self._content["certificates"]}
        for partner in self._content["partners"]:
            named = {"Name": partner["Name"], "Description": partner["Description"], "Host": partner["Host"]}
            owner = self._add("Partners", "Partner", [partner["Name"]], named)
            profiles = owner.leads_to["BusinessProfiles"] = []
            references = owner.leads_to["CertificateReferences"] = []
            for profile in partner["Profiles"]:
                named = {"Name": profile["Name"], "Description": profile["Description"]}
                side = self._add("BusinessProfiles", "BusinessProfile", [partner["Name"], profile["Name"]], named)
                identities = [
                    self._add(
                        "BusinessIdentities",
                        "QualifierIdentity",
                        [*side.key, each["Name"]],
                        {"Name": each["Name"], "Qualifier": each["Qualifier"], "Value": each["Value"]},
                    )
                    for each in profile["Identities"]
                ]
                held = [
                    self._add(
                        "CertificateReferences",
                        "CertificateReference",
                        [*side.key, use],
                        {
                            part: certificates[name][part]
                            for part in ("Name", "Kind", "Subject", "Thumbprint", "NotAfter")
                        }
                        | {"Use": use},
                    )
                    for use, name in profile["Certificates"].items()
                    if name in certificates
                ]
                side.leads_to = {
                    "Partner": owner,
                    "BusinessIdentities": identities,
                    "CertificateReferences": held,
                }
                profiles.append(side)
                references.extend(held)

    def _add_agreement(self, agreement: Agreement) -> None:
        name, protocol = agreement["Name"], agreement["Protocol"]
        entity = self._add("Agreements", "Agreement", [name], _agreement_properties(agreement))
        settings = self._add("ProtocolSettings", _SETTINGS_TYPE[protocol], [name], settings_properties(agreement))
        batches = [
            self._add(
                "BatchDescriptions", "BatchDescription", [name, batch["Name"]], _batch_properties(batch, protocol)
            )
            for batch in agreement.get("Batches", [])
        ]
        entity.leads_to = {
            "ProtocolSettings": settings,
            "BatchDescriptions": batches,
            "SenderBusinessIdentity": self._identity(agreement["Sender"]),
            "ReceiverBusinessIdentity": self._identity(agreement["Receiver"]),
        }
        settings.leads_to = {"Agreement": entity}
        for batch in batches:
            batch.leads_to = {"OnewayAgreement": entity}

    def _identity(self, party: Party) -> Entity | None:
        return self._by_key.get(("BusinessIdentities", party["Partner"], party["Profile"], party["Identity"]))


def range_properties(agreement: Agreement) -> dict[str, tuple[str, str]]:
    """Name of each property that holds a part of a control number range, with the kind and the part."""
    return {
        f"{_KIND_NAMES[kind]}ControlNumber{part}": (kind, part)
        for kind in _KIND_NAMES
        if kind in agreement.get("ControlNumbers", {})
        for part in _RANGE_PARTS
    }


def settings_properties(agreement: Agreement) -> dict[str, Any]:
    """Properties of the protocol settings of an agreement; those of control numbers it does not generate are absent."""
    if agreement["Protocol"] == "AS2":
        return dict(agreement.get("AS2", {}))
    properties: dict[str, Any] = {}
    for name, (kind, part) in range_properties(agreement).items():
        value = agreement["ControlNumbers"][kind][part]
        long = part.endswith("Bound") and agreement["Protocol"] == "EDIFACT"
        properties[name] = Long(value) if long else value
    return properties


def _agreement_properties(agreement: Agreement) -> dict[str, Any]:
    properties = {
        "Name": agreement["Name"],
        "ProtocolName": agreement["Protocol"],
        "Description": "",
        "EnabledInternal": agreement["EnabledInternal"],
        "StartDateInternal": agreement["StartDateInternal"],
        "EndDateInternal": None,
        "Direction": agreement["Direction"],
        "Sender": dict(agreement["Sender"]),
        "Receiver": dict(agreement["Receiver"]),
        "DocumentTypes": Many(agreement["DocumentTypes"]),
        "Bridge": agreement["Bridge"],
        "Transform": agreement["Transform"],
        "Transport": dict(agreement["Transport"]),
    }
    for name in ("Version", "UseGroups", "AcknowledgementRequired", "DuplicateCheckDays"):
        if name in agreement:
            properties[name] = agreement[name]
    return properties


def _batch_properties(batch: Any, protocol: str) -> dict[str, Any]:
    return {name: Long(value) if name in _LONG else value for name, value in batch.items()} | {"ProtocolName": protocol}


def _number(entities: list[Entity]) -> None:
    """Give ids: a hash of the key, the next free number where two are equal."""
    used: set[int] = set()
    for entity in sorted(entities, key=lambda each: each.key):
        digest = hashlib.sha256("\0".join((entity.set, *entity.key)).encode()).digest()
        number = int.from_bytes(digest[:4]) % _HIGHEST_ID + 1
        while number in used:
            number = number % _HIGHEST_ID + 1
        used.add(number)
        entity.id = number
        entity.properties = {"Id": number, **entity.properties}
