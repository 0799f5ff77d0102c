"""Commands in documents: blocks with a mark before them, run from top to bottom in one shell."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue

import pytest

MARKED = re.compile(r"^<!-- run: (?P<name>[^>]+) -->\n```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK_SECONDS = 300


class Shell:
    """A bash.

    :param careful: whether it stops at the first command that fails, as a careful person would
    """

    def __init__(self, environment: dict[str, str], folder: Path, *, careful: bool = True) -> None:
        self._process = subprocess.Popen(
            ["bash", "-euo" if careful else "-uo", "pipefail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def run(self, name: str, text: str) -> str:
        """What a block prints; a careful shell fails when one of its commands does."""
        end = f"--- end of {name} ---"
        self._process.stdin.write(f"{text}\necho\necho '{end}'\n")
        self._process.stdin.flush()
        said: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=BLOCK_SECONDS)
            except Empty:
                pytest.fail(f"block {name} is silent for {BLOCK_SECONDS} seconds after: {''.join(said)}")
            assert line is not None, f"block {name} ended the shell: {''.join(said)}"
            if line.strip() == end:
                return "".join(said).strip()
            said.append(line)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
