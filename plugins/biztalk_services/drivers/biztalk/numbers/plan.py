"""What has to be done about the control numbers of a whole restored service, before it is resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds, Terms, new_bounds
from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers, open_numbers
from biztalk_services.drivers.biztalk.numbers.partners import Partner, Partners
from biztalk_services.drivers.biztalk.numbers.ranges import Place, Range, ranges_of
from biztalk_services.drivers.biztalk.numbers.settle import ASK, Answers, Before, Settled, settle
from biztalk_services.drivers.biztalk.numbers.shared import Key, sharing
from biztalk_services.drivers.biztalk.numbers.walk import Span, merged
from biztalk_services.model.control_numbers import (
    KINDS,
    ControlNumberUse,
    NumberPlan,
    NumberRow,
    UseReport,
    agreement_key,
)
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory
from biztalk_services.model.wording import in_utc, shortened

ALL = "all"
"""Agreement and kind of open numbers of the whole service."""

_MOST_NAMED = 10
_ZONES = timedelta(days=1)
"""By how much earlier the window of a partner is taken to begin, whatever zone or day a database compares with."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that is known of the control numbers of a service.

    :param recorded: the service at the backup; None when it was not recorded.
    :param used: what its tracking database says since the backup.
    :param sent: what an archive of sent interchanges says since the backup; None when there is none.
    :param windows: days of a partner's window -> what the tracking database says since :func:`window_begin`.
    """

    recorded: Inventory | None
    used: UseReport
    sent: UseReport | None = None
    windows: Mapping[int, UseReport] = field(default_factory=dict)
    partners: Partners = field(default_factory=Partners)


def window_begin(days: int, now: datetime) -> datetime:
    """Since when numbers are counted that a partner remembers for so many days."""
    return now - timedelta(days=days) - _ZONES


@dataclass(frozen=True)
class Decision:
    """What has to be done, by itself and by a person first; nothing, where both are empty.

    :param settled: what was used, of every counter for which that is known.
    :param remarks: what a person should know beside it, in sentences.
    """

    bounds: tuple[NewBounds, ...] = ()
    open: tuple[OpenNumbers, ...] = ()
    settled: Mapping[Key, Settled] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def changes(self) -> dict[str, dict[str, int]]:
        """Agreement -> all properties of its ``ProtocolSettings`` to change, in one go: each change gives them another
        ETag."""
        changes: dict[str, dict[str, int]] = {}
        for each in self.bounds:
            changes.setdefault(each.agreement, {}).update(each.changes())
        return changes


def decide(restored: Inventory, known: Known, *, margin: int) -> Decision:
    """What :func:`biztalk_services.drivers.biztalk.numbers.bounds.new_bounds` says of every agreement and kind.

    Bounds that an earlier try has set are decided upon again, and are the same where nothing was used in between.

    :param restored: the restored service; before the restore, the backup stands for it.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :raises ValueError: a negative margin.
    """
    if margin < 0:
        raise ValueError("The margin of control numbers is a count: 0 or more.")
    if problem := restored.parts.get(PARTNER_MANAGEMENT):
        sentence = (
            f"The ranges of control numbers of service {restored.service} could not be read, so it is unknown whether "
            f"they repeat numbers used since the backup: {problem.rstrip('.')}."
        )
        return Decision(open=(OpenNumbers(ALL, ALL, rule="control-numbers-known", sentence=sentence),))
    if problem := known.used.problem:
        sentence = f"Which were used since the backup is unknown: {problem.rstrip('.')}. {ASK}"
        return Decision(open=(OpenNumbers(ALL, ALL, rule="control-numbers-known", sentence=sentence),))
    return _Service(restored, known, margin).decided()


class _Service:
    """A restored service, decided upon counter by counter."""

    def __init__(self, restored: Inventory, known: Known, margin: int) -> None:
        self.restored, self.known, self.margin = restored, known, margin
        self.now = list(ranges_of(restored))
        recorded = {_key(place): place.range for place in ranges_of(known.recorded or restored)}
        self.places = [_as_at_backup(place, recorded.get(_key(place))) for place in self.now]
        self.sharing = sharing(self.places, restored)

    def decided(self) -> Decision:
        if other := self._of_another_database():
            return Decision(open=(other,), remarks=tuple(self._remarks()))
        found = {place.key: self._settled(place) for place in self.places}
        settled = {key: each for key, each in found.items() if isinstance(each, Settled)}
        decided: dict[Key, NewBounds | OpenNumbers] = {}
        remarks: list[str] = []
        for place, now in zip(self.places, self.now, strict=True):
            result: Settled | NewBounds | OpenNumbers | None = found[place.key]
            if isinstance(result, Settled):
                terms = self._terms(place, result, settled, decided)
                if isinstance(terms, Terms) and terms.shared:
                    remarks.append(f"Agreement {place.agreement}, {place.numbers}: {terms.shared}")
                use = self.known.used.use_of(*place.key) or ControlNumberUse(*place.key)
                result = new_bounds(place, now.range, result, use, terms) if isinstance(terms, Terms) else terms
            if result is not None:
                decided[place.key] = result
        everything = [*decided.values(), *self._without_range()]
        return Decision(
            tuple(each for each in everything if isinstance(each, NewBounds)),
            tuple(each for each in everything if isinstance(each, OpenNumbers)),
            settled,
            (*remarks, *self._remarks()),
        )

    def _settled(self, place: Place) -> Settled | OpenNumbers | None:
        """None: no number can be taken from its range, and none was."""
        before = Before.of(self.known.recorded, place)
        answers = Answers.of(place, self.known.used, self.known.sent)
        is_unused = answers.since is not None and not answers.since.used
        if problem := place.range.problem(place.protocol):
            sentence = f"The range {problem}. Correct it, then plan again."
            return None if is_unused else open_numbers(place, "control-number-range", sentence)
        if is_unused and not before.known and self.known.used.ever == ():
            sentence = (
                f"The last number of the backup is not known, and {answers.source} knows no number of any agreement: "
                f"it may be another database, or an empty one. {ASK}"
            )
            return open_numbers(place, "control-numbers-known", sentence)
        return settle(place, before, answers, margin=self.margin)

    def _of_another_database(self) -> OpenNumbers | None:
        """None: the tracking database knows an agreement that had used numbers at the backup, or none had."""
        recorded, used = self.known.recorded, self.known.used
        at_backup = {use.key: use.agreement for use in recorded.control_numbers if use.used} if recorded else {}
        if not at_backup or used.ever is None or at_backup.keys() & {use.key for use in used.ever if use.used}:
            return None
        names = _named(sorted(set(at_backup.values())))
        sentence = (
            f"None of the agreements that had used numbers at the backup ({names}) is known to the {used.source}: it "
            f"is another database, or what it had was removed. So what it says of others does not count either. {ASK}"
        )
        return OpenNumbers(ALL, ALL, rule="control-numbers-known", sentence=sentence)

    def _terms(
        self,
        place: Place,
        settled: Settled,
        all_settled: Mapping[Key, Settled],
        decided: Mapping[Key, NewBounds | OpenNumbers],
    ) -> Terms | OpenNumbers:
        partner = self.known.partners.of(place.agreement)
        in_window = self._in_window(place, settled, partner)
        if isinstance(in_window, OpenNumbers):
            return in_window
        others: list[Span] = []
        for key in self.sharing.get(place.key, ()):
            other, new = all_settled.get(key), decided.get(key)
            if other and other.steps:
                others += other.walk.spans(1, other.steps + self.margin)
            if isinstance(new, NewBounds):
                others.append((new.lower, min(new.lower + self.margin, new.range.upper)))
        names = _named([key[0] for key in self.sharing.get(place.key, ())])
        shared = f"The numbers of {names} count, too: sender and receiver are the same, and the ranges overlap."
        return Terms(self.margin, partner, in_window, merged(others), shared if names else "")

    def _in_window(self, place: Place, settled: Settled, partner: Partner) -> int | OpenNumbers | None:
        """How many numbers were used in the partner's window; None when not known, or the window is endless."""
        report = self.known.windows.get(partner.window_days) if partner.window_days else None
        use, since = report.use_of(*place.key) if report and report.problem is None else None, self.known.used
        if report is None or use is None:
            return None
        looks = [look for look in (since.use_of(*place.key), since.ever_of(*place.key)) if look and look.used]
        last_used = looks[0].last_used if looks else None
        if looks and not use.used and last_used is None:
            return None
        is_longer = report.since <= since.since
        if (not use.used and last_used and last_used >= report.since) or (is_longer and use.used < settled.least):
            when = in_utc(last_used) if last_used else "at a time not known"
            sentence = (
                f"{report.source} says that {use.used} were used since {in_utc(report.since)}, and {settled.least} "
                f"since {in_utc(since.since)}, the last one {when}. "
                "Both cannot be true. Correct the control number query (its comparison with :since)."
            )
            return open_numbers(place, "control-numbers-agree", sentence)
        is_counted = settled.steps - settled.least <= self.margin
        return use.used if is_counted else None

    def _without_range(self) -> list[OpenNumbers]:
        """Numbers used by agreements that the restored service does not have, or that generate none there."""
        known = {_key(place) for place in self.places} | {(name, kind) for name in self._as2() for kind in KINDS}
        missing = []
        for use in self.known.used.uses:
            if use.used and use.key not in known:
                highest = use.latest if use.highest is None else use.highest
                told = "" if highest is None else f", the highest {highest}"
                sentence = (
                    f"Agreement {use.agreement} has given out {use.used} {use.kind.replace('_', ' ')} control numbers "
                    f"since the backup{told}, but has no range for them in the restored service. When it is created "
                    "again, let it begin beyond them."
                )
                missing.append(OpenNumbers(use.agreement, use.kind, rule="control-number-range", sentence=sentence))
        return missing

    def _as2(self) -> dict[str, str]:
        """The agreements of a protocol without control numbers, by their keys."""
        agreements = [item for item in self.restored.items if item.kind == "agreement"]
        as2 = [item for item in agreements if str(item.attributes.get("ProtocolName")).upper() == "AS2"]
        return {agreement_key(item.name): item.name for item in as2}

    def _remarks(self) -> list[str]:
        remarks = []
        if names := self._as2().values():
            remarks.append(f"AS2 has no control numbers, so that none are advanced for {_named(list(names))}.")
        sent = self.known.sent
        if sent and sent.problem:
            remarks.append(
                f"The second source could not be read as a whole, and only the numbers that it names count "
                f"({sent.source}): {sent.problem.rstrip('.')}."
            )
        return remarks


