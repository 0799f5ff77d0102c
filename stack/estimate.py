"""What `python -m biztalk_services night` says: of a night under way, when it ends. A process of its own asks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from stack.settings import STORAGE_API_VERSION, base_environment, storage_connection_string
from stack.stack import Stack

EVERY_SECONDS = 30
LONGEST_SECONDS = 60


class Estimate:
    """When the night of a run ends, as far as is known by now. A context manager; nothing waits for the answer.

    :param run_id: of the nightly run.
    """

    def __init__(self, stack: Stack, run_id: str) -> None:
        self._stack = stack
        self._run_id = run_id
        self._asked: subprocess.Popen[bytes] | None = None
        self._at = 0.0
        self._latest = ""

    def __enter__(self) -> Estimate:
        return self

    def __exit__(self, *_: object) -> None:
        if self._asked:
            self._asked.kill()
            self._asked.communicate()

    def latest(self) -> str:
        """The sentence of the last answer, empty as long as nothing is known; asks again every `EVERY_SECONDS`."""
        now = time.monotonic()
        if self._asked and self._asked.poll() is not None:
            self._latest = self._read(self._asked.communicate()[0])
            self._asked = None
        elif self._asked and now - self._at > LONGEST_SECONDS:
            self._asked.kill()
        elif not self._asked and (not self._at or now - self._at > EVERY_SECONDS):
            self._at, self._asked = now, _ask(self._stack)
        return self._latest

    def _read(self, answer: bytes) -> str:
        for night in _nights(answer):
            if night["run"]["run_id"] == self._run_id and night["forecast"]:
                return str(night["estimate"])
        return ""


def night_sentences(stack: Stack) -> list[str]:
    """A sentence on each night that is under way, or on the last one; none where the storage does not say."""
    asked = _ask(stack)
    try:
        answer, _ = asked.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        asked.kill()
        answer, _ = asked.communicate()
    return [str(night["sentence"]) for night in _nights(answer)]


def _ask(stack: Stack) -> subprocess.Popen[bytes]:
    environment = base_environment() | {
        "PYTHONPATH": str(stack.plugins),
        "AZURE_STORAGE_CONNECTION_STRING": storage_connection_string(stack.servers.ports),
        "BIZTALK_STORAGE_API_VERSION": STORAGE_API_VERSION,
    }
    command = [sys.executable, "-m", "biztalk_services", "night", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def _nights(answer: bytes) -> list[dict[str, Any]]:
    try:
        return list(json.loads(answer)["nights"])
    except (ValueError, KeyError, TypeError):
        return []
