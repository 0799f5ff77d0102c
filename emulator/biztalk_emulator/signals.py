"""A signal to the threads that wait for the store to change."""

from __future__ import annotations

import threading


class Signal:
    """Counts changes. Read `count`, read the store, then wait: no change in between is missed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.count = 0

    def set(self) -> None:
        """Signal a change."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> None:
        """Wait until the count is no longer `seen`, at most `timeout` seconds."""
        with self._condition:
            if self.count == seen and timeout > 0:
                self._condition.wait(timeout)