def number_plan(restored: Inventory, decision: Decision, known: Known, *, applied: bool) -> NumberPlan:
    """The decision as a table: one row an agreement and kind that was used since the backup, or that needs a person.

    :param restored: before anything was changed, otherwise as in :func:`decide`.
    :param applied: whether the bounds are set.
    """
    bounds = {each.key: each for each in decision.bounds}
    open_of = {each.key: each for each in decision.open}
    rows = []
    for place in ranges_of(restored):
        use, settled = known.used.use_of(*place.key), decision.settled.get(place.key)
        blocked = open_of.pop(place.key, open_of.get((ALL, ALL)) if use and use.used else None)
        needed = bounds.get(place.key)
        if not (blocked or needed or (use and use.used)):
            continue
        last = Before.of(known.recorded, place).last
        source = blocked.source if blocked else settled.source if settled else "unknown"
        rows.append(
            NumberRow(
                *place.key,
                backup=last,
                highest=use.highest if use else None,
                next=needed.lower if needed and applied else place.range.after(last),
                done=blocked is None and (needed is None or applied),
                sentence=str(blocked)
                if blocked
                else needed.reason
                if needed
                else "It is beyond every number used since.",
                latest=settled.latest if settled else use.latest if use else None,
                source=source,
            )
        )
    rows += [NumberRow(*key, None, None, None, False, str(each)) for key, each in open_of.items()]
    return NumberPlan(tuple(rows), tuple(str(each) for each in decision.open), decision.remarks)


def _named(agreements: Sequence[str]) -> str:
    return ", ".join(shortened(agreements, _MOST_NAMED))


def _key(place: Place) -> Key:
    return agreement_key(place.agreement), place.kind


def _as_at_backup(place: Place, recorded: Range | None) -> Place:
    """The place with the range of the backup, where that can be used."""
    return place if recorded is None or recorded.problem(place.protocol) else replace(place, range=recorded)
