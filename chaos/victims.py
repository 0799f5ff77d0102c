"""What dies in a cell, and how."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Mapping

import psutil

from stack import Stack

Kill = Callable[[Stack, Collection[int]], Collection[int]]
"""Kills; gets the stack and the processes of the tasks that stand at their gates. Answers which of them it met."""

_CUT_REQUESTS = 3


def _tasks(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    return [pid for pid in tasks if _kill(pid)]


def _workers(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    """The Celery workers that have the tasks; where the scheduler has them, what would see each of them die."""
    running = stack.running()
    for name in stack.layout.named("worker"):
        worker = running[name]
        if worker and set(worker.members()) & set(tasks):
            worker.kill()
    if stack.layout.named("worker"):
        return tasks
    parents = {pid: _parent(pid) for pid in tasks}
    return [pid for pid, parent in parents.items() if parent and _kill(parent) | _kill(pid)]


def _part(kind: str) -> Kill:
    """A part of the stack; the first that lives where there are several of a kind."""

    def kill(stack: Stack, tasks: Collection[int]) -> Collection[int]:
        running = stack.running()
        name = next((name for name in stack.layout.named(kind) or [kind] if running[name]), None)
        if name is None:
            return []
        stack.kill(name)
        return tasks

    return kill


def _connections(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    """The next requests to the management API are carried out, and their connections cut before the answer."""
    stack.emulator.post("/faults", {"kind": "reset-after", "operation": "any", "count": _CUT_REQUESTS * len(tasks)})
    return tasks


VICTIMS: Mapping[str, Kill] = {
    "task": _tasks,
    "worker": _workers,
    "connection": _connections,
    **{name: _part(name) for name in ("scheduler", "triggerer", "dag-processor", "api-server", "emulator", "azurite")},
}
"""By name. On the local stack the scheduler takes its workers with it; on the distributed one another goes on."""


def _kill(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None
