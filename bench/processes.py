"""What the processes of a stack take, by /proc: seconds of CPU, and memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024


class _Stat(NamedTuple):
    parent: int
    session: int
    ticks: int


def members(leaders: Mapping[str, int]) -> dict[str, list[int]]:
    """The living processes of each part: all of its session, and all that descend from its leader.

    :param leaders: name of a part -> process id of its leader.
    """
    return _members(leaders, _stats())


def cpu_seconds(leaders: Mapping[str, int]) -> dict[str, float]:
    """What each part has used since its start, what it has waited for included.

    A process that ended counts as soon as its parent has collected it, one whose parent has ended before does not.
    """
    stats = _stats()
    parts = _members(leaders, stats)
    return {part: sum(stats[pid].ticks for pid in pids) / _TICKS for part, pids in parts.items()}


def machine_seconds() -> float:
    """What all processes of the machine have used since its start, the kernel's included."""
    user, nice, system, _idle, _wait, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS


def memory(pid: int) -> float:
    """Proportional set size in MiB: what it shares with others counts in shares. 0 when it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / _MIB
    return 0.0


class Sampler:
    """Samples the memory of each process every few seconds, in a thread, until the block ends.

    :param leaders: name of a part -> process id of its leader.
    :param progress: what to note beside each sample, for example how many services are done.
    """

    def __init__(self, leaders: Mapping[str, int], progress: Callable[[], int], seconds: float) -> None:
        self._leaders, self._progress, self._seconds = leaders, progress, seconds
        self._began, self._ended = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.samples: list[dict[str, Any]] = []
        """Each with `at` (seconds since the start), `done`, and `parts`: part -> process id -> MiB."""

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            parts = {
                part: {str(pid): round(memory(pid), 1) for pid in pids} for part, pids in members(self._leaders).items()
            }
            at = round(time.monotonic() - self._began, 1)
            self.samples.append({"at": at, "done": self._progress(), "parts": parts})
            if self._ended.wait(self._seconds):
                return


def _members(leaders: Mapping[str, int], stats: Mapping[int, _Stat]) -> dict[str, list[int]]:
    part_of = {pid: part for part, pid in leaders.items()}

    def part(pid: int) -> str | None:
        while pid in stats:
            if found := part_of.get(pid) or part_of.get(stats[pid].session):
                return found
            pid = stats[pid].parent
        return None

    found: dict[str, list[int]] = {name: [] for name in leaders}
    for pid in stats:
        if owner := part(pid):
            found[owner].append(pid)
    return found


def _stats() -> dict[int, _Stat]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = _Stat(int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])))
    return found
