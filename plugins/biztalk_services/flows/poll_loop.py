"""The polls of a wait: how often, for how long, with which tolerance for errors; the first on a worker, the loop of the
triggerer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from biztalk_services.flows.bounded import GivenUpError, await_within, call_within
from biztalk_services.flows.shared_look import LONGEST_RETRY_AFTER
from biztalk_services.flows.waits import Ending, Place, Wait
from biztalk_services.model.errors import BackupServiceError

SHORTEST_INTERVAL = 0.5

_NEWS_SECONDS = 0.25
"""How often a wait that follows a service hears what others have read of it."""

FIRST_POLL_SECONDS = 30.0
"""How long the poll on the worker may take, which has a worker to itself."""

LEAST_POLL_SECONDS = 30.0
"""What every poll may take, also one at the deadline, or where the tolerance is used up or none."""


class PollGivenUpError(BackupServiceError):
    """What was asked did not answer while the wait had time and tolerance."""

    default_advice = "retry"


def next_interval(
    elapsed_seconds: float, retry_after: float | None = None, longest: float = Wait.longest_interval
) -> float:
    """Seconds until the next poll: short at first, later a twentieth of the time already waited, up to the longest.

    :param retry_after: seconds that the service requested; waited at least, up to five minutes.
    """
    interval = min(max(elapsed_seconds / 20, SHORTEST_INTERVAL), longest)
    return max(interval, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


@dataclass
class ErrorTolerance:
    """How long errors in a row are tolerated.

    :param since: when the poll began that was the first of them; None after a success.
    """

    seconds: float = 300.0
    since: datetime | None = None

    def is_exceeded_by_error(self, began: datetime, now: datetime) -> bool:
        """Count an error of a poll; whether errors in a row have lasted too long now."""
        self.since = self.since or began
        return now - self.since >= timedelta(seconds=self.seconds)

    def succeeded(self) -> None:
        """Count a success; the next error is a first one again."""
        self.since = None

    def seconds_left(self, now: datetime) -> float:
        """How long a poll that begins now may take."""
        return self.seconds - (now - (self.since or now)).total_seconds()


def poll_once(wait: Wait, place: Place, deadline: datetime) -> Ending | None:
    """The first poll of a wait, on a worker; None when the wait has to go on.

    :param deadline: moment at which the wait fails, aware.
    """
    seconds = _bound(deadline, FIRST_POLL_SECONDS)
    try:
        ending = call_within(seconds, partial(wait.poll, place))
    except (BackupServiceError, GivenUpError) as raised:
        error = _domain_error(raised, wait, seconds)
        if error.advice == "stop":
            return wait.on_final_error(error)
        place.log.warning("%s", error)
        return wait.on_poll_errors(error) if datetime.now(UTC) >= deadline else None
    return wait.on_timeout(deadline.isoformat()) if ending is None and datetime.now(UTC) >= deadline else ending


async def poll_until(
    wait: Wait, place: Place, *, since: datetime, deadline: datetime, tolerance_seconds: float
) -> Ending:
    """Polls until the wait is over. A poll that does not end while there is time and tolerance ends the wait, so that
    no wait has more than one thread.

    :param since: when the wait began, aware; how often it polls follows from it.
    :param deadline: moment at which it fails, aware.
    :param tolerance_seconds: how long polls in a row may fail.
    """
    tolerance = ErrorTolerance(tolerance_seconds)
    retry_after: float | None = None
    while True:
        now = datetime.now(UTC)
        interval = next_interval((now - since).total_seconds(), retry_after, wait.longest_interval)
        await _pause(max(0.0, min(interval, (deadline - now).total_seconds())), wait, place)
        began = datetime.now(UTC)
        seconds = _bound(deadline, tolerance.seconds_left(began))
        try:
            ending = await await_within(seconds, partial(wait.poll, place))
        except (BackupServiceError, GivenUpError) as raised:
            error = _domain_error(raised, wait, seconds)
            if error.advice == "stop":
                return wait.on_final_error(error)
            place.log.warning("%s", error)
            retry_after = error.retry_after
            now = datetime.now(UTC)
            if error is not raised or tolerance.is_exceeded_by_error(began, now) or now >= deadline:
                return wait.on_poll_errors(error)
        else:
            tolerance.succeeded()
            retry_after = None
            if ending is not None:
                return ending
            if datetime.now(UTC) >= deadline:
                return wait.on_timeout(deadline.isoformat())


async def _pause(seconds: float, wait: Wait, place: Place) -> None:
    """Sleep so long, less where somebody else has read what is waited for."""
    step = _NEWS_SECONDS if wait.follows_service else seconds
    while seconds > 0 and not (wait.follows_service and place.has_news()):
        await asyncio.sleep(min(seconds, step))
        seconds -= step


def _bound(deadline: datetime, seconds: float) -> float:
    """How long a poll that begins now may take: until the deadline, as many seconds, and the least at least."""
    return max(LEAST_POLL_SECONDS, min(seconds, (deadline - datetime.now(UTC)).total_seconds()))


def _domain_error(raised: BackupServiceError | GivenUpError, wait: Wait, seconds: float) -> BackupServiceError:
    if isinstance(raised, BackupServiceError):
        return raised
    return PollGivenUpError(f"No answer came for {seconds:.0f} seconds while waiting for {wait.description()}.")
