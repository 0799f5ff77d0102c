"""A service that gives out control numbers, simulated: "reset to the lower limit when out of bound, else fail"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds, Terms, new_bounds
from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers
from biztalk_services.drivers.biztalk.numbers.ranges import Place, Range
from biztalk_services.drivers.biztalk.numbers.settle import Answers, Before, Settled, settle
from biztalk_services.model.control_numbers import ControlNumberUse, UseReport

SINCE = datetime(2026, 1, 1, 2, tzinfo=UTC)
NOW = SINCE + timedelta(days=1)
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
        self.range = bounds.range

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


def settled(
    pattern: Range,
    last: int | None,
    use: ControlNumberUse | list[int] | None,
    ever: ControlNumberUse | list[int] | None = None,
    *,
    sent: ControlNumberUse | None = None,
    margin: int = 50,
    used_before: int | None = None,
    known: bool = True,
    protocol: str = "X12",
) -> Settled | OpenNumbers:
    """What is settled, where a database says this.

    :param use: since the backup; None when not known.
    :param ever: None when it was not asked.
    :param known: whether the last number of the backup is.
    """
    use, ever = (use_of(each) if isinstance(each, list) else each for each in (use, ever))
    report = UseReport(source="the database", query="query 1f2e3d4c", since=SINCE, checked_at=NOW)
    answers = Answers(use, ever, sent, report, "the archive")
    place = Place(AGREEMENT, KIND, protocol, pattern)
    return settle(place, Before(last, used_before, known), answers, margin=margin)


def needed(
    pattern: Range,
    last: int | None,
    use: ControlNumberUse | list[int] | None,
    margin: int = 50,
    *,
    now: Range | None = None,
    terms: dict[str, Any] | None = None,
    **more: Any,
) -> NewBounds | OpenNumbers | None:
    """What has to be done, with the parameters of :func:`settled`.

    :param now: the range of the restored service.
    :param terms: of :class:`biztalk_services.drivers.biztalk.numbers.bounds.Terms`.
    """
    use = use_of(use) if isinstance(use, list) else use
    found = settled(pattern, last, use, margin=margin, **more)
    if isinstance(found, OpenNumbers):
        return found
    place = Place(AGREEMENT, KIND, more.get("protocol", "X12"), pattern)
    seen = use or ControlNumberUse(AGREEMENT, KIND)
    return new_bounds(place, now or pattern, found, seen, Terms(margin, **(terms or {})))
