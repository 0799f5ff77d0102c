"""
Gates before and after the steps of a run: a task that comes to a shut gate stands there until it is opened.

They are files in a folder, made by the matrix, looked at by the tasks (`policy/airflow_local_settings.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import psutil

FOLDER = "BIZTALK_CHAOS_GATES"
"""Environment variable with the folder."""

LOOK_SECONDS = 0.05


class Side(StrEnum):
    """Of a step, where its gate is."""

    BEFORE = "before"
    """Nothing of it was done."""
    AFTER = "after"
    """All of it was done, and Airflow does not know it yet."""


class Gates:
    """
    The gates of a stack.

    :param folder: where they are kept; made when missing
    """

    def __init__(self, folder: Path) -> None:
        self._shut, self._arrivals = folder / "shut", folder / "arrivals"
        for each in (self._shut, self._arrivals):
            each.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def name(job: str, whose: str, step: str, side: Side) -> str:
        return f"{job},{whose.lower()},{step},{side}"

    def shut(self, names: Iterable[str]) -> None:
        for name in names:
            (self._arrivals / name).unlink(missing_ok=True)
            (self._shut / name).touch()

    def open(self, names: Iterable[str]) -> None:
        for name in names:
            (self._shut / name).unlink(missing_ok=True)

    def is_shut(self, name: str) -> bool:
        return (self._shut / name).exists()

    def arrived(self, name: str) -> int | None:
        """The process of the task that stands at a gate; None as long as no living one does."""
        try:
            pid = int((self._arrivals / name).read_text())
            return pid if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    def pass_through(self, name: str) -> None:
        """For a task: go on when the gate is open."""
        if not self.is_shut(name):
            return
        (self._arrivals / name).write_text(str(os.getpid()))
        while self.is_shut(name):
            time.sleep(LOOK_SECONDS)
