"""One history of a service: traffic, backup, traffic, restore, traffic; and what its partners refuse in the end."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from biztalk_emulator.business.control_numbers import draw
from biztalk_emulator.business.errors import ControlNumbersExhausted
from biztalk_services.drivers.biztalk.numbers.partners import Partner, Partners
from biztalk_services.drivers.biztalk.numbers.plan import Decision, Known, decide, window_begin
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, Range, property_name
from biztalk_services.model.control_numbers import EVER, agreement_key
from biztalk_services.model.inventory import Inventory, Item

from tests.histories.partner import Receiver
from tests.histories.tracking import FAULTS, Fault, Key, Query, Row

MARGINS = (0, 1, 5, 20, 100, 200)
BEGIN = datetime(2026, 3, 1, 5, tzinfo=UTC)


@dataclass
class Counter:
    """One counter of the service, and the partner that gets its numbers."""

    key: Key
    range: Range
    receiver: Receiver
    last: int | None = None


@dataclass
class History:
    """:param fault: kind of wrong answer; empty for a right one.
    :param stale_beyond: whether the answer is of an earlier moment, by more numbers than the margin.
    :param has_archive: whether there is an archive of sent interchanges, which is complete.
    """

    chance: random.Random
    fault: str = ""
    margin: int = 0
    stale_beyond: bool = False
    has_archive: bool = False
    counters: list[Counter] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    now: datetime = BEGIN
    refused: list[str] = field(default_factory=list)
    backup: datetime | None = None
    restored: bool = False
    decision: Decision = field(default_factory=Decision)

    # what there is

    def build(self) -> None:
        self.margin = self.chance.choice(MARGINS)
        for place in range(self.chance.randint(1, 3)):
            policy = self.chance.choice(("increasing", "increasing", "unique", "gapless"))
            partner = Partner(policy, self.chance.choice((0, 0, 3, 30)))
            for kind in self.chance.sample(["interchange", "group", "acknowledgement"], self.chance.choice((1, 1, 2))):
                self.counters.append(self._counter(f"Partner {place} X12", kind, partner))

    def _counter(self, agreement: str, kind: str, partner: Partner) -> Counter:
        chance = self.chance
        size = chance.choice((5, 40, 120, 400, 1000, 90_000, 999_999))
        lower = chance.choice((1, 1, 1, 90, 9_900, 99_950))
        upper = min(lower + size - 1, HIGHEST)
        digits = 9 - len(str(upper))
        prefix = chance.choice(("", "", "7"))[:digits]
        whole = Range(lower, upper, prefix, "", chance.random() < 0.5)
        begin = chance.choice((lower, lower, (lower + upper) // 2, max(upper - 30, lower)))
        last = None if begin == lower else begin
        counter = Counter((agreement, kind), whole, Receiver(partner, whole), last)
        if last is not None:
            self.rows.append(Row(counter.key, last, self.now))
            counter.receiver.take(last, self.now, None)
        return counter

    # what happens

    def traffic(self, most: int, *, days: int = 0, to: list[Counter] | None = None) -> None:
        """Numbers of all counters, in any order."""
        pick = to or self.counters
        for _ in range(self.chance.randint(0, most)):
            seconds = self.chance.choice((0.25, 7.5, 600, 5000)) + days * 86_400 / max(most, 1)
            self.now += timedelta(seconds=seconds)
            self.give(self.chance.choice(pick))

    def give(self, counter: Counter) -> int | None:
        """The next number by the emulator's rule, which the partner gets; None when the range is used up."""
        whole = counter.range
        described: Any = {"LowerBound": whole.lower, "UpperBound": whole.upper, "Rollover": whole.rollover}
        described |= {"Prefix": whole.prefix, "Suffix": whole.suffix}
        agreement: Any = {"Protocol": "X12", "Name": counter.key[0], "ControlNumbers": {counter.key[1]: described}}
        generated: Any = [{"Agreement": counter.key[0], "Kind": counter.key[1], "Last": counter.last}]
        try:
            number = draw(generated, agreement, counter.key[1]).value
        except ControlNumbersExhausted:
            return None
        counter.last = number
        self.rows.append(Row(counter.key, number, self.now))
        since = self.backup if self.restored else None
        if reason := counter.receiver.take(number, self.now, since):
            self.refused.append(f"{counter.key} {number}: {reason}")
        return number

    def run(self) -> History:
        self.build()
        chance = self.chance
        fault = FAULTS.get(self.fault, Fault(lambda *_: Query()))
        self.traffic(chance.choice((0, 10, 60, 150)), days=chance.choice((0, 2, 40)))
        self.earlier_restore()
        self.now += timedelta(minutes=5, microseconds=123)
        keys = sorted({row.key for row in self.rows})
        query = fault.make(chance, self.now, keys) if keys else Query()
        at_backup = query if fault.from_the_beginning and chance.random() < 0.7 else Query()
        recorded = self.inventory(at_backup)
        lasts = {counter.key: counter.last for counter in self.counters}
        self.backup = self.now
        self.now += timedelta(minutes=1)
        self.traffic(chance.choice((0, 5, 60, 150)), days=chance.choice((0, 0, 5, 45)))
        if self.fault == "earlier exact restore":
            for counter in self.counters:
                counter.last = lasts[counter.key]
            self.traffic(60)
        visible = self.visible()
        if not self.stale_beyond:
            self.now += timedelta(minutes=10)
        known = Known(
            recorded=recorded,
            used=query.report(visible, self.backup, self.now),
            sent=Query().report(self.rows, self.backup, self.now) if self.has_archive else None,
            windows={days: query.report(visible, window_begin(days, self.now), self.now) for days in (3, 30)},
            partners=Partners(by_agreement={agreement_key(each.key[0]): each.receiver.terms for each in self.counters}),
        )
        self.decision = decide(recorded, known, margin=self.margin)
        if not self.decision.open:
            self.resume(lasts)
        return self

    def earlier_restore(self) -> None:
        """Lower bounds that one has raised, and that nobody has put back."""
        for counter in self.counters:
            lower = (counter.last or 0) + self.chance.randint(2, 150)
            is_moved = self.chance.random() < 0.15 and counter.receiver.terms.policy != "gapless"
            if is_moved and counter.range.lower < lower <= counter.range.upper:
                counter.range = replace(counter.range, lower=lower)

    def visible(self) -> list[Row]:
        """The rows that the database shows: not the last ones, of which there are at most as many as the margin.

        Two wrong things at once, and a counter of which nothing is known at all, are limits of their own.
        """
        backup, chance = self.backup, self.chance
        assert backup is not None
        since = [row for row in self.rows if row.at >= backup]
        if self.stale_beyond:
            return self.rows[: len(self.rows) - chance.randint(self.margin + 1, max(self.margin + 1, len(since)))]
        unseen = chance.choice((0, 0, self.margin, 3))
        is_gapless = any(each.receiver.terms.policy == "gapless" for each in self.counters)
        unseen = 0 if is_gapless or self.fault.startswith("latest") else unseen
        unseen = min(unseen, self.margin, len(since))
        begun = {row.key for row in self.rows if row.at < backup}
        while {row.key for row in self.rows} - begun - {row.key for row in self.rows[: len(self.rows) - unseen]}:
            unseen -= 1
        return self.rows[: len(self.rows) - unseen]

    def resume(self, lasts: dict[Key, int | None]) -> None:
        """The restored service: its counters are those of the backup, its bounds what was decided."""
        self.restored = True
        bounds = {each.key: each for each in self.decision.bounds}
        is_reset = self.chance.random() < 0.5
        assert self.backup is not None
        used_since = {row.key for row in self.rows if row.at >= self.backup}
        for counter in self.counters:
            if self.fault.startswith("latest") and counter.key not in used_since:
                continue  # the last number of the backup is wrong, and nothing contradicts it
            counter.last = lasts[counter.key]
            new, whole = bounds.get(counter.key), counter.range
            room = min(new.room, 60) if new else min(whole.size, 30)
            if new:
                counter.range = new.range
            known = {number for number, at in counter.receiver.sent if at < self.backup}
            for count in range(room):
                if not new and whole.after(counter.last) in known:
                    break  # as without a restore
                self.now += timedelta(seconds=1)
                known.add(self.give(counter) or 0)
                if new and is_reset and count == 0:
                    counter.range = whole
            counter.range = whole

    # what is recorded

    def inventory(self, query: Query) -> Inventory:
        items = []
        for agreement in sorted({counter.key[0] for counter in self.counters}):
            settings: dict[str, Any] = {"Type": "X12ProtocolSettings"}
            for counter in self.counters:
                if counter.key[0] == agreement:
                    parts = {"LowerBound": counter.range.lower, "UpperBound": counter.range.upper}
                    parts |= {"Prefix": counter.range.prefix, "Suffix": "", "Rollover": counter.range.rollover}
                    settings |= {property_name(counter.key[1], part): value for part, value in parts.items()}
            parties = {"ProtocolName": "X12", "Sender.Partner": "Contoso", "Receiver.Partner": agreement}
            items += [Item("agreement", agreement, parties), Item("protocol settings", agreement, settings)]
        report = query.report(self.rows, EVER, self.now)
        return Inventory(
            service="orders",
            edition="premium",
            product_version="1.1.0",
            taken_at=self.now,
            items=tuple(sorted(items, key=lambda item: (item.kind, item.name))),
            control_numbers=report.uses,
            parts={"partner management": None, "control numbers": report.problem},
        )


def history(seed: int, **bent: Any) -> History:
    return replace(History(random.Random(seed)), **bent).run()
