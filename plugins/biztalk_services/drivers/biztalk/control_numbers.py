"""From which control number on may a restored service go on, so that its partners see none twice?

A restored service continues from the moment of the backup; partners refuse a number that they saw in the last days, or
match answers to the wrong message. The remedy is that of Logic Apps, the successor: raise the numbers by more than was
used since. No setter of the counter itself is documented. But a last number outside its range makes the service begin
at the lower bound, so that the bounds, which can be changed, move it; once the first new number was given out, they may
go back to what they were.

Sources: "BizTalk Services: Backup and Restore", Restore; X12ProtocolSettings (dn232372) and EDIFACTProtocolSettings
(dn606264); BizTalk Server on duplicates and on the reset at the upper limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Literal

from biztalk_services.drivers.biztalk.control_number_range import Range, property_name
from biztalk_services.model.control_number_use import ControlNumberUse

Rule = Literal["control-numbers-known", "control-numbers-room", "control-number-range"]
"""What is not fulfilled: that it is known what was used since; that the range has room beyond it; that the range can be
used, and means the same numbers as before."""


@dataclass(frozen=True, kw_only=True)
class Raise:
    """New bounds that let the service go on beyond what was used.

    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param new_lower: the lower bound to set; the next number too, unless the restored counter stands beyond it already.
    :param new_upper: the upper bound to set; None: it stays.
    :param restored: the range as it was restored.
    :param room: how many numbers the new bounds hold.
    :param reason: why, in sentences.
    """

    agreement: str
    kind: str
    new_lower: int
    new_upper: int | None = None
    restored: Range
    room: int
    reason: str

    def changes(self) -> dict[str, int]:
        """The properties of ``ProtocolSettings`` to change, before the service is resumed."""
        lower = {property_name(self.kind, "LowerBound"): self.new_lower}
        return lower if self.new_upper is None else lower | {property_name(self.kind, "UpperBound"): self.new_upper}

    def changes_back(self) -> dict[str, int]:
        """The properties to change back. Not before the first new number was given out; with rollover, before ``room``
        numbers were, because the new bounds start over sooner than the old ones."""
        bounds = {"LowerBound": self.restored.lower, "UpperBound": self.restored.upper}
        return {name: bounds[part] for part in bounds if (name := property_name(self.kind, part)) in self.changes()}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Control numbers that a person has to settle.

    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param rule: what is not fulfilled.
    :param sentence: why, and what to do.
    """

    agreement: str
    kind: str
    rule: Rule
    sentence: str


def needed_raise(
    restored: Range,
    *,
    agreement: str,
    kind: str,
    protocol: str,
    last: int | None,
    use: ControlNumberUse | None,
    margin: int,
    estimate: int | None = None,
    living: Range | None = None,
) -> Raise | Finding | None:
    """What has to be done before a restored agreement may give out control numbers again.

    None: nothing, because nothing was used since the backup, or because the range begins beyond it already.

    A raise: the next number then is the highest one used, plus the margin, plus one. Of the numbers up to there the
    margin ones may have been used without anybody's knowledge. From there on no number comes that was used since the
    backup, and at least ``margin`` different ones (at least one) come before the bounds end or start over.

    With rollover, and no such room above the highest one, the agreement starts over, as it would have done without the
    restore: at the lower bound or, where it has done so since the backup already, at the latest number used, plus the
    margin, plus one. It then has to stop at the last number of the backup, for those above it were used since: this
    becomes the upper bound, and because the restored counter stands there, the service starts over at once.

    A finding: neither is possible, or nobody knows enough to say so.

    :param restored: the range in the restored service.
    :param agreement: name of the agreement.
    :param kind: of the control number.
    :param protocol: of the agreement, ``X12`` or ``EDIFACT``.
    :param last: the last number given out before the backup; None when not known, or when there was none.
    :param use: what was given out since, perhaps nothing; None when not known.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :param estimate: at most how many were used, when ``use`` is None (see :func:`estimated_use`); None: no idea.
    :param living: the range in the service that was replaced, at its end; None when not known.
    :raises ValueError: a negative margin or estimate.
    """
    if margin < 0 or (estimate or 0) < 0:
        raise ValueError("Margin and estimate of control numbers are counts: 0 or more.")
    case = _Case(restored, agreement, kind, protocol, last, margin, living)
    if estimate == 0 if use is None else use.used == 0:
        return None
    if trouble := restored.trouble(protocol):
        return case.finding("control-number-range", f"The range {trouble}. Mend it, then plan again.")
    if use is None:
        use = case.assumed_use(estimate)
        if isinstance(use, Finding):
            return use
        case.told = f"was assumed to have given out up to {use.used} {case.numbers}"
    if living and (living.prefix, living.suffix) != (restored.prefix, restored.suffix):
        sentence = (
            f"The range was {living} before the restore and is {restored} after it; numbers with different prefix or "
            "suffix cannot be told apart by their value. Set the range that partners shall see, by hand."
        )
        return case.finding("control-number-range", sentence)
    return case.settled(use)


def estimated_use(peak_per_hour: float, *, since: datetime, until: datetime, safety: float = 2.0) -> int:
    """At most how many numbers were used in a span of time: peak rate x time x safety factor, rounded up.

    :param peak_per_hour: numbers of one kind that one agreement uses in its busiest hour.
    :param since: aware time of the backup.
    :param until: aware time at which the replaced service ended.
    :param safety: factor for what nobody thought of.
    :raises ValueError: a negative rate or factor, or the span ends before it begins.
    """
    hours = (until - since).total_seconds() / 3600
    if min(peak_per_hour, safety, hours) < 0:
        raise ValueError("An estimate takes a rate and a factor from 0 on, and a span that ends after it began.")
    return ceil(peak_per_hour * hours * safety)


