"""Agreements that count for the same partner: what one has used, the other one may not give out.

A partner tells interchanges apart by sender, receiver and number, whichever agreement they are of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from biztalk_services.drivers.biztalk.numbers.ranges import Place, Range
from biztalk_services.model.control_numbers import agreement_key
from biztalk_services.model.inventory import Inventory, Item

Key = tuple[str, str]
"""Of a :class:`biztalk_services.drivers.biztalk.numbers.ranges.Counter`."""


def sharing(places: Sequence[Place], inventory: Inventory) -> Mapping[Key, tuple[Key, ...]]:
    """Each counter -> the others of the same kind, sender and receiver whose numbers look the same and may be equal."""
    parties = {agreement_key(item.name): _parties(item) for item in inventory.items if item.kind == "agreement"}
    alike: dict[tuple[object, ...], list[Place]] = {}
    for place in places:
        if both := parties.get(agreement_key(place.agreement)):
            look = (both, place.kind, place.protocol, place.range.prefix, place.range.suffix)
            alike.setdefault(look, []).append(place)
    return {
        place.key: tuple(other.key for other in group if other is not place and _overlap(place.range, other.range))
        for group in alike.values()
        for place in group
    }


def _overlap(one: Range, other: Range) -> bool:
    return one.lower <= other.upper and other.lower <= one.upper


def _parties(agreement: Item) -> tuple[str, ...]:
    """Sender and receiver, as the agreement names them; empty where it does not name both."""
    named = {
        path: f"{path}={str(value).casefold()}"
        for path, value in agreement.attributes.items()
        if path.startswith(("Sender", "Receiver")) and value not in (None, "")
    }
    has_both = all(any(path.startswith(end) for path in named) for end in ("Sender", "Receiver"))
    return tuple(sorted(named.values())) if has_both else ()
