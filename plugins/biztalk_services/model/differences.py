"""What differs between two inventories: between backup and restored service, or backup and existing service."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from biztalk_services.model.inventory import PARTNER_MANAGEMENT, PARTS, Inventory, Scalar
from biztalk_services.model.redaction import redact

Change = Literal["added", "removed", "changed", "not comparable"]
"""``not comparable``: whether it differs is not known, because it could not be read on one side or both."""

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same before and after, or of which that is not known.

    :param kind: of the item; or ``service``, ``settings``, ``parts``.
    :param attribute: path of the attribute; None for the whole.
    :param before: its value before, None where there was none; of what is not comparable, why. So is ``after``.
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
            sides = (("before", self.before), ("after", self.after))
            reasons = "; ".join(f"{side}: {reason}" for side, reason in sides if reason is not None)
            text = f"{what} cannot be compared" + (f" ({redact(reasons.rstrip('.'))})" if reasons else "")
        elif self.attribute is None and self.kind not in ("service", "settings"):
            text = f"{what} was {self.change}"
        elif self.change == "changed":
            text = f"{what} changed from {before} to {after}"
        else:
            text = f"{what} was {self.change} ({after if self.change == 'added' else before})"
        return f"{text}{', as expected' if self.allowed else ''}."

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the path."""
        return {"path": self.path, **asdict(self)}


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
    return tuple(replace(each, allowed=any(_covers(path, each.path) for path in allowed)) for each in found)


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
    for name, change, was, now in _changes(old, new):
        yield Difference("settings", name, None, change, was, now)


def _items(before: Inventory, after: Inventory) -> Iterator[Difference]:
    old, new = ({(item.kind, item.name): item for item in side.items} for side in (before, after))
    for kind, name in sorted(old.keys() | new.keys()):
        left, right = old.get((kind, name)), new.get((kind, name))
        if left is None:
            yield Difference(kind, name, None, "added")
        elif right is None:
            yield Difference(kind, name, None, "removed")
        elif left.sha256 != right.sha256:
            for path, change, was, now in _changes(left.attributes, right.attributes):
                yield Difference(kind, name, path, change, was, now)


def _changes(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> Iterator[tuple[str, Change, Scalar, Scalar]]:
    """Names whose values differ, with both; 1, 1.0 and True differ, for they are written differently."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if name not in after:
            yield name, "removed", old, new
        elif name not in before:
            yield name, "added", old, new
        elif repr(old) != repr(new):
            yield name, "changed", old, new
