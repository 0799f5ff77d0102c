"""Background processes that outlive the command that started them, and that only their owner ends.

A process is recorded by its pid together with its start time, so a pid that the system has given to another program
is never taken for ours. Each one leads a session of its own; the session is how its children are found.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stack.folders import locked

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A started process: `pid`, `started` (clock ticks since boot, field 22 of /proc/<pid>/stat), the boot it belongs
    to, its working directory, the time of its start (seconds since the epoch), the TCP ports it listens on and the
    fingerprint of what it runs.
    """

    pid: int
    started: int
    boot: str
    directory: str
    at: float
    ports: tuple[int, ...]
    fingerprint: str

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        ports: Sequence[int] = (),
        fingerprint: str = "",
        user: str | None = None,
        data: Path | None = None,
    ) -> Process:
        """Start `command` in a session of its own, its output appended to `log`; as another user only from root.

        Raises `StackError` when another program has the folder `data`, which is for this one alone.
        """
        at = time.time()
        with log.open("ab") as output, locked(data) if data else contextlib.nullcontext() as lock:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()] if lock else [],
                **as_user(user),
            )
            if lock:
                lock.write(str(child.pid))
        stat = _stat(child.pid)
        started = stat.started if stat else -1
        return cls(child.pid, started, _boot(), str(directory.resolve()), at, tuple(ports), fingerprint)

    @classmethod
    def load(cls, path: Path) -> Process | None:
        """The process recorded in `path`, or None when there is no readable record."""
        try:
            record = json.loads(path.read_text())
            return cls(**{**record, "ports": tuple(record["ports"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        if self.boot != _boot():
            return False
        _reap(self.pid)
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and not stat.ended

    def members(self) -> list[int]:
        """The running processes of its session: itself and what it started, also after its own end.

        Where the leader has ended, only processes that still work in its directory count.
        """
        if self.boot != _boot():
            return []
        leader = _stat(self.pid)
        if leader is not None and leader.started != self.started:
            return []
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            stat = _stat(int(entry.name))
            if stat is None or stat.session != self.pid or stat.ended:
                continue
            if leader is not None or _directory(int(entry.name)) == self.directory:
                found.append(int(entry.name))
        return found

    def kill(self) -> None:
        """End its whole session at once (SIGKILL), without a cleanup."""
        for pid in self.members():
            _signal(pid, signal.SIGKILL)
        _wait(5, lambda: not self.members())


def stop(processes: Mapping[Process, float]) -> None:
    """Terminate processes (SIGTERM, in the order given); kill what is left of each after its seconds of grace."""
    for process in processes:
        if process.alive:
            _signal(process.pid, signal.SIGTERM)
    began = time.monotonic()
    for process, grace in sorted(processes.items(), key=lambda item: item[1]):
        _wait(began + grace - time.monotonic(), lambda process=process: not process.alive)
        process.kill()


def end_in_order() -> None:
    """Let SIGTERM end this program as an exception does, so that it stops what it has started."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as this user, with the rights of no other; None: as ourselves."""
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []} if name else {}


def _wait(seconds: float, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class _Stat:
    ended: bool
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    ended = fields[0] == "Z" and _threads(pid) <= 1
    return _Stat(ended=ended, session=int(fields[3]), started=int(fields[19]))


def _threads(pid: int) -> int:
    """A killed process is a zombie as soon as its first thread has ended; the others may still hold its ports."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


def _directory(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect the exit of a process that this very program started; a foreign pid is no child and is ignored."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
