"""Runs a piece of Python in a process of its own, to see what that process finds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def result_of(program: str, *arguments: str, options: Sequence[str] = (), **how: Any) -> dict[str, Any]:
    """
    The JSON that a program prints on a line of its output, behind the word RESULT.

    :param arguments: of the program
    :param options: of Python
    :param how: further arguments of ``subprocess.run``
    """
    command = [sys.executable, *options, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **how)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))
