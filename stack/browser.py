"""A headless Chromium for tests of the pages: the one of this machine, else the one below `.local/chromium`."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from stack.errors import StackError
from stack.parts import ROOT

SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PACKAGED = ROOT / ".local/chromium/browser"


@cache
def chromium_executable() -> Path:
    """The browser's program. Raises `StackError` when there is none that runs."""
    candidates = [*filter(None, map(shutil.which, SYSTEM_NAMES)), PACKAGED / "chromium"]
    for candidate in candidates:
        if _runs(Path(candidate)):
            return Path(candidate)
    raise StackError("There is no Chromium that runs here; `python3 stack/install.py chromium` installs one.")


def launch_options() -> dict[str, Any]:
    """Arguments for Playwright: `playwright.chromium.launch(**launch_options())`."""
    program = chromium_executable()
    return {
        "executable_path": str(program),
        "env": _environment(program),
        # Containers and root accounts cannot make the sandbox; the pages under test are our own, on this machine.
        "args": ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", "--font-render-hinting=none"],
    }


def _environment(program: Path) -> dict[str, str]:
    """The packaged browser brings its own libraries, graphics and fonts."""
    if program.parent != PACKAGED:
        return dict(os.environ)
    libraries = [str(PACKAGED / "al2023/lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "FONTCONFIG_FILE": str(PACKAGED / "fonts.conf"),
    }


def _runs(program: Path) -> bool:
    if not program.exists():
        return False
    try:
        result = subprocess.run(
            [program, "--version"], env=_environment(program), capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
