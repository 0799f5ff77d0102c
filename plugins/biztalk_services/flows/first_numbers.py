"""What the first control numbers after a restore show: whether the restored service gives out what was used before."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from biztalk_services.model.control_numbers import ControlNumberUse, NumberRow, UseReport
from biztalk_services.model.plain import Plain
from biztalk_services.model.wording import shortened

_MOST_NAMED = 12
"""Counters that one sentence names."""

_END = sys.maxsize

Span = tuple[int, int]
"""The first and the last of numbers that follow each other."""


@dataclass(frozen=True)
class Counter(Plain):
    """One counter of the restored service; what it may not give out again.

    :param backup: the last number of the backup; None when none was used, or when it is not known.
    :param latest: the last number used since the backup; None when none was, or when it is not known.
    :param next: the number that was to be the first after the restore; None when not known.
    """

    agreement: str
    kind: str
    backup: int | None
    latest: int | None
    next: int | None

    @classmethod
    def of(cls, row: NumberRow) -> Counter:
        return cls(row.agreement, row.kind, row.backup, row.latest, row.next)

    @property
    def name(self) -> str:
        return f"{self.agreement} ({self.kind.replace('_', ' ')})"

    def used_before(self) -> list[Span]:
        """The numbers used since the backup: those behind ``backup`` up to ``latest``, with start over in between.

        Empty where the plan itself continues among them, because the partner accepts them again.
        """
        if self.latest is None:
            return []
        first = 0 if self.backup is None else self.backup + 1
        spans = [(first, self.latest)] if first <= self.latest else [(first, _END), (0, self.latest)]
        again = self.next is not None and any(low <= self.next <= high for low, high in spans)
        return [] if again else spans

    def given_out(self, use: ControlNumberUse) -> list[Span]:
        """The numbers given out since the restore, as far as they are certain: while the range did not start over, they
        follow each other, so that the last one and how many there are tell them all."""
        if self.is_told(use):
            latest = use.latest or 0
            return [(latest - use.used + 1, latest)]
        return [(each, each) for each in sorted({each for each in (use.latest, use.highest) if each is not None})]

    @staticmethod
    def is_told(use: ControlNumberUse) -> bool:
        """Whether all numbers that were given out are certain, and there are any."""
        return use.latest is not None and use.latest == use.highest and use.used <= use.latest + 1

    def alarm(self, use: ControlNumberUse) -> str | None:
        """Why what was given out must not have been, in a sentence; None: nothing is wrong with it."""
        given_out, before = self.given_out(use), self.used_before()
        again = [span for one in given_out for other in before if (span := _common(one, other))]
        if again:
            return f"{self.name} has given out {_named(again)} again: {_named(before)} were used since the backup."
        if self.next is not None and self.is_told(use) and given_out[0][0] < self.next:
            return f"{self.name} has given out {_named(given_out)}, and {self.next} was to be the first one."
        return None


@dataclass(frozen=True)
class FirstLook:
    """A look at the counters of a restored service.

    :param alarms: what is wrong, a sentence each.
    :param seen: what was given out and not used before, for each counter.
    :param open: counters of which fewer than there are to look at are certain, with how many came; only those that were
        used since the backup, for the others may stay quiet for long.
    """

    alarms: tuple[str, ...]
    seen: tuple[str, ...]
    open: tuple[str, ...]

    @classmethod
    def at(cls, counters: Iterable[Counter], report: UseReport, count: int) -> FirstLook:
        """
        :param report: what was given out since the restore; without a problem.
        :param count: how many numbers of each counter there are to look at.
        """
        alarms, seen, still_open = [], [], []
        for counter in counters:
            use = report.use_of(counter.agreement, counter.kind) or ControlNumberUse(counter.agreement, counter.kind)
            spans = counter.given_out(use)
            if alarm := counter.alarm(use):
                alarms.append(alarm)
            if spans:
                seen.append(f"{counter.name} {_named(spans)}")
            if counter.latest is not None and (use.used < count or not counter.is_told(use)):
                still_open.append(f"{counter.name} {use.used}")
        return cls(tuple(alarms), tuple(seen), tuple(still_open))

    def alarm(self, service: str) -> str:
        """What is wrong, and what to do, in sentences."""
        alarms = " ".join(shortened(self.alarms, _MOST_NAMED))
        return (
            f"Control numbers come twice from service {service}: {alarms} Suspend the service at once, "
            "tell the partners which numbers came twice, and set the lower bounds beyond all used ones by hand "
            "before it is resumed (runbook-restore.md, chapter 8)."
        )

    def sentence(self, count: int, later: str) -> str:
        """What is confirmed and what is not, in sentences.

        :param later: what is said where something is open.
        """
        if not self.seen:
            return f"No control number was given out; nothing is confirmed. {later}"
        seen = "; ".join(shortened(self.seen, _MOST_NAMED))
        confirmed = f"None of the first control numbers was used before: {seen}."
        if not self.open:
            return confirmed
        still_open = "; ".join(shortened(self.open, _MOST_NAMED))
        return f"{confirmed} Not confirmed, because fewer than {count} are certain: {still_open}. {later}"


def _common(one: Span, other: Span) -> Span | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def _named(spans: Iterable[Span]) -> str:
    return ", ".join(map(_span, spans))


def _span(span: Span) -> str:
    low, high = span
    if high == _END:
        return f"those from {low} on"
    if low == 0:
        return f"those up to {high}"
    return f"{low}" if low == high else f"{low} to {high}"
