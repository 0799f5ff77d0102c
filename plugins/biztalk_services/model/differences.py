"""What differs between two inventories: between backup and restored service, or backup and living service."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from biztalk_services.model.inventory import PARTNER_MANAGEMENT, PARTS, Inventory, Item, Scalar
from biztalk_services.model.redaction import redact

Change = Literal["added", "removed", "changed", "not comparable"]
"""``not comparable``: nobody can say whether it differs, because it could not be read on one side or both."""

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same before and after, or of which nobody can say so.

    :param kind: of the item; or ``service``, ``settings``, ``parts``.
    :param name: of the item; or of the service, the setting, the part.
    :param attribute: path of the attribute; None for the whole.
    :param change: what happened to it from before to after.
    :param before: its value before, None where there was none; of an item that is not comparable, why.
    :param after: its value after, likewise.
    :param allowed: whether it was expected.
    """

    kind: str
    name: str
    attribute: str | None
    change: Change
    before: Scalar = None
    after: Scalar = None
    allowed: bool = False

    @property
    def path(self) -> str:
        """What ``allowed`` names: ``settings.Edition``, ``parts.control numbers``, ``service``, or
        ``agreement[Fabrikam X12 send].Description``."""
        if self.kind == "service":
            return self.kind
        if self.kind in ("settings", "parts"):
            return f"{self.kind}.{self.name}"
        return f"{self.kind}[{self.name}]" + (f".{self.attribute}" if self.attribute else "")

    @property
    def what(self) -> str:
        """What differs, for people."""
        named = {"service": "service", "settings": f"setting {self.name}"}
        what = named.get(self.kind, self.name if self.kind == "parts" else f"{self.kind} {self.name}")
        return redact(f"{what}: {self.attribute}" if self.attribute else what, limit=300)

    def sentence(self) -> str:
        """The difference in one sentence."""
        what = self.what[:1].upper() + self.what[1:]
        before, after = shown(self.before), shown(self.after)
        if self.change == "not comparable":
            reasons = "; ".join(
                f"{side} {reason}"
                for side, reason in (("before:", self.before), ("after:", self.after))
                if reason is not None
            )
            told = f"{what} cannot be compared" + (f" ({redact(reasons.rstrip('.'))})" if reasons else "")
        elif self.attribute is None and self.kind not in ("service", "settings"):
            told = f"{what} was {self.change}"
        elif self.change == "changed":
            told = f"{what} changed from {before} to {after}"
        else:
            told = f"{what} was {self.change} ({after if self.change == 'added' else before})"
        return f"{told}{', as expected' if self.allowed else ''}."

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "path": self.path,
            "kind": self.kind,
            "name": self.name,
            "attribute": self.attribute,
            "change": self.change,
            "before": self.before,
            "after": self.after,
            "allowed": self.allowed,
        }


def differences(before: Inventory, after: Inventory, *, allowed: Collection[str] = ()) -> tuple[Difference, ...]:
    """Everything that differs, in a stable order.

    Edition and version are compared as ``settings.Edition`` and ``settings.ServiceVersion``. Times are not compared.
    Nor are control numbers, which go on with the traffic; a restore advances them.

    :param before: as it should be, usually of the backup.
    :param after: as it is.
    :param allowed: paths of differences that are expected, as in :attr:`Difference.path`, or of something that
        contains them (``settings``, ``agreement[Fabrikam X12 send]``); they are marked, not left out.
    """
    found = [*_service(before, after), *_parts(before, after), *_settings(before, after)]
    if not (before.parts.get(PARTNER_MANAGEMENT) or after.parts.get(PARTNER_MANAGEMENT)):
        found += _items(before, after)
    return tuple(
        Difference(**vars(each) | {"allowed": any(_covers(path, each.path) for path in allowed)}) for each in found
    )


def shown(value: Scalar) -> str:
    """A value on one short line, for people."""
    if value is None:
        return "nothing"
    return redact(repr(value) if isinstance(value, str) else str(value), limit=_LONGEST_SHOWN)


def _covers(path: str, other: str) -> bool:
    return other == path or other.startswith((f"{path}.", f"{path}["))


def _service(before: Inventory, after: Inventory) -> Iterator[Difference]:
    if before.service.lower() != after.service.lower():
        yield Difference("service", before.service, None, "changed", before.service, after.service)


def _parts(before: Inventory, after: Inventory) -> Iterator[Difference]:
    for part in sorted({*PARTS, *before.parts, *after.parts}):
        sides = [side.parts.get(part, "It is not in the inventory.") for side in (before, after)]
        if any(sides):
            yield Difference("parts", part, None, "not comparable", sides[0], sides[1])


def _settings(before: Inventory, after: Inventory) -> Iterator[Difference]:
    old, new = (
        {**side.settings, "Edition": side.edition, "ServiceVersion": side.product_version} for side in (before, after)
    )
    for name, change in _changes(old, new):
        yield Difference("settings", name, None, change, old.get(name), new.get(name))


def _items(before: Inventory, after: Inventory) -> Iterator[Difference]:
    old, new = ({(item.kind, item.name): item for item in side.items} for side in (before, after))
    for kind, name in sorted(old.keys() | new.keys()):
        left, right = old.get((kind, name)), new.get((kind, name))
        if left is None:
            yield Difference(kind, name, None, "added")
        elif right is None:
            yield Difference(kind, name, None, "removed")
        elif left.sha256 != right.sha256:
            yield from _attributes(left, right)


def _attributes(before: Item, after: Item) -> Iterator[Difference]:
    for path, change in _changes(before.attributes, after.attributes):
        old, new = before.attributes.get(path), after.attributes.get(path)
        yield Difference(before.kind, before.name, path, change, old, new)


def _changes(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> Iterator[tuple[str, Change]]:
    """Names whose values differ; 1, 1.0 and True differ, for they are written differently."""
    for name in sorted({*before, *after}):
        if name not in after:
            yield name, "removed"
        elif name not in before:
            yield name, "added"
        elif repr(before[name]) != repr(after[name]):
            yield name, "changed"
