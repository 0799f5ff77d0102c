"""What keeps a restored service from giving out control numbers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from biztalk_services.drivers.biztalk.numbers.ranges import Counter, Place

Rule = Literal["control-numbers-known", "control-numbers-agree", "control-numbers-room", "control-number-range"]
"""What is not fulfilled: that it is known which numbers were used; that all who say so agree; that the range has room
beyond them; that the range can be used."""


@dataclass(frozen=True, kw_only=True)
class OpenNumbers(Counter):
    """Control numbers that a person has to advance; the sentence says why, and what to do.

    :param source: where what is known of them is from, as in :class:`biztalk_services.model.control_numbers.NumberRow`.
    """

    rule: Rule
    sentence: str
    source: str = "unknown"

    def __str__(self) -> str:
        return f"{self.rule}: {self.sentence}"


def open_numbers(place: Place, rule: Rule, sentence: str, source: str = "unknown") -> OpenNumbers:
    """:param sentence: what is said of the agreement's numbers, which are named before it."""
    sentence = f"Agreement {place.agreement}, {place.numbers}: {sentence}"
    return OpenNumbers(*place.key, rule=rule, sentence=sentence, source=source)