@dataclass
class _Case:
    """One agreement and kind, and what is known of it."""

    restored: Range
    agreement: str
    kind: str
    protocol: str
    last: int | None
    margin: int
    living: Range | None
    told: str | None = None

    @property
    def numbers(self) -> str:
        return f"{self.kind.replace('_', ' ')} control numbers"

    def finding(self, rule: Rule, sentence: str) -> Finding:
        return Finding(
            agreement=self.agreement,
            kind=self.kind,
            rule=rule,
            sentence=f"Agreement {self.agreement}, {self.numbers}: {sentence}",
        )

    def assumed_use(self, estimate: int | None) -> ControlNumberUse | Finding:
        """The use that an estimate amounts to, counted from the last number of the backup."""
        if estimate is None:
            why = "Nobody can say which were used since the backup. Give the tracking database, or an estimate."
        elif self.last is None:
            why = (
                "Nobody can say which were used since the backup, and an estimate does not help where the last number "
                "of the backup is not known either. Ask the partner for the last number received, and set the lower "
                "bound beyond it by hand."
            )
        elif self.living and self.living != self.restored:
            why = (
                "Nobody can say which were used since the backup, and an estimate does not help where the range was "
                f"changed meanwhile ({self.living} before the restore, {self.restored} after it). Ask the partner for "
                "the last number received, and set the lower bound beyond it by hand."
            )
        else:
            highest, latest = self.after_the_backup(self.last, estimate)
            return ControlNumberUse(self.agreement, self.kind, highest, latest, estimate)
        return self.finding("control-numbers-known", why)

    def after_the_backup(self, last: int, used: int) -> tuple[int, int]:
        """Highest and latest number when so many were given out after the last one, as far as the range was the same.

        Without rollover the numbers go on above the range, as if the upper bound had been raised.
        """
        first = self.restored.after(last) or last + 1
        end = first + used - 1
        if end <= self.restored.upper or not self.restored.rollover:
            return end, end
        return self.restored.upper, self.restored.lower + (end - self.restored.lower) % self.restored.size

    def settled(self, use: ControlNumberUse) -> Raise | Finding | None:
        highest, latest = use.highest or 0, use.latest or 0
        wanted = max(self.margin, 1)
        beyond = highest + self.margin + 1
        if beyond <= self.restored.lower:
            return None
        if not self.restored.rollover and self.last is not None and self.last >= beyond:
            enough = self.restored.upper - self.last >= wanted
            return None if enough else self.no_room(use, f"the counter stands at {self.last}")
        if self.restored.upper - beyond + 1 >= wanted:
            return self.raised(use, beyond, None)
        if trouble := self.trouble_with_starting_over(use, highest, latest):
            return self.no_room(use, trouble)
        last = self.last or 0
        again = latest + self.margin + 1 if latest < last else self.start_over(latest)
        if last < self.restored.upper and use.used < self.restored.size and last - again + 1 >= wanted:
            return self.raised(use, again, last)
        return self.no_room(use, "starting over would meet numbers that were used since the backup")

    def trouble_with_starting_over(self, use: ControlNumberUse, highest: int, latest: int) -> str | None:
        if not self.restored.rollover:
            return "its range does not start over"
        unknown = "where it may start over is not known"
        if self.living and self.living != self.restored:
            return f"{unknown}, because the range was changed meanwhile (from {self.living})"
        if self.last is None:
            return f"{unknown} without the last number of the backup"
        if self.after_the_backup(self.last, use.used) != (highest, latest):
            return f"{unknown}, because these are not the numbers that follow {self.last}, the last one of the backup"
        return None

    def start_over(self, latest: int) -> int:
        """Where the range goes on after its upper bound, when the margin reaches beyond it."""
        return self.restored.lower + max(0, latest + self.margin - self.restored.upper)

    def used_since(self, use: ControlNumberUse) -> str:
        told = self.told or f"has given out {use.used} {self.numbers} since the backup"
        latest = "" if use.latest == use.highest else f", the latest {use.latest}"
        return f"Agreement {self.agreement} {told}, the highest {use.highest}{latest}"

    def raised(self, use: ControlNumberUse, lower: int, upper: int | None) -> Raise:
        bounds = "the lower bound" if upper is None else "both bounds"
        stop = "" if upper is None else f", and {upper} the last before it starts over"
        room = (self.restored.upper if upper is None else upper) - lower + 1
        reason = (
            f"{self.used_since(use)}. With a margin of {self.margin} the next one has to be {lower}{stop}. "
            f"Once it was given out, {bounds} may go back to {self.restored}."
        )
        return Raise(
            agreement=self.agreement,
            kind=self.kind,
            new_lower=lower,
            new_upper=upper,
            restored=self.restored,
            room=room,
            reason=reason,
        )

    def no_room(self, use: ControlNumberUse, why: str) -> Finding:
        sentence = (
            f"{self.used_since(use)}. The range {self.restored} has no room for a margin of {self.margin} beyond that, "
            f"and {why}."
        )
        highest_upper = self.restored.highest_upper(self.protocol)
        if highest_upper > self.restored.upper:
            sentence += f" The upper bound can be raised up to {highest_upper}; agree on it with the partner."
        else:
            sentence += " Agree with the partner on a number to go on with, or on another prefix or suffix."
        return Finding(agreement=self.agreement, kind=self.kind, rule="control-numbers-room", sentence=sentence)
