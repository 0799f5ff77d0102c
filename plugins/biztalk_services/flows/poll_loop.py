"""The polls of a wait: how often, with which tolerance for errors; the first on a worker, the loop of the triggerer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from biztalk_services.flows.waits import Ending, Place, Wait
from biztalk_services.model.errors import BackupServiceError

SHORTEST_INTERVAL = 0.5
LONGEST_INTERVAL = 30.0
LONGEST_RETRY_AFTER = 300.0


def next_interval(elapsed_seconds: float, retry_after: float | None = None) -> float:
    """Seconds until the next poll: short at first, later about a tenth of the time already waited, at most 30 s.

    :param retry_after: seconds that the service requested; waited at least, up to five minutes.
    """
    interval = min(max(elapsed_seconds / 10, SHORTEST_INTERVAL), LONGEST_INTERVAL)
    return max(interval, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


@dataclass
class ErrorTolerance:
    """How long errors in a row are tolerated.

    :param since: when the first of them occurred; None after a success.
    """

    seconds: float = 300.0
    since: datetime | None = None

    def is_exceeded_by_error(self, now: datetime) -> bool:
        """Count an error; whether errors in a row have lasted too long now."""
        self.since = self.since or now
        return now - self.since >= timedelta(seconds=self.seconds)

    def succeeded(self) -> None:
        """Count a success; the next error is a first one again."""
        self.since = None


def poll_once(wait: Wait, place: Place, deadline: datetime) -> Ending | None:
    """The first poll of a wait, on a worker; None when the wait has to go on.

    :param deadline: moment at which the wait fails, aware.
    """
    try:
        ending = wait.poll(place)
    except BackupServiceError as error:
        if error.advice == "stop":
            return wait.on_final_error(error)
        place.log.warning("%s", error)
        return wait.on_poll_errors(error) if datetime.now(UTC) >= deadline else None
    return wait.on_timeout(deadline.isoformat()) if ending is None and datetime.now(UTC) >= deadline else ending


async def poll_until(
    wait: Wait, place: Place, *, since: datetime, deadline: datetime, tolerance_seconds: float
) -> Ending:
    """Polls until the wait is over.

    :param since: when the wait began, aware; how often it polls follows from it.
    :param deadline: moment at which it fails, aware.
    :param tolerance_seconds: how long polls in a row may fail.
    """
    from asgiref.sync import sync_to_async  # installed with Airflow; the command line has to do without

    tolerance = ErrorTolerance(tolerance_seconds)
    poll = sync_to_async(wait.poll, thread_sensitive=False)
    retry_after: float | None = None
    while True:
        now = datetime.now(UTC)
        interval = next_interval((now - since).total_seconds(), retry_after)
        await asyncio.sleep(max(0.0, min(interval, (deadline - now).total_seconds())))
        try:
            ending = await poll(place)
        except BackupServiceError as error:
            if error.advice == "stop":
                return wait.on_final_error(error)
            place.log.warning("%s", error)
            retry_after = error.retry_after
            now = datetime.now(UTC)
            if tolerance.is_exceeded_by_error(now) or now >= deadline:
                return wait.on_poll_errors(error)
        else:
            tolerance.succeeded()
            retry_after = None
            if ending is not None:
                return ending
            if datetime.now(UTC) >= deadline:
                return wait.on_timeout(deadline.isoformat())
