"""Which of many services may be suspended for its backup: a few at a time, first come, first served, without a lock.

A service takes a slot from being let through until its suspension record is closed. The open records, of every run and
every Airflow, are one list of names, which all waits of a process share. Who was just let through has no record yet:
that is known to this process only, so that with several triggerers, or a new one, for a moment a few more may pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar

from biztalk_services.flows.shared_look import Looks, Sessions
from biztalk_services.flows.waits import Place, Succeeded, Wait
from biztalk_services.model.run import Run

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.suspensions import OpenName

PACE = 1.0
"""Seconds between two that pass: what many begin at once, they end at once, and the steps that bring each of them back
take the workers from those of the others."""
_LONGEST_DELAY = 2 * PACE

FORGOTTEN_AFTER = 60.0
"""Seconds after which one that does not ask any more has no place in the line, and one that was let through and has no
suspension record has no slot: it waits for its batches, or has ended."""


@dataclass(frozen=True, order=True)
class Asker:
    """One that waits for a slot; their order is that in which they are served.

    :param since: when its run began.
    :param mark: of its run and subscription (:meth:`biztalk_services.model.run.Run.digest`).
    """

    since: datetime
    mark: str


class Ledger:
    """Who waits, and who was let through and has no suspension record yet. Not for several threads.

    :param clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[Asker, float]] = {}
        self._let_through: dict[str, float] = {}
        self._next = -inf

    def ask(self, asker: Asker) -> None:
        """Take a place in the line, or keep it."""
        self._waiting[asker.mark] = asker, self._clock()

    def lets_through(self, asker: Asker, suspended: Collection[str], max_parallel: int) -> float | None:
        """In how many seconds one that has asked passes; None when it has to ask again. One that passed, or is
        suspended, passes again.

        :param suspended: marks of the open suspension records, read after it has asked.
        """
        now = self._clock()
        recently = now - FORGOTTEN_AFTER
        self._waiting = {mark: each for mark, each in self._waiting.items() if each[1] > recently}
        self._let_through = {
            mark: at for mark, at in self._let_through.items() if at > recently and mark not in suspended
        }
        before = sum(each < asker for each, _ in self._waiting.values())
        delay = 0.0
        if asker.mark not in self._let_through and asker.mark not in suspended:
            delay = max(0.0, self._next - now)
            if len(suspended) + len(self._let_through) + before >= max_parallel or delay > _LONGEST_DELAY:
                return None
            self._next = now + delay + PACE
        self._waiting.pop(asker.mark, None)
        if asker.mark not in suspended:
            self._let_through[asker.mark] = now
        return delay


class Slots:
    """The slots of one archive, for all waits of a process.

    :param open_archive: opens the archive; called again after every failed look.
    """

    def __init__(self, open_archive: Callable[[], Archive]) -> None:
        self._sessions = Sessions(open_archive)
        self._looks: Looks[None, list[OpenName]] = Looks(self._open_names)
        self._ledger = Ledger()
        self._lock = Lock()

    def ask(self, asker: Asker, max_parallel: int, longest_suspension: timedelta) -> bool:
        """Whether one may pass now.

        :param max_parallel: how many services may have a slot.
        :param longest_suspension: a record that was opened earlier than that takes none.
        :raises StorageError: the archive was not reached or refused.
        """
        with self._lock:
            self._ledger.ask(asker)
        names = self._looks.ask(None)
        earliest = datetime.now(UTC) - longest_suspension
        suspended = [name.mark for name in names if name.opened_at > earliest]
        with self._lock:
            delay = self._ledger.lets_through(asker, suspended, max_parallel)
        sleep(delay or 0.0)
        return delay is not None

    def _open_names(self, _: Collection[None]) -> list[OpenName]:
        return self._sessions.call(lambda archive: archive.suspensions.open_names())


@dataclass
class SlotWait(Wait):
    """Waits until a service may be suspended.

    :param slots: opens the slots that it waits for one of.
    :param run: gives the run that backs it up.
    :param since: when that began, aware.
    :param max_parallel: how many services may have a slot.
    :param longest_suspension: how long a suspension record takes a slot.
    """

    longest_interval: ClassVar[float] = 2.0

    slots: Callable[[], Slots]
    run: Callable[[], Run]
    since: datetime
    max_parallel: int
    longest_suspension: timedelta

    def description(self) -> str:
        return f"a slot ({self.max_parallel} concurrent backups)"

    def poll(self, place: Place) -> Succeeded | None:
        asker = Asker(self.since, self.run().digest(place.key.subscription_id))
        if self.slots().ask(asker, self.max_parallel, self.longest_suspension):
            return Succeeded({"max_parallel": self.max_parallel})
        return None
