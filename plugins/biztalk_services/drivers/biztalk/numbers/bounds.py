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

from dataclasses import dataclass
from typing import Literal

from biztalk_services.drivers.biztalk.numbers.ranges import Counter, Place, Range, property_name
from biztalk_services.model.control_numbers import ControlNumberUse

Rule = Literal["control-numbers-known", "control-numbers-room", "control-number-range"]
"""What is not fulfilled: that it is known what was used since; that the range has room beyond it; that the range can be
used."""


@dataclass(frozen=True, kw_only=True)
class NewBounds(Counter):
    """Bounds that let the service continue beyond what was used.

    :param lower: the lower bound to set; the next number too, unless the restored counter is beyond it already.
    :param upper: the upper bound to set; None: it stays.
    :param restored: the range as it was restored.
    :param room: how many numbers the new bounds hold.
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


@dataclass(frozen=True, kw_only=True)
class OpenNumbers(Counter):
    """Control numbers that a person has to advance; the sentence says why, and what to do."""

    rule: Rule
    sentence: str


def new_bounds(
    place: Place, *, last: int | None, use: ControlNumberUse | None, margin: int
) -> NewBounds | OpenNumbers | None:
    """What has to be done before a restored agreement may give out control numbers again.

    None: nothing, because nothing was used since the backup, or because the range begins beyond it already.

    New bounds: the next number then is the highest one used, plus the margin, plus one. Of the numbers up to there the
    margin ones may have been used without being seen. From there on no number comes that was used since the backup, and
    at least ``margin`` different ones (at least one) come before the bounds end or start over.

    With rollover, and no such room above the highest one, the agreement starts over, as it would have done without the
    restore: at the lower bound or, where it has done so since the backup already, at the latest number used, plus the
    margin, plus one. It then has to stop at the last number of the backup, for those above it were used since: this
    becomes the upper bound, and because the restored counter is there, the service starts over at once.

    Open numbers: neither is possible, or not enough is known.

    :param last: the last number given out before the backup; None when not known, or when there was none.
    :param use: what was given out since, perhaps nothing; None when not known.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :raises ValueError: a negative margin.
    """
    if margin < 0:
        raise ValueError("The margin of control numbers is a count: 0 or more.")
    if use and not use.used:
        return None
    if problem := place.range.problem(place.protocol):
        return _open(place, "control-number-range", f"The range {problem}. Correct it, then plan again.")
    if use is None:
        return _open(
            place,
            "control-numbers-known",
            "Which were used since the backup is unknown. Make the connection to the tracking database work, or ask "
            "the partner for the last number received and set the lower bound beyond it by hand.",
        )
    return _Case(place, place.range, last, use, margin).decided()


def _open(place: Place, rule: Rule, sentence: str) -> OpenNumbers:
    sentence = f"Agreement {place.agreement}, {place.numbers}: {sentence}"
    return OpenNumbers(*place.key, rule=rule, sentence=sentence)


@dataclass(frozen=True)
class _Case:
    """A range that can be used, and what was used of it."""

    place: Place
    restored: Range
    last: int | None
    use: ControlNumberUse
    margin: int

    def decided(self) -> NewBounds | OpenNumbers | None:
        highest, latest = self.use.highest or 0, self.use.latest or 0
        wanted = max(self.margin, 1)
        beyond = highest + self.margin + 1
        if beyond <= self.restored.lower:
            return None
        if not self.restored.rollover and self.last is not None and self.last >= beyond:
            enough = self.restored.upper - self.last >= wanted
            return None if enough else self.no_room(f"the counter is at {self.last}")
        if self.restored.upper - beyond + 1 >= wanted:
            return self.bounds(beyond, None)
        if problem := self.problem_with_starting_over(highest, latest):
            return self.no_room(problem)
        last = self.last or 0
        # At the lower bound, or above it when the margin reaches beyond the upper one.
        start_over = self.restored.lower + max(0, latest + self.margin - self.restored.upper)
        again = latest + self.margin + 1 if latest < last else start_over
        if last < self.restored.upper and self.use.used < self.restored.size and last - again + 1 >= wanted:
            return self.bounds(again, last)
        return self.no_room("starting over would meet numbers that were used since the backup")

    def problem_with_starting_over(self, highest: int, latest: int) -> str | None:
        if not self.restored.rollover:
            return "its range does not start over"
        unknown = "where it may start over is not known"
        if self.last is None:
            return f"{unknown} without the last number of the backup"
        if self.after_the_backup(self.last) != (highest, latest):
            return f"{unknown}, because these are not the numbers that follow {self.last}, the last one of the backup"
        return None

    def after_the_backup(self, last: int) -> tuple[int, int]:
        """Highest and latest number when as many as were used were given out after the last one, with rollover."""
        first = self.restored.after(last) or last + 1
        end = first + self.use.used - 1
        if end <= self.restored.upper:
            return end, end
        return self.restored.upper, self.restored.lower + (end - self.restored.lower) % self.restored.size

    def used_since(self) -> str:
        latest = "" if self.use.latest == self.use.highest else f", the latest {self.use.latest}"
        return (
            f"Agreement {self.place.agreement} has given out {self.use.used} {self.place.numbers} since the backup, "
            f"the highest {self.use.highest}{latest}"
        )

    def bounds(self, lower: int, upper: int | None) -> NewBounds:
        changed = "the lower bound" if upper is None else "both bounds"
        stop = "" if upper is None else f", and {upper} the last before it starts over"
        reason = (
            f"{self.used_since()}. With a margin of {self.margin} the next one has to be {lower}{stop}. "
            f"Once it was given out, {changed} may go back to {self.restored}."
        )
        room = (self.restored.upper if upper is None else upper) - lower + 1
        return NewBounds(*self.place.key, lower=lower, upper=upper, restored=self.restored, room=room, reason=reason)

    def no_room(self, why: str) -> OpenNumbers:
        sentence = (
            f"{self.used_since()}. The range {self.restored} has no room for a margin of {self.margin} beyond that, "
            f"and {why}."
        )
        highest_upper = self.restored.highest_upper(self.place.protocol)
        if highest_upper > self.restored.upper:
            sentence += f" The upper bound can be raised up to {highest_upper}; agree on it with the partner."
        else:
            sentence += " Agree with the partner on a number to continue with, or on another prefix or suffix."
        return OpenNumbers(*self.place.key, rule="control-numbers-room", sentence=sentence)
