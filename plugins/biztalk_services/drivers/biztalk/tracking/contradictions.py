"""Answers to the control number query that cannot be true together. No range and no backup is needed to see it.

The same query is asked since a moment, then since ever. Counts only grow, so whatever the first answer has, the second
one has, too. What only the second one has may be traffic between the two, which a third answer, again since the moment,
has to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from biztalk_services.drivers.biztalk.tracking.answers import CLOCKS_DIFFER
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.wording import in_utc, shortened

Key = tuple[str, str]
Uses = Sequence[ControlNumberUse]

_DAY = timedelta(days=1, microseconds=-1)
_MOST_NAMED = 3
_ROUNDED = timedelta(seconds=1)
"""By how much a time that was rounded may lie before the moment since when it counts."""


@dataclass(frozen=True)
class Contradiction:
    """Two things that are said of one agreement and kind, and cannot both be true.

    :param key: as of :class:`biztalk_services.model.control_numbers.ControlNumberUse`.
    :param sentence: names both, without a full stop.
    :param may_be_traffic: whether numbers given out between the two queries would explain it.
    """

    key: Key
    sentence: str
    may_be_traffic: bool = False


def all_of(report: UseReport, checked_at: datetime) -> list[Contradiction]:
    """What a report says against itself.

    :param report: one that was asked since ever, too.
    :param checked_at: when the last of its queries was asked, aware.
    """
    ever = report.ever or ()
    return [
        *in_time(report.uses, since=report.since, checked_at=checked_at),
        *in_time(ever, since=EVER, checked_at=checked_at),
        *between(report.since, report.uses, ever),
    ]


def without(report: UseReport, found: Sequence[Contradiction]) -> UseReport:
    """The report without what contradicts itself, and with that as its problem."""
    if not found:
        return report
    doubtful = {each.key for each in found}
    certain, ever = (tuple(use for use in uses if use.key not in doubtful) for uses in (report.uses, report.ever or ()))
    return replace(report, uses=certain, ever=ever, problem=problem_of(found))


def problem_of(found: Sequence[Contradiction]) -> str:
    """Contradictions in one sentence, with the remedy."""
    sentences = list(dict.fromkeys(each.sentence for each in found))
    named = "; ".join(shortened(sentences, _MOST_NAMED))
    return (
        f"The answers contradict themselves, so none of them is believed: {named}. "
        "Correct the query's comparison with :since and its times (type and time zone), or the clock."
    )


def in_time(uses: Uses, *, since: datetime, checked_at: datetime) -> list[Contradiction]:
    """Numbers used before the moment since when they were asked for, or later than now.

    :param since: aware, as is ``checked_at``, the time of the query.
    """
    found = []
    for use in uses:
        if use.last_used is None:
            continue
        said = f"{_named(use)} was last used at {in_utc(use.last_used)}"
        if latest_moment(use.last_used) < since - _ROUNDED:
            found.append(Contradiction(use.key, f"{said}, which is before {in_utc(since)}, since when it was asked"))
        if use.last_used > checked_at + CLOCKS_DIFFER:
            found.append(Contradiction(use.key, f"{said}, which is later than the query, {in_utc(checked_at)}"))
    return found


def between(since: datetime, uses: Uses, ever: Uses) -> list[Contradiction]:
    """An answer since a moment against the one since ever that was asked after it."""
    seen = {use.key: use for use in uses}
    all_seen = {use.key: use for use in ever}
    found = [
        Contradiction(key, f"{_named(use)} was used since {in_utc(since)} ({_said(use)}), and never at all")
        for key, use in seen.items()
        if key not in all_seen
    ]
    for key, whole in all_seen.items():
        found += _of_one(since, seen.get(key), whole)
    return found


def confirmed(contradiction: Contradiction, first: Uses, ever: Uses, second: Uses) -> bool:
    """Whether a contradiction stands, by a second answer since the moment, asked after that since ever.

    It does not where numbers were given out between the two, up to those that the answer since ever names.
    """
    key = contradiction.key
    before, between_them, after = (
        next((use for use in uses if use.key == key), ControlNumberUse(*key)) for uses in (first, ever, second)
    )
    if not contradiction.may_be_traffic or after.used <= before.used:
        return True
    times = between_them.last_used, after.last_used
    return times[0] is not None and times[1] is not None and times[1] < times[0]


def caught_up(first: Uses, ever: Uses, second: Uses) -> tuple[ControlNumberUse, ...]:
    """The answer since ever as of the second one since the moment, where numbers given out between all three tell them
    apart: those that only the last one names."""
    before, after = ({use.key: use for use in uses} for uses in (first, second))
    known = {use.key for use in ever}
    new = [use for use in second if use.key not in known and use.key not in before]
    return tuple(
        sorted(
            (*(_caught_up(before.get(use.key), use, after.get(use.key)) for use in ever), *new), key=lambda use: use.key
        )
    )


def _caught_up(
    before: ControlNumberUse | None, whole: ControlNumberUse, after: ControlNumberUse | None
) -> ControlNumberUse:
    """As it is, unless the last numbers of the three answers are in the order in which they were asked, or the first
    two agree; the third one then may have started over."""
    if after is None or after.latest is None or whole.latest is None or whole.latest == after.latest:
        return whole
    since = before.latest if before else None
    is_rising = (since or 0) <= whole.latest < after.latest
    if not (is_rising or since in (None, whole.latest)) or _is_later(whole.last_used, after.last_used):
        return whole
    return replace(
        whole,
        highest=max(whole.highest or 0, after.highest or after.latest),
        latest=after.latest,
        used=max(whole.used, after.used),
        last_used=after.last_used,
    )


def _is_later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def shrunk(first: Uses, second: Uses) -> list[Contradiction]:
    """The same question asked twice: fewer numbers, or a lower highest one, the second time."""
    later = {use.key: use for use in second}
    found = []
    for use in first:
        again = later.get(use.key) or ControlNumberUse(use.agreement, use.kind)
        if again.used < use.used or _less(again.highest, use.highest):
            sentence = f"{_named(use)}: the same query said {_said(use)}, and a moment later {_said(again)}"
            found.append(Contradiction(use.key, sentence))
    return found


def _of_one(since: datetime, use: ControlNumberUse | None, whole: ControlNumberUse) -> list[Contradiction]:
    named, moment = _named(whole), in_utc(since)
    if use is None:
        if whole.last_used is None or whole.last_used < since:
            return []
        sentence = f"{named} was not used since {moment}, and was last used at {in_utc(whole.last_used)}"
        return [Contradiction(whole.key, sentence, may_be_traffic=True)]
    both = f"{named}: since {moment} {_said(use)}, ever {_said(whole)}"
    if whole.used < use.used:
        return [Contradiction(use.key, f"{both}; more were used since then than ever")]
    if _less(whole.highest, use.highest):
        return [Contradiction(use.key, f"{both}; the highest since then is above the highest ever")]
    if use.last_used and whole.last_used and whole.last_used < use.last_used:
        return [Contradiction(use.key, f"{both}; the last use since then is later than the last one ever")]
    if None not in (use.latest, whole.latest) and use.latest != whole.latest:
        return [Contradiction(use.key, f"{both}; the latest since then is not the latest ever", may_be_traffic=True)]
    if use.last_used and whole.last_used and latest_moment(use.last_used) < whole.last_used:
        sentence = f"{both}; the last use ever is later than the last one since then"
        return [Contradiction(use.key, sentence, may_be_traffic=True)]
    return []


def _less(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one < other


def latest_moment(moment: datetime) -> datetime:
    """The latest moment that a time can mean: one that is midnight exactly says no more than the day."""
    at = moment.astimezone(UTC)
    return at + _DAY if (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0) else at


def _named(use: ControlNumberUse) -> str:
    return f"{use.agreement}, {use.kind.replace('_', ' ')}"


def _said(use: ControlNumberUse) -> str:
    if not use.used:
        return "none"
    numbers = [f"{name} {number}" for name, number in (("highest", use.highest), ("latest", use.latest)) if number]
    when = [f"last used at {in_utc(use.last_used)}"] if use.last_used else []
    return ", ".join([f"{use.used} used", *numbers, *when])
