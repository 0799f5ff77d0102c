"""The range that an agreement takes its control numbers of one kind from, as the service's settings give it.

Sources: X12ProtocolSettings (dn232372) and EDIFACTProtocolSettings (dn606264) for lower bound, upper bound, prefix,
suffix and rollover; the X12 and EDIFACT standards for the widths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from biztalk_services.model.control_numbers import KINDS
from biztalk_services.model.inventory import Inventory

HIGHEST = 999_999_999
"""The highest bound that the settings take."""

WIDTHS = {"X12": 9, "EDIFACT": 14}
"""Characters that prefix, number and suffix may have together, by protocol; of another one it is not known."""


@dataclass(frozen=True)
class Range:
    """A range of control numbers; the service takes the next one as :meth:`after` says.

    :param upper: perhaps unusable, see :meth:`problem`.
    :param rollover: whether the upper bound is followed by the lower one; otherwise by nothing, and nothing is sent.
    """

    lower: int
    upper: int
    prefix: str = ""
    suffix: str = ""
    rollover: bool = False

    def __str__(self) -> str:
        return f"{self.prefix}{self.lower}{self.suffix} to {self.prefix}{self.upper}{self.suffix}"

    @property
    def size(self) -> int:
        return self.upper - self.lower + 1

    def after(self, last: int | None) -> int | None:
        """The number that the service gives out next: the one after the last, but never one outside the range.

        A last number below the range counts as none. BizTalk Server: "reset to the lower limit when out of bound". None
        when the range is used up.
        """
        if last is None or last < self.lower:
            return self.lower
        if last < self.upper:
            return last + 1
        return self.lower if self.rollover else None

    def problem(self, protocol: str) -> str | None:
        """Why numbers cannot be taken from this range, to follow "The range"; None when they can."""
        if not 1 <= self.lower <= self.upper <= HIGHEST:
            return f"is {self}, which is not within 1 to {HIGHEST} in rising order"
        width = WIDTHS.get(protocol.upper())
        if width and len(f"{self.prefix}{self.upper}{self.suffix}") > width:
            return f"is {self}, which exceeds the {width} characters of {protocol.upper()}"
        return None

    def highest_upper(self, protocol: str) -> int:
        """The highest upper bound that the field can carry beside prefix and suffix."""
        digits = WIDTHS.get(protocol.upper(), 9) - len(self.prefix) - len(self.suffix)
        return min(HIGHEST, int(10 ** max(digits, 0)) - 1)


@dataclass(frozen=True)
class Counter:
    """One counter of a service: an agreement has one for each kind of control number."""

    agreement: str
    kind: str

    @property
    def key(self) -> tuple[str, str]:
        return self.agreement, self.kind

    @property
    def numbers(self) -> str:
        """What it counts, in words."""
        return f"{self.kind.replace('_', ' ')} control numbers"


@dataclass(frozen=True)
class Place(Counter):
    """Where a service numbers: ``X12`` or ``EDIFACT``, and what the numbers are taken from."""

    protocol: str
    range: Range


UNREADABLE = Range(0, 0)
"""Stands for a range that is there but cannot be read; no service gives out a number from it."""


def ranges_of(inventory: Inventory) -> Iterator[Place]:
    """All ranges in the protocol settings of an inventory."""
    protocols = {item.name: item.attributes.get("ProtocolName") for item in inventory.items if item.kind == "agreement"}
    for item in inventory.items:
        if item.kind == "protocol settings":
            kind_of_settings = str(item.attributes.get("Type") or "").removesuffix("ProtocolSettings")
            protocol = str(protocols.get(item.name) or kind_of_settings).upper()
            for kind in KINDS:
                try:
                    found = range_from_settings(item.attributes, kind)
                except ValueError:
                    found = UNREADABLE
                if found:
                    yield Place(item.name, kind, protocol, found)


def range_from_settings(settings: Mapping[str, Any], kind: str) -> Range | None:
    """The range of one kind in a ``ProtocolSettings`` entity; None when it has none, for the agreement generates none.

    :param settings: numbers may be text, as OData writes long ones.
    :raises ValueError: only a part of the range is there, or of the wrong kind.
    """
    names = {part: property_name(kind, part) for part in ("LowerBound", "UpperBound", "Prefix", "Suffix", "Rollover")}
    found = {part: settings.get(name) for part, name in names.items()}
    if all(value is None for value in found.values()):
        return None
    return Range(
        _number(found["LowerBound"], names["LowerBound"]),
        _number(found["UpperBound"], names["UpperBound"]),
        _text(found["Prefix"], names["Prefix"]),
        _text(found["Suffix"], names["Suffix"]),
        _truth(found["Rollover"], names["Rollover"]),
    )


def property_name(kind: str, part: str) -> str:
    """Name of a property of ``ProtocolSettings``; part: ``LowerBound``, ``UpperBound``, ``Prefix``, ..."""
    return f"{kind.title().replace('_', '')}ControlNumber{part}"


def _number(value: Any, name: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    if type(value) is not int:
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a number")
    return value


def _text(value: Any, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a text")
    return value or ""


def _truth(value: Any, name: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is {str(value)[:40]!r}, neither true nor false")
    return bool(value)
