"""
Gates before and after the steps of a run: a task that reaches a shut gate waits until the gate is opened.

Gates are files in a folder. The matrix creates them; the tasks poll them (`policy/airflow_local_settings.py`), and so
does the trigger of a task that no worker runs (`triggers.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import psutil

FOLDER_VARIABLE = "BIZTALK_CHAOS_GATES"
"""Name of the environment variable with the folder's path."""

POLL_SECONDS = 0.05


class Side(StrEnum):
    """The side of a step on which a gate is."""

    BEFORE = "before"
    """None of the step's work is done."""
    AFTER = "after"
    """All of the step's work is done and not yet reported to Airflow."""


class Gates:
    """
    The gates of a stack.

    :param folder: folder of the files; created when missing
    """

    def __init__(self, folder: Path) -> None:
        self._shut, self._arrivals = folder / "shut", folder / "arrivals"
        for each in (self._shut, self._arrivals):
            each.mkdir(parents=True, exist_ok=True)

    @classmethod
    def of_environment(cls) -> Gates:
        """The gates of the stack to which this process belongs."""
        return cls(Path(os.environ[FOLDER_VARIABLE]))

    @staticmethod
    def name(job: str, owner: str, step: str, side: Side) -> str:
        """
        Return the name of a gate.

        :param owner: name of a service, or id of a run
        """
        return f"{job},{owner.lower()},{step},{side}"

    def shut(self, names: Iterable[str]) -> None:
        """Shut gates, and forget earlier arrivals at them."""
        for name in names:
            (self._arrivals / name).unlink(missing_ok=True)
            (self._shut / name).touch()

    def open(self, names: Iterable[str]) -> None:
        for name in names:
            (self._shut / name).unlink(missing_ok=True)

    def is_shut(self, name: str) -> bool:
        return (self._shut / name).exists()

    def arrived(self, name: str) -> int | None:
        """Return the process id of the task that has arrived at a gate; None when there is none or it has ended."""
        try:
            pid = int((self._arrivals / name).read_text())
            return pid if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def pass_through(self, name: str) -> None:
        """Return when the gate is open. Called by the tasks."""
        if self.arrive(name):
            while self.is_shut(name):
                time.sleep(POLL_SECONDS)

    def arrive(self, name: str) -> bool:
        """Note the arrival of this process at a gate; return whether it has to wait there, because the gate is shut."""
        if is_shut := self.is_shut(name):
            (self._arrivals / name).write_text(str(os.getpid()))
        return is_shut
