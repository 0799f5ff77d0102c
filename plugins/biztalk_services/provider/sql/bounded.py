"""Work at a database, given up after its time.

A driver may wait for its server for minutes or for ever, and most cannot be interrupted. The thread that is left behind
ends with the driver's own timeout, or with the process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TypeVar

from biztalk_services.drivers.sql.errors import QueryTimeoutError
from biztalk_services.flows.bounded import GivenUpError, call_within

T = TypeVar("T")

MOST_LEFT_BEHIND = 4
"""Threads that may still wait for one subject; a poll of every minute would otherwise fill the triggerer."""

_given_up: dict[str, set[Event]] = {}
"""Subject -> of each work that was given up, whether it has ended."""
_lock = Lock()


def within(seconds: float, subject: str, work: Callable[[], T], cancel: Callable[[], object]) -> T:
    """What the work returns or raises.

    :param subject: what the work waits for (``connection tracking``).
    :param cancel: asks what it waits for to stop; in a thread of its own, whatever it raises.
    :raises QueryTimeoutError: it took longer, or too many before it still wait.
    """
    if (waiting := left_behind(subject)) >= MOST_LEFT_BEHIND:
        raise QueryTimeoutError(
            f"{waiting} earlier queries through {subject} still wait for an answer. No further one is begun before one "
            "of them ends; see whether the database answers at all."
        )
    ended = Event()

    def work_to_its_end() -> T:
        try:
            return work()
        finally:
            ended.set()

    def cancel_silently() -> None:
        with suppress(Exception):
            cancel()

    try:
        return call_within(seconds, work_to_its_end)
    except GivenUpError:
        with _lock:
            _given_up.setdefault(subject, set()).add(ended)
        Thread(target=cancel_silently, name="cancel of a query", daemon=True).start()
        raise QueryTimeoutError(
            f"The database behind {subject} did not answer within {seconds:g} s. See whether it can be reached and is "
            "not overloaded, or whether the query is too slow or waits for a lock."
        ) from None


def left_behind(subject: str) -> int:
    """How many that were given up still wait."""
    with _lock:
        _given_up[subject] = {ended for ended in _given_up.get(subject, ()) if not ended.is_set()}
        return len(_given_up[subject])
