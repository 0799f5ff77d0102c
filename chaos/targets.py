"""The targets of faults, and how a fault is injected into each."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Mapping

import psutil

from stack import Stack

Injector = Callable[[Stack, Collection[int]], Collection[int]]
"""
Injects a fault. Takes the stack and the process ids of the tasks that have arrived at their gates; returns the process
ids of those that the fault has hit.
"""

_CUT_CONNECTIONS = 3


def _kill_tasks(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    return [pid for pid in tasks if _kill(pid)]


def _kill_workers(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    """Kill the Celery workers, and the triggerers, that run the tasks; without Celery, the tasks and the processes that
    supervise them."""
    if workers := stack.layout.named("worker"):
        running = stack.running()
        for name in (*workers, *stack.layout.named("triggerer")):
            program = running[name]
            if program and set(program.members()) & set(tasks):
                program.kill()
        return tasks
    parents = {pid: _parent(pid) for pid in tasks}
    return [pid for pid, parent in parents.items() if parent and _kill(parent) | _kill(pid)]


def _part_killer(kind: str) -> Injector:
    """Return an injector that kills a part of the stack: of several of the same kind, the first that is running."""

    def kill(stack: Stack, tasks: Collection[int]) -> Collection[int]:
        running = stack.running()
        name = next((name for name in stack.layout.named(kind) or [kind] if running[name]), None)
        if name is None:
            return []
        stack.kill(name)
        return tasks

    return kill


def _cut_connections(stack: Stack, tasks: Collection[int]) -> Collection[int]:
    """Let the emulator execute the next requests to the management API and reset their connections unanswered."""
    stack.emulator.post("/faults", {"kind": "reset-after", "operation": "any", "count": _CUT_CONNECTIONS * len(tasks)})
    return tasks


TARGETS: Mapping[str, Injector] = {
    "task": _kill_tasks,
    "worker": _kill_workers,
    "connection": _cut_connections,
    **{
        name: _part_killer(name)
        for name in ("scheduler", "triggerer", "dag-processor", "api-server", "emulator", "azurite")
    },
}
"""By name. On the local stack all tasks end with the scheduler; on the distributed one a second scheduler continues."""


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
