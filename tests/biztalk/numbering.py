"""A service that gives out control numbers, simulated: "reset to the lower limit when out of bound, else fail"."""

from __future__ import annotations

from dataclasses import dataclass, replace

from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds
from biztalk_services.drivers.biztalk.numbers.ranges import Range
from biztalk_services.model.control_numbers import ControlNumberUse

AGREEMENT, KIND = "Fabrikam X12 send", "interchange"


class UsedUpError(Exception):
    """The range has no next number."""


@dataclass
class Numbering:
    """One counter of a service.

    :param range: where it counts.
    :param last: the number given out last.
    """

    range: Range
    last: int | None = None

    def give(self) -> int:
        lower, upper = self.range.lower, self.range.upper
        number = lower if self.last is None or self.last < lower else self.last + 1
        if number > upper:
            if not self.range.rollover:
                raise UsedUpError
            number = lower
        self.last = number
        return number

    def give_up_to(self, count: int) -> list[int]:
        numbers: list[int] = []
        try:
            while len(numbers) < count:
                numbers.append(self.give())
        except UsedUpError:
            pass
        return numbers

    def apply(self, bounds: NewBounds) -> None:
        upper = self.range.upper if bounds.upper is None else bounds.upper
        self.range = replace(self.range, lower=bounds.lower, upper=upper)

    def reset(self, bounds: NewBounds) -> None:
        self.range = bounds.restored


def as_text(pattern: Range, number: int) -> str:
    """A number as it stands in an ISA13: padded with zeros to nine characters."""
    digits = max(9 - len(pattern.prefix) - len(pattern.suffix), 1)
    return f"{pattern.prefix}{number:0{digits}d}{pattern.suffix}"


def use_of(numbers: list[int]) -> ControlNumberUse:
    """What a tracking database returns of numbers that were given out in this order."""
    if not numbers:
        return ControlNumberUse(AGREEMENT, KIND)
    return ControlNumberUse(AGREEMENT, KIND, max(numbers), numbers[-1], len(numbers))
