"""How often a wait polls, and how long it tolerates errors meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SHORTEST_INTERVAL = 0.5
LONGEST_INTERVAL = 30.0
LONGEST_RETRY_AFTER = 300.0


def next_interval(elapsed_seconds: float, retry_after: float | None = None) -> float:
    """Seconds until the next poll: short at first, later about a tenth of the time already waited, at most 30 s.

    :param elapsed_seconds: since the wait began.
    :param retry_after: seconds that the service asked for; waited at least, up to five minutes.
    """
    interval = min(max(elapsed_seconds / 10, SHORTEST_INTERVAL), LONGEST_INTERVAL)
    return max(interval, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


@dataclass
class ErrorTolerance:
    """How long errors in a row are tolerated.

    :param seconds: at most.
    :param since: when the first of them occurred; None after a success.
    """

    seconds: float = 300.0
    since: datetime | None = None

    def is_exceeded_by_error(self, now: datetime) -> bool:
        """Count an error; whether errors in a row have lasted too long now.

        :param now: aware time.
        """
        self.since = self.since or now
        return now - self.since >= timedelta(seconds=self.seconds)

    def succeeded(self) -> None:
        """Count a success; the next error is a first one again."""
        self.since = None
