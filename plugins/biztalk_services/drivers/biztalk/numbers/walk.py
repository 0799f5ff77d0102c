"""The order in which a service gives out the numbers of a range, from the last one of the backup on.

Step 1 is the first number after the backup. Numbers used since are steps 1 to n, and what may not come again is a span
of steps; in the range it is one span of numbers, or two where the range starts over within it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from biztalk_services.drivers.biztalk.numbers.ranges import Range

Span = tuple[int, int]
"""Two numbers and all between them."""


@dataclass(frozen=True)
class Walk:
    """The numbers that follow the last one of a backup.

    :param last: None when none was given out, so that the range is begun.
    """

    range: Range
    last: int | None

    @property
    def first(self) -> int | None:
        """The number of step 1; None when the range is used up."""
        return self.range.after(self.last)

    def number(self, step: int) -> int:
        """The number of a step, also of one before the first; beyond the range where that does not start over."""
        first = self.range.lower if self.first is None else self.first
        number = first + step - 1
        return self.range.lower + (number - self.range.lower) % self.range.size if self.range.rollover else number

    def step(self, number: int) -> int | None:
        """The first step, from 1 on, that gives out a number; None when none does."""
        if self.first is None or not self.range.lower <= number <= self.range.upper:
            return None
        if self.range.rollover:
            return (number - self.first) % self.range.size + 1
        return number - self.first + 1 if number >= self.first else None

    def steps_to(self, number: int, used: int) -> int | None:
        """How many steps lead to a number when at least so many were used: whole rounds more, where these need them."""
        steps = self.step(number)
        if steps is None or steps >= used:
            return steps
        return steps - (steps - used) // self.range.size * self.range.size if self.range.rollover else None

    def spans(self, first: int, last: int) -> tuple[Span, ...]:
        """The numbers of the steps first to last, which may begin before step 1."""
        if last < first:
            return ()
        if not self.range.rollover:
            return ((self.number(first), self.number(last)),)
        if last - first + 1 >= self.range.size:
            return ((self.range.lower, self.range.upper),)
        start, end = self.number(first), self.number(last)
        return ((start, end),) if start <= end else ((start, self.range.upper), (self.range.lower, end))


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same numbers in as few spans as there can be, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)


def room(restored: Range, last: int | None, taboo: tuple[Span, ...]) -> tuple[int | None, int]:
    """The number that comes next in a range, and how many different ones come before one that is taboo.

    Without a next number, which is None, there are none.
    """
    first = restored.after(last)
    if first is None:
        return None, 0
    total = 0
    for begin, end in ((first, restored.upper), *(((restored.lower, first - 1),) if restored.rollover else ())):
        barred = min((max(span[0], begin) for span in taboo if span[0] <= end and span[1] >= begin), default=None)
        if barred is not None:
            return first, total + barred - begin
        total += end - begin + 1
    return first, total
