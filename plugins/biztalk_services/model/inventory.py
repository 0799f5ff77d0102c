"""The inventory: what a service held at one moment, told so that another service can be compared with it.

It is taken at a backup and lies in the catalog beside the backup reference. It holds no secret, and nothing that
differs in a restored service without anybody's doing: no numeric id, no address of an entity, no ETag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from biztalk_services.model.control_number_use import ControlNumberUse
from biztalk_services.model.errors import BackupServiceError
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
    :param name: what it is called here and in a restored service (``Fabrikam/Default``).
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
        """Plain JSON values."""
        return {"kind": self.kind, "name": self.name, "sha256": self.sha256, "attributes": dict(self.attributes)}


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a service held.

    :param service: its name.
    :param edition: lower case; None when it did not say, so are the next two.
    :param product_version: its version.
    :param taken_at: aware time.
    :param items: sorted by kind and name; incomplete when the part ``partner management`` could not be read.
    :param settings: its settings without secrets, as in :class:`biztalk_services.model.service.Service`.
    :param counts: how many of each kind the descriptor of its backup counts, None where it does not; empty without a
        backup.
    :param control_numbers: what was given out up to then, as far as the tracking database knows.
    :param parts: one of ``PARTS`` -> None, or the sentence why it could not be read.
    :raises InvalidInventoryError: a time without zone, two items of the same kind and name, or what looks like a secret.
    """

    service: str
    edition: str | None
    product_version: str | None
    taken_at: datetime
    items: tuple[Item, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int | None] = field(default_factory=dict)
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
            if any(looks_secret(text) for text in _texts(value)):
                raise InvalidInventoryError(f"{name} of an inventory looks like it holds a secret. Leave it out.")
        for item in self.items:
            for path, value in item.attributes.items():
                if is_secret(path, value):
                    raise InvalidInventoryError(f"{path} of {item.kind} {item.name} looks like a secret. Leave it out.")

    def last_number(self, agreement: str, kind: str) -> int | None:
        """The last control number that an agreement had given out; None when not known, or when there was none.

        :param agreement: its name, any case.
        """
        wanted = (agreement.casefold(), kind)
        found = (use.latest for use in self.control_numbers if (use.agreement.casefold(), use.kind) == wanted)
        return next(found, None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return {
            "schema_version": SCHEMA_VERSION,
            "service": self.service,
            "edition": self.edition,
            "product_version": self.product_version,
            "taken_at": self.taken_at.isoformat(),
            "items": [item.to_dict() for item in self.items],
            "settings": dict(self.settings),
            "counts": dict(self.counts),
            "control_numbers": [use.to_dict() for use in self.control_numbers],
            "parts": dict(self.parts),
        }

    def to_bytes(self) -> bytes:
        """The inventory as JSON; equal inventories give equal bytes."""
        return (json.dumps(self.to_dict(), ensure_ascii=True, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Inventory:
        """The inventory behind ``to_bytes``.

        :raises InvalidInventoryError: no JSON, of a newer version, incomplete, or not an inventory at all.
        """
        try:
            values = json.loads(content)
        except (ValueError, RecursionError):
            raise InvalidInventoryError("This is not an inventory: it is not JSON.") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Inventory:
        """The inventory behind ``to_dict``; fields that are not of this schema version are passed over.

        :raises InvalidInventoryError: of a newer version, incomplete, changed after it was written, or not an inventory at
            all.
        """
        version = values.get("schema_version") if isinstance(values, Mapping) else None
        if type(version) is not int or version < 1:
            raise InvalidInventoryError("This is not an inventory: it has no schema_version.")
        if version > SCHEMA_VERSION:
            raise InvalidInventoryError(
                f"This inventory has schema version {version}; this program understands up to {SCHEMA_VERSION}. "
                "Use the version that wrote it, or a newer one."
            )
        names = [each.name for each in fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise InvalidInventoryError(f"This inventory is incomplete: {', '.join(missing)} is missing.")
        try:
            return cls(**{name: _READERS[name](values[name]) for name in names})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInventoryError(
                f"This inventory cannot be read: {error} is missing or of the wrong kind."
            ) from None


def is_secret(path: str, value: Scalar) -> bool:
    """Whether an attribute of this path holds, by its name or by its value, what an inventory never holds."""
    if not isinstance(value, str) or not value or value == HIDDEN:
        return False
    leaf = re.sub(r"\[[^\]]*\]$", "", path).rpartition(".")[2]
    return bool(_SECRET_NAME.search(leaf)) or looks_secret(value) or looks_secret(f"{leaf}={value}")


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (str, int, bool)) or (isinstance(value, float) and value - value == 0)


def _item(value: Mapping[str, Any]) -> Item:
    item = Item(_text(value["kind"]), _text(value["name"]), dict(value["attributes"]))
    if item.sha256 != value["sha256"]:
        raise InvalidInventoryError(
            f"{item.kind} {item.name} of this inventory was changed after it was written: its attributes do not match "
            "its SHA-256. Restore the file."
        )
    return item


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60}")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r:.60}")
    return value


_READERS = {
    "service": _text,
    "edition": _optional_text,
    "product_version": _optional_text,
    "taken_at": datetime.fromisoformat,
    "items": lambda value: tuple(_item(each) for each in value),
    "settings": lambda value: {_text(name): _text(text) for name, text in value.items()},
    "counts": lambda value: {_text(kind): _count(count) for kind, count in value.items()},
    "control_numbers": lambda value: tuple(ControlNumberUse.from_dict(use) for use in value),
    "parts": lambda value: {_text(part): _optional_text(sentence) for part, sentence in value.items()},
}


def _texts(value: Any) -> Iterator[str]:
    """Every text in plain JSON values, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield name
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
