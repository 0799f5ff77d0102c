"""From which control number on may a restored service continue, so that its partners see none twice?

A restored service continues from the moment of the backup; partners reject a number that they saw in the last days, or
match acknowledgements to the wrong message. The remedy is that of Logic Apps, the successor: advance the numbers by
more than was used since. No setter of the counter itself is documented. But a last number outside its range makes the
service begin at the lower bound, so that the bounds, which can be changed, move it; once the first new number was given
out, they may go back to what they were.

Sources: "BizTalk Services: Backup and Restore", Restore; X12ProtocolSettings (dn232372) and EDIFACTProtocolSettings
(dn606264); BizTalk Server on duplicates and on the reset at the upper limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers, open_numbers
from biztalk_services.drivers.biztalk.numbers.partners import INCREASING, Partner
from biztalk_services.drivers.biztalk.numbers.ranges import Counter, Place, Range, property_name
from biztalk_services.drivers.biztalk.numbers.settle import Settled
from biztalk_services.drivers.biztalk.numbers.walk import Span, room
from biztalk_services.model.control_numbers import ControlNumberUse


@dataclass(frozen=True, kw_only=True)
class NewBounds(Counter):
    """Bounds that let the service continue beyond what was used.

    :param lower: the lower bound to set, and the next number.
    :param upper: the upper bound to set; None: it stays.
    :param restored: the range as it was at the backup.
    :param room: how many different numbers come from the new bounds before one that may have been used.
    """

    lower: int
    upper: int | None = None
    restored: Range
    room: int
    reason: str

    def changes(self) -> dict[str, int]:
        """The properties of ``ProtocolSettings`` to change, before the service is resumed."""
        lower = {property_name(self.kind, "LowerBound"): self.lower}
        return lower if self.upper is None else lower | {property_name(self.kind, "UpperBound"): self.upper}

    @property
    def range(self) -> Range:
        """The range with these bounds."""
        upper = self.restored.upper if self.upper is None else self.upper
        return replace(self.restored, lower=self.lower, upper=upper)


@dataclass(frozen=True)
class Terms:
    """What the next numbers have to respect.

    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :param in_window: how many were used in the partner's window of days; None when not known, or the window is endless.
    :param others: numbers of agreements that count for the same partner.
    :param shared: says so in a sentence, where there are such.
    """

    margin: int
    partner: Partner = INCREASING
    in_window: int | None = None
    others: tuple[Span, ...] = ()
    shared: str = ""


def new_bounds(
    place: Place, restored: Range, settled: Settled, use: ControlNumberUse, terms: Terms
) -> NewBounds | OpenNumbers | None:
    """What has to be done before a restored agreement may give out control numbers again.

    None: nothing, because none was ever used, because none is left, or because the range begins beyond all that were.

    New bounds: the next number then is the last one used, plus the margin, plus one. Of the numbers up to there the
    margin ones may have been used without being seen. From there on at least ``margin`` different ones (at least one)
    come of which the partner takes each, before the bounds end or start over.

    A range that starts over does so for this, too, where the numbers at its beginning may come again. Where the last
    number of the backup is in the way, that becomes the upper bound: the restored counter is there, so that the service
    starts over at once.

    Open numbers: none of these bounds will do, or the partner needs more than is known.

    :param place: as at the backup.
    :param restored: the range that the restored service has now.
    :param use: what was seen since the backup.
    """
    case = _Case(place, settled, use, terms)
    if not settled.steps and (not case.taboo or settled.walk.first is None):
        return None
    if problem := place.range.problem(place.protocol):
        return open_numbers(place, "control-number-range", f"The range {problem}. Correct it, then plan again.")
    if settled.steps and terms.partner.policy == "gapless" and (doubt := case.doubt()):
        return open_numbers(place, "control-numbers-known", doubt, settled.source)
    found = case.decided()
    if isinstance(found, NewBounds) and found.range == restored:
        return found
    is_untouched = not settled.steps and not case.margin
    if (is_untouched or restored != place.range) and case.will_do(restored):
        return None
    return found


@dataclass(frozen=True)
class _Case:
    """A range, what was used of it, and what has to be respected."""

    place: Place
    settled: Settled
    use: ControlNumberUse
    terms: Terms

    @property
    def margin(self) -> int:
        is_begun = self.settled.steps or self.settled.walk.last is not None
        return self.terms.margin if is_begun and self.terms.partner.policy != "gapless" else 0

    @property
    def wanted(self) -> int:
        """How many numbers have to be left; of a counter that was not seen to be in use, the next one."""
        return max(self.margin, 1) if self.settled.steps else 1

    @property
    def last(self) -> int | None:
        """Where the restored counter is, or the highest number at which it may be."""
        return self.settled.walk.last if self.settled.counter else self.settled.latest

    @property
    def starts_over(self) -> bool:
        """Whether numbers from before the backup may come again, as far as the range lets them."""
        endless = self.terms.partner.window_days == 0
        allowed = self.terms.partner.policy != "unique" if endless else self.terms.in_window is not None
        return self.place.range.rollover and self.settled.counter and allowed

    @property
    def taboo(self) -> tuple[Span, ...]:
        """The numbers that may not come."""
        if not self.settled.steps + self.margin:
            return self.terms.others
        walk, end = self.settled.walk, self.settled.steps + self.margin
        if not self.starts_over:
            begin = 1 - ((walk.first or walk.range.lower) - walk.range.lower)
            if walk.range.rollover and self.settled.highest is not None:
                return (*walk.spans(begin, end), (walk.range.lower, self.settled.highest), *self.terms.others)
        elif self.terms.partner.window_days and self.terms.in_window is not None:
            unseen = max(self.terms.margin, self.settled.steps - self.settled.least)
            begin = self.settled.steps - self.terms.in_window - unseen + 1
        else:
            begin = 1
        return (*walk.spans(begin, end), *self.terms.others)

    def doubt(self) -> str | None:
        """Why the next number is not certain."""
        known = self.settled
        if known.counter and known.steps == known.least == self.use.used and known.source.startswith("seen"):
            return None
        there = f"up to {known.latest} there are {known.steps}" if known.counter else "whose last number is not known"
        return (
            f"The partner takes no gap, and which number comes next is not certain: {self.use.used} were counted since "
            f"the backup, {there}. Ask the partner for the last number received, and set the lower bound to the "
            "next one by hand."
        )

    def decided(self) -> NewBounds | OpenNumbers:
        for lower, upper in self.candidates():
            first, count = room(replace(self.place.range, lower=lower, upper=upper), self.last, self.taboo)
            if first == lower and count >= self.wanted and self.follows(first):
                return self.bounds(lower, None if upper == self.place.range.upper else upper, count)
        return self.no_room()

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Lower and upper bounds to try, the nearest next number first."""
        whole, last = self.place.range, self.last
        following = self.settled.walk.number(self.settled.steps + self.margin + 1)
        beyond = {end + 1 for _, end in self.terms.others}
        for lower in sorted(beyond | {following}, key=lambda number: ((number - following) % whole.size, number)):
            if whole.lower <= lower <= whole.upper:
                yield lower, whole.upper
                if self.starts_over and last is not None and lower <= last < whole.upper:
                    yield lower, last
        if self.starts_over and last is not None and whole.lower <= last < whole.upper:
            yield whole.lower, last

    def follows(self, number: int) -> bool:
        is_next = number == self.settled.walk.number(self.settled.steps + 1)
        return is_next or self.terms.partner.policy != "gapless"

    def will_do(self, restored: Range) -> bool:
        """Whether the restored service gives out nothing that is taboo, as it is."""
        first, count = room(restored, self.last, self.taboo)
        return first is not None and count >= self.wanted and self.follows(first)

    def used_since(self) -> str:
        if not self.use.used:
            numbers = f"no {self.place.numbers} since the backup, as far as seen"
            return f"Agreement {self.place.agreement} has given out {numbers}"
        named = {"highest": self.use.highest, "latest": self.settled.latest}
        if named["highest"] in (None, named["latest"]):
            named.pop("latest" if named["highest"] is not None else "highest")
        numbers = ", the ".join(f"{name} {number}" for name, number in named.items())
        return (
            f"Agreement {self.place.agreement} has given out {self.use.used} {self.place.numbers} since the backup, "
            f"the {numbers}"
        )

    def bounds(self, lower: int, upper: int | None, count: int) -> NewBounds:
        changed = "the lower bound" if upper is None else "both bounds"
        stop = "" if upper is None else f", and {upper} the last before it starts over"
        shared = f" {self.terms.shared}" if self.terms.shared else ""
        reason = (
            f"{self.used_since()}.{shared} With a margin of {self.margin} the next one has to be {lower}{stop}. "
            f"Once it was given out, {changed} may go back to {self.place.range}."
        )
        return NewBounds(
            *self.place.key, lower=lower, upper=upper, restored=self.place.range, room=count, reason=reason
        )

    def no_room(self) -> OpenNumbers:
        whole = self.place.range
        if not whole.rollover:
            why = "its range does not start over"
        elif not self.settled.counter:
            why = "where it may start over is not known without the last number of the backup"
        elif not self.starts_over and self.terms.partner.window_days:
            why = f"how many were used in the {self.terms.partner.window_days} days of its partner is not known"
        elif not self.starts_over:
            why = "its partner takes none a second time"
        else:
            met = "were used since the backup" if self.settled.steps else "may not come again"
            why = f"starting over would meet numbers that {met}"
        shared = f" {self.terms.shared}" if self.terms.shared else ""
        sentence = (
            f"{self.used_since()}.{shared} The range {whole} has no room for a margin of {self.margin} beyond that, "
            f"and {why}."
        )
        highest_upper = whole.highest_upper(self.place.protocol)
        lower = max(self.settled.walk.number(self.settled.steps + self.margin), whole.upper) + 1
        if lower <= highest_upper:
            sentence += (
                f" The upper bound can be raised up to {highest_upper}; agree on it with the partner, and set the "
                f"lower bound to {lower} by hand, too."
            )
        else:
            sentence += " Agree with the partner on a number to continue with, or on another prefix or suffix."
        if not self.use.used:
            sentence += " Or plan with a smaller margin: none was seen since the backup."
        if self.terms.partner.window_days == 0 and whole.rollover:
            sentence += " Where numbers may come again after some days, say so in the option control_number_partners."
        return OpenNumbers(*self.place.key, rule="control-numbers-room", sentence=sentence, source=self.settled.source)
