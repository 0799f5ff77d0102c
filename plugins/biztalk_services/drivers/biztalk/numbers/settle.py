"""Which control numbers an agreement has used since a backup, out of all that is known of it.

Known are its range, the last number before the backup, and what sources say of the numbers since. A service gives them
out without a gap, so that the last number used settles all: those used are the steps that lead to it, whether a source
has seen each of them or not. What cannot be true together is believed in no part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers, Rule, open_numbers
from biztalk_services.drivers.biztalk.numbers.ranges import Place, Range
from biztalk_services.drivers.biztalk.numbers.walk import Walk
from biztalk_services.drivers.biztalk.tracking.contradictions import between, in_time, latest_moment
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.inventory import CONTROL_NUMBERS, Inventory
from biztalk_services.model.wording import in_utc


@dataclass(frozen=True)
class Before:
    """What is known of the numbers used up to a backup.

    :param known: whether ``last`` is: None is then that none was used.
    :param used: how many; None when not known.
    """

    last: int | None = None
    used: int | None = None
    known: bool = False

    @classmethod
    def of(cls, recorded: Inventory | None, place: Place) -> Before:
        use = recorded.use_of(*place.key) if recorded else None
        if recorded is None or (use is None and recorded.parts.get(CONTROL_NUMBERS)):
            return cls()
        if use is None or not use.used:
            return cls(None, 0, True)
        last = _last_of(use, place.range)
        return cls(last, use.used, last is not None)


@dataclass(frozen=True)
class Answers:
    """What sources say of one agreement and kind.

    :param since: used since the backup, perhaps nothing; None when not known.
    :param ever: the same source asked since ever; None when it was not, or when not known.
    :param sent: what an archive of sent interchanges has since the backup; None when there is none.
    :param report: that ``since`` and ``ever`` are of.
    :param sent_source: where ``sent`` is from.
    """

    since: ControlNumberUse | None
    ever: ControlNumberUse | None
    sent: ControlNumberUse | None
    report: UseReport
    sent_source: str = ""

    @classmethod
    def of(cls, place: Place, report: UseReport, sent: UseReport | None) -> Answers:
        known = report.problem is None
        return cls(
            report.use_of(*place.key) if known else None,
            report.ever_of(*place.key) if known else None,
            sent.use_of(*place.key) if sent else None,
            report,
            sent.source if sent else "",
        )

    @property
    def source(self) -> str:
        return f"{self.report.source}, {self.report.query}" if self.report.query else self.report.source

    @property
    def seen(self) -> str:
        """Source and time of what was used."""
        last_used = self.since.last_used if self.since else None
        return f"{self.source}, last used {in_utc(last_used)}" if last_used else self.source


@dataclass(frozen=True)
class Settled:
    """The numbers used since a backup: steps 1 to ``steps`` of the walk.

    :param latest: the last one; None when none was.
    :param counter: whether the last number of the backup, which the restored counter has, is known. Where it is not,
        the walk begins at the lower bound, and the restored counter is at ``latest`` or lower.
    :param least: how many were used at least, as counted; fewer than the steps where some were not seen.
    :param source: where this is from; begins with ``seen`` or ``computed``.
    :param highest: the highest number used ever, as far as known.
    """

    walk: Walk
    steps: int
    latest: int | None
    least: int
    source: str
    counter: bool = True
    highest: int | None = None


def settle(place: Place, before: Before, answers: Answers, *, margin: int) -> Settled | OpenNumbers:
    """The numbers used since the backup, or why they are not known.

    :param place: as at the backup.
    :param margin: how many may have been used without being seen, from 0 on.
    """
    case = _Case(place, before, answers, margin)
    return case.problem() or case.settled()


@dataclass(frozen=True)
class _Case:
    place: Place
    before: Before
    answers: Answers
    margin: int

    @property
    def walk(self) -> Walk:
        return Walk(self.place.range, self.before.last)

    def problem(self) -> OpenNumbers | None:
        """What is not known, or cannot be true, whatever the range is."""
        use, ever = self.answers.since, self.answers.ever
        if use is None:
            return self.unknown("Which were used since the backup is unknown.")
        report = self.answers.report
        looks = ((use, report.since), (ever or use, EVER if ever else report.since))
        found = [each for one, since in looks for each in in_time([one], since=since, checked_at=report.checked_at)]
        if ever is not None:
            if not ever.used and not use.used and self.before.last is not None:
                gone = f"{self.before.last} was the last one at the backup, and {self.answers.source} knows none at all"
                return self.unknown(f"{gone}: it is another database, or what it had was removed.")
            found += [
                each
                for each in between(report.since, *([each] if each.used else [] for each in (use, ever)))
                if not (each.may_be_traffic and use.used)
            ]
        if found:
            return self.contradiction(f"{self.answers.source} contradicts itself: {found[0].sentence}")
        return None

    def settled(self) -> Settled | OpenNumbers:
        use = self.answers.since or ControlNumberUse(*self.place.key)
        if _above(self.before.last, self.place.range.upper) and not self._is_moved:
            return self.contradiction(f"{self._of_the_backup()}, and its range was {self.place.range}")
        found = self._used(use) if use.used else self._none()
        if isinstance(found, OpenNumbers):
            return found
        ever = self.answers.ever
        return self._against_the_archive(replace(found, highest=ever.highest if ever else None))

    @property
    def _is_moved(self) -> bool:
        """Whether an earlier restore has made a range start over below the last number: that was used, and the next one
        is the lower bound."""
        ever = self.answers.ever
        return self.place.range.rollover and ever is not None and not _above(self.before.last, ever.highest or 0)

    def _none(self) -> Settled | OpenNumbers:
        """None was seen since the backup."""
        ever, before = self.answers.ever, self.before
        if ever is not None and ever.used:
            backup = self._of_the_backup()
            said = f"{self.answers.source} says that none was used since, and that {_said(ever)} ever"
            last = _last_of(ever, self.place.range)
            if before.known and last is not None and last != before.last:
                return self.contradiction(f"{backup}; {said}")
            if before.used is not None and ever.used > before.used:
                return self.contradiction(f"{backup}; {said}")
            if not self.place.range.rollover and _above(ever.highest, ever.latest):
                return self.contradiction(f"{said}, so that used numbers are above the last one")
            if not before.known and (ever.latest is None or not self._is_from_before(ever.last_used)):
                return self.unknown("The last number of the backup is not known.")
        walk = self.walk if before.known or ever is None else Walk(self.place.range, ever.latest)
        source = f"seen: none since the backup, by {self.answers.source}"
        return Settled(walk, 0, None, 0, source, counter=before.known or ever is not None)

    def _is_from_before(self, last_used: datetime | None) -> bool:
        """Whether a time is certainly before the backup; one of its day, without the hour, is not."""
        return last_used is not None and latest_moment(last_used) < self.answers.report.since

    def _used(self, use: ControlNumberUse) -> Settled | OpenNumbers:
        latest = _last_of(use, self.place.range)
        if not self.before.known:
            return self._without_backup(use, latest)
        least = self._least(use)
        if latest is None:
            return self._computed(use)
        if later := self._later(use, latest):
            if isinstance(later, OpenNumbers):
                return later
            latest = later
        steps = self.walk.steps_to(latest, least)
        both = f"{self._of_the_backup()}; {self.answers.source} says that since then {_said(use)}"
        if steps is None:
            step = self.walk.step(latest)
            why = "which is not on the way on from there" if step is None else f"which is only {step} further"
            counted = "" if least == use.used else f", and ever {least} more than at the backup"
            return self.contradiction(f"{both}{counted}, {why} in the range {self.place.range}")
        size, rounds = self.place.range.size, steps > self.place.range.size
        if rounds and steps - least > self.margin:
            return self.contradiction(
                f"{both}; counted are {least}, and from there to {latest} are {(steps - 1) % size + 1} in the range "
                f"{self.place.range}, or {steps} after whole rounds"
            )
        if problem := self._problem_with_highest(use, latest, steps) or self._problem_with_count(steps, least):
            return self.contradiction(f"{both}, {problem}")
        return Settled(self.walk, steps, latest, least, f"seen by {self.answers.seen}")

    def _least(self, use: ControlNumberUse) -> int:
        """How many were used at least: as counted since, or as many more as were counted ever than at the backup."""
        ever = self.answers.ever
        return use.used if ever is None or self.before.used is None else max(use.used, ever.used - self.before.used)

    def _later(self, use: ControlNumberUse, latest: int) -> int | OpenNumbers | None:
        """The last number of the later one of two looks; None where both say the same."""
        ever = self.answers.ever
        if ever is None or ever.latest is None or ever.latest == latest:
            return None
        steps, ever_steps = self.walk.step(latest), self.walk.step(ever.latest)
        if use.last_used and ever.last_used and steps and ever_steps and use.last_used != ever.last_used:
            is_later = ever.last_used > use.last_used
            if is_later == (ever_steps > steps):
                return ever.latest if is_later else latest
        return self.contradiction(
            f"{self.answers.source} contradicts itself: since the backup {_said(use)}, and ever {_said(ever)}"
        )

    def _problem_with_highest(self, use: ControlNumberUse, latest: int, steps: int) -> str | None:
        ever, rollover = self.answers.ever, self.place.range.rollover
        if not rollover and use.highest is not None and use.latest is not None and use.highest != use.latest:
            return f"but the range {self.place.range} does not start over, so that these cannot differ"
        if use.highest is not None:
            step = self.walk.step(use.highest)
            if step is None or step > steps:
                return f"and {use.highest} is not on the way to {latest} in the range {self.place.range}"
            first = self.walk.first or 0
            if latest < first and use.highest < first and self.place.range.upper - first >= self.margin:
                return f"and none from {first} to {self.place.range.upper}, where the range would have started over"
        if not rollover and ever is not None and _above(ever.highest, max(latest, ever.latest or 0)):
            return f"and that {ever.highest} was used before; the range does not start over"
        return None

    def _problem_with_count(self, steps: int, least: int) -> str | None:
        """More numbers than there are up to the highest one of a range that has not started over, as the greatest of
        texts is; not where each one from the backup on was counted."""
        ever = self.answers.ever
        if ever is None or ever.highest is None or ever.highest >= self.place.range.upper or steps == least:
            return None
        return f"and that {ever.used} were used ever, none above {ever.highest}" if ever.used > ever.highest else None

    def _computed(self, use: ControlNumberUse) -> Settled | OpenNumbers:
        """The numbers used are counted, and not named."""
        ever, used = self.answers.ever, use.used
        if ever is None or self.before.used is None or ever.used - self.before.used != used:
            counted = (
                "" if ever is None else f", of {ever.used} ever, where the backup has {self.before.used or 'none'}"
            )
            return self.contradiction(
                f"{self._of_the_backup()}; {self.answers.source} says that since then {used} were used{counted}. The "
                "last one is not told, and cannot be computed of counts that do not agree"
            )
        latest = self.walk.number(used)
        if self.walk.first is None or not self.place.range.lower <= latest <= self.place.range.upper:
            return self.contradiction(
                f"{self._of_the_backup()}; {self.answers.source} says that since then {used} were used, which the "
                f"range {self.place.range} does not hold"
            )
        if problem := self._problem_with_highest(use, latest, used):
            return self.contradiction(f"{self.answers.source} says {_said(use)}, {problem}")
        before = "none at the backup" if self.before.last is None else f"{self.before.last} of the backup"
        return Settled(self.walk, used, latest, used, f"computed: {before} + {used} used, by {self.answers.seen}")

    def _without_backup(self, use: ControlNumberUse, latest: int | None) -> Settled | OpenNumbers:
        """What was used, where the last number of the backup is not known: at most all from the lower bound on."""
        if latest is None:
            return self.unknown("Neither the last number of the backup nor the last one used is known.")
        ever, walk = self.answers.ever, Walk(self.place.range, None)
        if later := self._later(use, latest):
            if isinstance(later, OpenNumbers):
                return later
            latest = later
        if self.place.range.rollover and (ever is None or ever.highest is None or ever.highest > latest):
            over = "has started over" if ever else "may have started over: the same query since 1753 would tell"
            return self.unknown(f"The last number of the backup is not known, and the range {over}.")
        steps, least = walk.step(latest), max(use.used, ever.used if ever else 0)
        both = f"{self.answers.source} says that since the backup {_said(use)}"
        if self.place.range.rollover and steps is not None and steps < least:
            return self.unknown("The last number of the backup is not known, and the range has started over.")
        if steps is None or steps < least:
            return self.contradiction(f"{both}, and the range of the backup is {self.place.range}, which has no such")
        if problem := self._problem_with_highest(use, latest, steps):
            return self.contradiction(f"{both}, {problem}")
        return Settled(walk, steps, latest, use.used, f"seen by {self.answers.seen}", False)

    def _against_the_archive(self, found: Settled) -> Settled | OpenNumbers:
        """A number of the archive has to be on the way to the last one, or sent after the database was asked.
        The archive may lack those that it did not get."""
        sent, asked_at = self.answers.sent, self.answers.report.checked_at
        if sent is None or not sent.used:
            return found
        seen = f"{found.source}; {self.answers.sent_source} has {sent.used}, the latest {sent.latest}"
        is_later = sent.last_used is not None and sent.last_used > asked_at
        for number in (sent.latest, sent.highest):
            step = None if number is None else found.walk.step(number)
            if number is None or (step is not None and step <= found.steps):
                continue
            if step is None or not is_later:
                said = "none was used" if found.latest is None else f"{found.latest} is the last one used"
                return self.contradiction(
                    f"{self.answers.source} says that {said} since the backup; {self.answers.sent_source} has {number}"
                )
            found = replace(found, steps=step, latest=number)
        return replace(found, source=seen)

    def _of_the_backup(self) -> str:
        if not self.before.known:
            return "The last one of the backup is not known"
        if self.before.last is None:
            return "None was used at the backup"
        counted = "" if self.before.used is None else f", of {self.before.used}"
        return f"{self.before.last} was the last one at the backup{counted}"

    def unknown(self, sentence: str) -> OpenNumbers:
        return self._open("control-numbers-known", f"{sentence} {ASK}")

    def contradiction(self, sentence: str) -> OpenNumbers:
        return self._open("control-numbers-agree", f"{sentence}. {_COMPARE}")

    def _open(self, rule: Rule, sentence: str) -> OpenNumbers:
        return open_numbers(self.place, rule, sentence, f"unknown: {rule}")


ASK = (
    "Make the connection to the tracking database work, or ask the partner for the last number received and set the "
    "lower bound beyond it by hand."
)
_COMPARE = (
    "Both cannot be true, so neither is believed. Correct the control number query (its comparison with :since, the "
    "type of its numbers), or, where the range was changed or an earlier restore kept its numbers, ask the partner for "
    "the last number received and set the lower bound beyond it by hand."
)


def _last_of(use: ControlNumberUse, pattern: Range) -> int | None:
    """The last number of a use. Where only the highest is told, it is that one, unless the range may have started over
    behind it, which it does at its upper bound."""
    if use.latest is not None or use.highest is None:
        return use.latest
    return None if pattern.rollover and use.highest >= pattern.upper else use.highest


def _said(use: ControlNumberUse) -> str:
    named = [f"the {name} {number}" for name, number in (("highest", use.highest), ("latest", use.latest))]
    told = [each for each in named if not each.endswith("None")]
    return ", ".join([f"{use.used} were used", *told])


def _above(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one > other
