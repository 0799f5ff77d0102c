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
    """The Celery worker that runs the task; where the scheduler's own processes do, the one that would see it die."""
    pid, running = instance.get("pid"), stack.running()
    for name in stack.layout.named("worker"):
        process = running[name]
        if process and pid in process.members():
            process.kill()
            return True
    parent = _parent(pid)
    return _kill(parent) | _kill(pid) if parent else False


def _part(kind: str) -> Kill:
    """A part of the stack; the first that lives where there are several of a kind."""

    def kill(stack: Stack, instance: Mapping[str, Any]) -> bool:
        running = stack.running()
        name = next((name for name in stack.layout.named(kind) or [kind] if running[name]), None)
        if name:
            stack.kill(name)
        return name is not None

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
"""By name. On the local stack the scheduler takes its workers with it; on the distributed one another goes on."""


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
