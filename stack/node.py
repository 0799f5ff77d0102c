"""Node.js: the one of this machine when it is new enough, else the one in the virtual environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

OLDEST = 20


@cache
def node() -> Path:
    """The `node` program; `npm` is beside it."""
    system = shutil.which("node")
    if system and (Path(system).parent / "npm").exists() and _major(system) >= OLDEST:
        return Path(system)
    return Path(sys.executable).parent / "node"


def _major(program: str) -> int:
    """The first number of its version; 0 when it does not run."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    version = re.match(r"v(\d+)\.", result.stdout)
    return int(version[1]) if result.returncode == 0 and version else 0
