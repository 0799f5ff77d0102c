"""Wall-clock time, the only clock here: operations must go on after the process was killed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

now = time.time


def as_datetime(seconds: float) -> datetime:
    """Turn seconds since the epoch into an aware UTC time."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float | None = None) -> str:
    """ISO-8601 UTC text with microseconds, e.g. ``2026-11-22T01:02:03.000004Z``.

    :param seconds: seconds since the epoch; now when omitted.
    """
    moment = as_datetime(now() if seconds is None else seconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
