"""Whose control numbers an interchange carries: the agreement that has its identities, and the numbers without affixes.

Sources: OnewayAgreement (dn232355) for sender and receiver identity, QualifierIdentity (dn232423).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from biztalk_services.drivers.biztalk.interchanges.envelopes import Identity, Interchange
from biztalk_services.drivers.biztalk.numbers.ranges import Range, ranges_of
from biztalk_services.model.control_numbers import agreement_key
from biztalk_services.model.inventory import Inventory, Item

_DIGITS = re.compile(r"0*[0-9]{1,18}")


@dataclass
class Numbers:
    """The numbers of one agreement and kind in the order of a text, behind the last one of the backup.

    :param highest: None where there are none, so is the latest.
    :param used: how many; one that occurs twice counts twice.
    :param follows_backup: whether the last number of the backup stands before them, and so nothing before it counts.
    """

    highest: int | None = None
    latest: int | None = None
    used: int = 0
    follows_backup: bool = False

    def add(self, number: int) -> None:
        self.highest, self.latest, self.used = max(self.highest or 0, number), number, self.used + 1


@dataclass
class Counted:
    """What was counted of the interchanges of a text.

    :param numbers: by agreement and kind.
    :param interchanges: how many there were.
    :param foreign: how many of them agreements have that do not number them, as those that were received.
    :param unclear: how many cannot be counted for one agreement, by the reason, to follow "interchanges".
    """

    numbers: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    interchanges: int = 0
    foreign: int = 0
    unclear: Counter[str] = field(default_factory=Counter)


class Owners:
    """The agreements of a service by their identities.

    :param inventory: with its agreements, and the last numbers of the backup.
    """

    def __init__(self, inventory: Inventory) -> None:
        last = {use.key: use.latest for use in inventory.control_numbers}
        self._ranges = {place.key: place.range for place in ranges_of(inventory)}
        self._last = {key: last.get((agreement_key(key[0]), key[1])) for key in self._ranges}
        self._agreements: dict[tuple[str, Identity, Identity], list[str]] = {}
        identities = {item.name: _identity(item) for item in inventory.items if item.kind == "identity"}
        for item in inventory.items:
            if item.kind == "agreement":
                sender, receiver = (identities.get(_party(item, end)) for end in ("Sender", "Receiver"))
                if sender and receiver:
                    standard = str(item.attributes.get("ProtocolName") or "").upper()
                    self._agreements.setdefault((standard, sender, receiver), []).append(item.name)

    def count(self, interchange: Interchange, into: Counted) -> None:
        """Count an interchange for its agreement; one that fits none, or several, is unclear and counts for none."""
        into.interchanges += 1
        sender, receiver, standard = interchange.sender, interchange.receiver, interchange.standard
        there = self._agreements.get((standard, sender, receiver), [])
        back = self._agreements.get((standard, receiver, sender), [])
        kind = "acknowledgement" if interchange.is_acknowledgement else "interchange"
        # An agreement acknowledges what it receives, so in the other direction.
        candidates = back if interchange.is_acknowledgement else there
        numbering = [name for name in candidates if (name, kind) in self._ranges]
        if len(numbering) > 1:
            into.unclear[f"from {sender} to {receiver} may be of the agreements {', '.join(numbering)}"] += 1
        elif numbering:
            self._numbers(numbering[0], kind, [interchange.number], into)
            if kind == "interchange":
                self._numbers(numbering[0], "group", interchange.groups, into)
                self._numbers(numbering[0], "transaction_set", interchange.transaction_sets, into)
        elif there or back:
            into.foreign += 1
        else:
            into.unclear[f"from {sender} to {receiver} are of no {standard} agreement of the inventory"] += 1

    def _numbers(self, agreement: str, kind: str, texts: Iterable[str], into: Counted) -> None:
        range_, last = self._ranges.get((agreement, kind)), self._last.get((agreement, kind))
        for text in texts:
            number = _number(text, range_) if range_ else None
            if number is None:
                words = f"{kind.replace('_', ' ')} control number"
                into.unclear[f"of agreement {agreement} have a {words} that is not of its range {range_ or ''}"] += 1
            elif number == last:
                into.numbers[agreement, kind] = Numbers(follows_backup=True)
            else:
                into.numbers.setdefault((agreement, kind), Numbers()).add(number)


def _identity(item: Item) -> Identity:
    return Identity(*(str(item.attributes.get(name) or "").strip() for name in ("Qualifier", "Value")))


def _party(agreement: Item, end: str) -> str:
    """Name of the identity that an agreement has at one end."""
    return "/".join(str(agreement.attributes.get(f"{end}.{part}")) for part in ("Partner", "Profile", "Identity"))


def _number(text: str, range_: Range) -> int | None:
    """A control number without prefix and suffix; None when they are others, or no number is between them."""
    digits = text[len(range_.prefix) : len(text) - len(range_.suffix)]
    if f"{range_.prefix}{digits}{range_.suffix}" != text or not _DIGITS.fullmatch(digits):
        return None
    return int(digits)
