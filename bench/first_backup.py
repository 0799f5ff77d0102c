"""From a fresh clone to the first backup, step by step, and a second backup on the running stack."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
import time
from pathlib import Path

from stack import Ports
from stack.ports import variable

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("clone", "install", "start the stack", "first backup", "second backup")


def measure() -> str:
    """Wall time of each step, with whatever the package caches of this machine hold."""
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as folder:
        clone = Path(folder) / "clone"
        ports = Ports.free()
        environment = os.environ | {variable(name): str(port) for name, port in dataclasses.asdict(ports).items()}
        commands = {
            "clone": ["git", "clone", "--quiet", str(ROOT), str(clone)],
            "install": ["make", "-C", str(clone), "install"],
            "start the stack": ["make", "-C", str(clone), "up"],
            "first backup": ["make", "-C", str(clone), "backup"],
            "second backup": ["make", "-C", str(clone), "backup"],
        }
        try:
            seconds = {step: _run(commands[step], environment) for step in STEPS}
        finally:
            if clone.exists():
                _run(["make", "-C", str(clone), "down"], environment)
    first = sum(seconds[step] for step in STEPS[:-1])
    lines = ["| step | seconds |", "|---|---|", *(f"| {step} | {seconds[step]:.1f} |" for step in STEPS)]
    return "\n".join(["## Fresh clone to first backup", "", *lines, "", f"Clone to first backup: {first:.0f} s.", ""])


def _run(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
