"""Where the processes of a stack listen, by the kernel's own tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stack import Stack

LOOPBACK = "0100007F"


def listening(stack: Stack) -> list[str]:
    """Each address that a process of the stack listens on, in hexadecimal: `0100007F:1F90`."""
    processes = [process for process in stack.running().values() if process]
    sockets = _sockets(pid for process in processes for pid in process.members())
    tables = [Path("/proc/net") / table for table in ("tcp", "tcp6")]
    connections = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return [fields[1] for fields in connections if fields[3] == "0A" and fields[9] in sockets]


def _sockets(pids: Iterable[int]) -> set[str]:
    """Inodes of the sockets that processes hold."""
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found
