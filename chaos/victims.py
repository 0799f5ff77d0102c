"""What dies in a cell, and how."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stack import Stack

Kill = Callable[[Stack, Mapping[str, Any]], bool]
"""Kills; gets the stack and the task instance that was seen to begin. Answers whether anything died."""

_CUT_REQUESTS = 3


def _task(stack: Stack, instance: Mapping[str, Any]) -> bool:
    return _kill(instance.get("pid"))


def _worker(stack: Stack, instance: Mapping[str, Any]) -> bool:
    """The process that runs the task, and the one above it that would see it die."""
    pid = instance.get("pid")
    parent = _parent(pid)
    return _kill(parent) | _kill(pid) if parent else False


def _part(name: str) -> Kill:
    def kill(stack: Stack, instance: Mapping[str, Any]) -> bool:
        lives = stack.running()[name] is not None
        stack.kill(name)
        return lives

    return kill


def _connection(stack: Stack, instance: Mapping[str, Any]) -> bool:
    """The next requests to the management API are carried out, and their connections cut before the answer."""
    order = {"kind": "reset-after", "operation": "any", "count": _CUT_REQUESTS}
    stack.emulator.post("/faults", order)
    return True


VICTIMS: Mapping[str, Kill] = {
    "task": _task,
    "worker": _worker,
    "connection": _connection,
    **{name: _part(name) for name in ("scheduler", "triggerer", "dag-processor", "api-server", "emulator", "azurite")},
}
"""By name. On SQLite with the LocalExecutor the scheduler takes its workers with it."""


def _kill(pid: int | None) -> bool:
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _parent(pid: int | None) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1])
