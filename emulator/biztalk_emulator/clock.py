"""The thread that acts on time: it ends due operations and releases due batches."""

from __future__ import annotations

import sys
import threading

from biztalk_emulator import times
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.message_desk import MessageDesk
from biztalk_emulator.operations import ENDING_THEMSELVES


class Clock:
    """Runs until `stopping` is set.

    Due times are wall-clock times in the store, so what came due while the emulator was down happens at its start.
    """

    def __init__(self, lifecycle: Lifecycle, desk: MessageDesk, stopping: threading.Event) -> None:
        self._lifecycle = lifecycle
        self._desk = desk
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has stopped."""
        self._thread.join(5)

    def _run(self) -> None:
        last_tick = 0.0
        while True:
            seen = self._lifecycle.changed.count
            if self._stopping.is_set():
                return
            try:
                self.end_due_operations()
                next_tick = last_tick + self._lifecycle.settings["traffic_tick_seconds"]
                if times.now() >= next_tick:
                    self._desk.release_due()
                    last_tick, next_tick = times.now(), times.now() + next_tick - last_tick
                due = self._lifecycle.store.next_due()
                until = next_tick if due is None else min(due, next_tick)
            except Exception as error:
                print(f"the clock failed with {type(error).__name__}: {error}", file=sys.stderr)
                until = times.now() + 0.5
            self._lifecycle.changed.wait(seen, until - times.now())

    def end_due_operations(self) -> None:
        """End what is due; backups and restores end themselves."""
        for operation in self._lifecycle.store.due_operations():
            if operation.kind not in ENDING_THEMSELVES:
                self._lifecycle.end(operation.id)
