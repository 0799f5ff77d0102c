"""A partner that refuses what its policy refuses, and remembers every number that it was sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from biztalk_services.drivers.biztalk.numbers.partners import Partner
from biztalk_services.drivers.biztalk.numbers.ranges import Range


@dataclass
class Receiver:
    """:param range: of the agreement, as it was agreed on.
    :param sent: every number with its time, in the order of arrival."""

    terms: Partner
    range: Range
    sent: list[tuple[int, datetime]] = field(default_factory=list)

    def take(self, number: int, at: datetime, since: datetime | None) -> str | None:
        """Why a number is refused; None when it is not.

        :param since: the backup, once the service is a restored one: what came after it may not come again. Before
            it numbers are taken as they come.
        """
        refused = self._refused(number, at, since) if since else None
        self.sent.append((number, at))
        return refused

    def _refused(self, number: int, at: datetime, since: datetime) -> str | None:
        days, policy = self.terms.window_days, self.terms.policy
        begin = at - timedelta(days=days) if days else None if policy == "unique" else since
        if any(number == earlier and (begin is None or moment >= begin) for earlier, moment in self.sent):
            return "duplicate"
        last = self.sent[-1][0] if self.sent else None
        if last is None or policy == "unique":
            return None
        if policy == "gapless" and number != self.range.after(last):
            return "gap"
        return "lower" if number < last and not self.range.rollover else None
