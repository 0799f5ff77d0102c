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

from biztalk_services.drivers.biztalk.numbers.ranges import Range, property_name
from biztalk_services.model.control_numbers import ControlNumberUse

Rule = Literal["control-numbers-known", "control-numbers-room", "control-number-range"]
"""What is not fulfilled: that it is known what was used since; that the range has room beyond it; that the range can be
used."""


@dataclass(frozen=True, kw_only=True)
class NewBounds:
    """Bounds that let the service continue beyond what was used.

    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param lower: the lower bound to set; the next number too, unless the restored counter is beyond it already.
    :param upper: the upper bound to set; None: it stays.
    :param restored: the range as it was restored.
    :param room: how many numbers the new bounds hold.
    :param reason: why, in sentences.
    """

    agreement: str
    kind: str
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
class OpenNumbers:
    """Control numbers that a person has to advance.

    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param rule: what is not fulfilled.
    :param sentence: why, and what to do.
    """

    agreement: str
    kind: str
    rule: Rule
    sentence: str


def new_bounds(
    restored: Range,
    *,
    agreement: str,
    kind: str,
    protocol: str,
    last: int | None,
    use: ControlNumberUse | None,
    margin: int,
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

    :param restored: the range in the restored service.
    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param protocol: of the agreement, ``X12`` or ``EDIFACT``.
    :param last: the last number given out before the backup; None when not known, or when there was none.
    :param use: what was given out since, perhaps nothing; None when not known.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :raises ValueError: a negative margin.
    """
    if margin < 0:
        raise ValueError("The margin of control numbers is a count: 0 or more.")
    case = _Case(restored, agreement, kind, protocol, last, margin)
    if use and not use.used:
        return None
    if problem := restored.problem(protocol):
        return case.open("control-number-range", f"The range {problem}. Correct it, then plan again.")
    if use is None:
        return case.open(
            "control-numbers-known",
            "Which were used since the backup is unknown. Make the connection to the tracking database work, or ask "
            "the partner for the last number received and set the lower bound beyond it by hand.",
        )
    return case.decided(use)


@dataclass(frozen=True)
class _Case:
    """One agreement and kind, and what is known of it."""

    restored: Range
    agreement: str
    kind: str
    protocol: str
    last: int | None
    margin: int

    @property
    def numbers(self) -> str:
        return f"{self.kind.replace('_', ' ')} control numbers"

    def open(self, rule: Rule, sentence: str) -> OpenNumbers:
        return OpenNumbers(
            agreement=self.agreement,
            kind=self.kind,
            rule=rule,
            sentence=f"Agreement {self.agreement}, {self.numbers}: {sentence}",
        )

    def after_the_backup(self, last: int, used: int) -> tuple[int, int]:
        """Highest and latest number when so many were given out after the last one.

        Without rollover the numbers go on above the range, as if the upper bound had been raised.
        """
        first = self.restored.after(last) or last + 1
        end = first + used - 1
        if end <= self.restored.upper or not self.restored.rollover:
            return end, end
        return self.restored.upper, self.restored.lower + (end - self.restored.lower) % self.restored.size

    def decided(self, use: ControlNumberUse) -> NewBounds | OpenNumbers | None:
        highest, latest = use.highest or 0, use.latest or 0
        wanted = max(self.margin, 1)
        beyond = highest + self.margin + 1
        if beyond <= self.restored.lower:
            return None
        if not self.restored.rollover and self.last is not None and self.last >= beyond:
            enough = self.restored.upper - self.last >= wanted
            return None if enough else self.no_room(use, f"the counter is at {self.last}")
        if self.restored.upper - beyond + 1 >= wanted:
            return self.bounds(use, beyond, None)
        if problem := self.problem_with_starting_over(use, highest, latest):
            return self.no_room(use, problem)
        last = self.last or 0
        again = latest + self.margin + 1 if latest < last else self.start_over(latest)
        if last < self.restored.upper and use.used < self.restored.size and last - again + 1 >= wanted:
            return self.bounds(use, again, last)
        return self.no_room(use, "starting over would meet numbers that were used since the backup")

    def problem_with_starting_over(self, use: ControlNumberUse, highest: int, latest: int) -> str | None:
        if not self.restored.rollover:
            return "its range does not start over"
        unknown = "where it may start over is not known"
        if self.last is None:
            return f"{unknown} without the last number of the backup"
        if self.after_the_backup(self.last, use.used) != (highest, latest):
            return f"{unknown}, because these are not the numbers that follow {self.last}, the last one of the backup"
        return None

    def start_over(self, latest: int) -> int:
        """Where the range continues after its upper bound, when the margin reaches beyond it."""
        return self.restored.lower + max(0, latest + self.margin - self.restored.upper)

    def used_since(self, use: ControlNumberUse) -> str:
        latest = "" if use.latest == use.highest else f", the latest {use.latest}"
        return (
            f"Agreement {self.agreement} has given out {use.used} {self.numbers} since the backup, the highest "
            f"{use.highest}{latest}"
        )

    def bounds(self, use: ControlNumberUse, lower: int, upper: int | None) -> NewBounds:
        changed = "the lower bound" if upper is None else "both bounds"
        stop = "" if upper is None else f", and {upper} the last before it starts over"
        reason = (
            f"{self.used_since(use)}. With a margin of {self.margin} the next one has to be {lower}{stop}. "
            f"Once it was given out, {changed} may go back to {self.restored}."
        )
        room = (self.restored.upper if upper is None else upper) - lower + 1
        return NewBounds(
            agreement=self.agreement,
            kind=self.kind,
            lower=lower,
            upper=upper,
            restored=self.restored,
            room=room,
            reason=reason,
        )

    def no_room(self, use: ControlNumberUse, why: str) -> OpenNumbers:
        sentence = (
            f"{self.used_since(use)}. The range {self.restored} has no room for a margin of {self.margin} beyond that, "
            f"and {why}."
        )
        highest_upper = self.restored.highest_upper(self.protocol)
        if highest_upper > self.restored.upper:
            sentence += f" The upper bound can be raised up to {highest_upper}; agree on it with the partner."
        else:
            sentence += " Agree with the partner on a number to continue with, or on another prefix or suffix."
        return OpenNumbers(agreement=self.agreement, kind=self.kind, rule="control-numbers-room", sentence=sentence)
