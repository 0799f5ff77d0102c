"""How often to ask while waiting, and how long to put up with trouble meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

QUICKEST = 0.5
SLOWEST = 30.0
LONGEST_RETRY_AFTER = 300.0


def next_interval(elapsed_seconds: float, retry_after: float | None = None) -> float:
    """Seconds until the next question: quick at first, later about a tenth of the time already waited, at most 30 s.

    :param elapsed_seconds: since the wait began.
    :param retry_after: seconds that the service asked for; waited at least, up to five minutes.
    """
    interval = min(max(elapsed_seconds / 10, QUICKEST), SLOWEST)
    return max(interval, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


@dataclass
class Patience:
    """Counts passing errors in a row and says when they have lasted too long.

    :param seconds: how long errors in a row may last.
    :param since: when the first of them came; None while all is well.
    :param errors: how many came in a row.
    """

    seconds: float = 300.0
    since: datetime | None = None
    errors: int = 0

    def exhausted_by_trouble(self, now: datetime) -> bool:
        """Note an error.

        :param now: aware time.
        :returns: whether errors in a row have lasted too long now.
        """
        self.since = self.since or now
        self.errors += 1
        return now - self.since >= timedelta(seconds=self.seconds)

    def answered(self) -> None:
        """Note a proper answer; the next error is a first one again."""
        self.since, self.errors = None, 0
