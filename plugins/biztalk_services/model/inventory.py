"""The inventory: what a service held at one moment, written so that another service can be compared with it.

It is taken at a backup and lies in the catalog beside the backup reference. It holds no secret, and nothing that
differs in a restored service without anybody's doing: no numeric id, no address of an entity, no ETag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from biztalk_services.model.control_numbers import ControlNumberUse, agreement_key
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plain import from_plain, parsed, texts_in, to_plain
from biztalk_services.model.redaction import HIDDEN, looks_secret

SCHEMA_VERSION = 1

PARTNER_MANAGEMENT = "partner management"
CONTROL_NUMBERS = "control numbers"
PARTS = (PARTNER_MANAGEMENT, CONTROL_NUMBERS)
"""Parts that may be unreadable: the items, and the use of control numbers."""

Scalar = str | int | float | bool | None

_SECRET_NAME = re.compile(
    r"(?i)(password|passphrase|pwd|secret|token|connectionstring|(account|access|shared|private)key)"
)


class InvalidInventoryError(BackupServiceError):
    """A record is not an inventory that this version understands; the message says why."""


@dataclass(frozen=True)
class Item:
    """One thing that a service holds.

    :param kind: ``partner``, ``profile``, ``identity``, ``certificate``, ``agreement``, ``protocol settings`` or
        ``batch``.
    :param name: here and in a restored service (``Fabrikam/Default``).
    :param attributes: path -> value (``Sender.Partner``, ``DocumentTypes[0]``), without secrets.
    """

    kind: str
    name: str
    attributes: Mapping[str, Scalar]

    @cached_property
    def sha256(self) -> str:
        """Of the attributes, lower-case hex; equal exactly when all attributes are."""
        content = json.dumps(dict(self.attributes), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return sha256(content.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the hash."""
        return {"kind": self.kind, "name": self.name, "sha256": self.sha256, "attributes": dict(self.attributes)}


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a service held.

    :param edition: lower case; None when not reported, so is the version.
    :param taken_at: aware.
    :param items: sorted by kind and name; incomplete when the part ``partner management`` could not be read.
    :param settings: its settings without secrets, as in :class:`biztalk_services.model.service.Service`.
    :param control_numbers: what was given out up to then, as far as known.
    :param parts: one of ``PARTS`` -> None, or the sentence why it could not be read.
    :raises InvalidInventoryError: a time without zone, two items of one kind and name, or what looks like a secret.
    """

    service: str
    edition: str | None
    product_version: str | None
    taken_at: datetime
    items: tuple[Item, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    control_numbers: tuple[ControlNumberUse, ...] = ()
    parts: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(PARTS))

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.service):
            raise InvalidInventoryError("The service of an inventory is not a name that storage can hold.")
        if self.taken_at.tzinfo is None:
            raise InvalidInventoryError("The time taken_at of an inventory has no time zone.")
        if len({(item.kind, item.name) for item in self.items}) < len(self.items):
            raise InvalidInventoryError("An inventory has two items of the same kind and name.")
        if not all(_is_scalar(value) for item in self.items for value in item.attributes.values()):
            raise InvalidInventoryError(
                "An inventory has an attribute that is not a text, number, truth value or null."
            )
        for name, value in self.to_dict().items():
            if any(looks_secret(text) for text in texts_in(value)):
                raise InvalidInventoryError(f"{name} of an inventory looks like it holds a secret. Leave it out.")
        for item in self.items:
            for path, value in item.attributes.items():
                if is_secret(path, value):
                    raise InvalidInventoryError(f"{path} of {item.kind} {item.name} looks like a secret. Leave it out.")

    def last_number(self, agreement: str, kind: str) -> int | None:
        """The last control number that an agreement (any case) had given out; None when not known, or none was."""
        use = self.use_of(agreement, kind)
        return use.latest if use else None

    def use_of(self, agreement: str, kind: str) -> ControlNumberUse | None:
        """What an agreement (any case) had used of one kind; None when it is not named."""
        return self._uses.get((agreement_key(agreement), kind))

    @cached_property
    def _uses(self) -> dict[tuple[str, str], ControlNumberUse]:
        return {use.key: use for use in self.control_numbers}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        items = [item.to_dict() for item in self.items]
        return {"schema_version": SCHEMA_VERSION, **to_plain(self), "items": items}

    def to_bytes(self) -> bytes:
        """The inventory as JSON; equal inventories give equal bytes."""
        return (json.dumps(self.to_dict(), ensure_ascii=True, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Inventory:
        """The inventory behind ``to_bytes``.

        :raises InvalidInventoryError: it is not JSON, or as :meth:`from_dict`.
        """
        try:
            values = parsed(content)
        except ValueError:
            raise InvalidInventoryError("This is not an inventory: it is not JSON.") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Inventory:
        """The inventory behind ``to_dict``; fields that are not of this schema version are passed over.

        :raises InvalidInventoryError: of a newer version, incomplete, changed since, or not an inventory.
        """
        version = values.get("schema_version") if isinstance(values, Mapping) else None
        if type(version) is not int or version < 1:
            raise InvalidInventoryError("This is not an inventory: it has no schema_version.")
        if version > SCHEMA_VERSION:
            raise InvalidInventoryError(
                f"This inventory has schema version {version}; this program understands up to {SCHEMA_VERSION}. "
                "Use the version that wrote it, or a newer one."
            )
        try:
            inventory = from_plain(cls, values)
        except ValueError as error:
            raise InvalidInventoryError(f"This inventory cannot be read: {error}.") from None
        for item, record in zip(inventory.items, values["items"], strict=True):
            if record.get("sha256") != replace(item, attributes=record["attributes"]).sha256:
                raise InvalidInventoryError(
                    f"{item.kind} {item.name} of this inventory was changed after it was written: its attributes do "
                    "not match its SHA-256. Restore the file."
                )
        return inventory


def is_secret(path: str, value: Scalar) -> bool:
    """Whether an attribute of this path holds, by its name or by its value, what an inventory never holds."""
    if not isinstance(value, str) or not value or value == HIDDEN:
        return False
    leaf = re.sub(r"\[[^\]]*\]$", "", path).rpartition(".")[2]
    return bool(_SECRET_NAME.search(leaf)) or looks_secret(value) or looks_secret(f"{leaf}={value}")


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (str, int, bool)) or (isinstance(value, float) and value - value == 0)
