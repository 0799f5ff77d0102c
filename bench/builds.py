"""The builds that a measurement compares, each in a folder of its own: this one, and an earlier one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stack.parts import ROOT

EARLIER = "b19981a"
SOURCES = ("bench", "dags", "emulator", "plugins", "stack")
DRIVER = ("night.py", "processes.py", "spans.py")
"""What an earlier build receives of this folder: it drives either."""

_ENTRY_POINTS = {
    "__init__.py": "",
    "get_provider_info.py": "from biztalk_services.get_provider_info import get_provider_info as get_provider_info\n",
    "plugin.py": "from biztalk_services.plugin import BizTalkServicesPlugin as BizTalkServicesPlugin\n",
}


@contextlib.contextmanager
def present(root: Path = ROOT) -> Iterator[Path]:
    """A copy of this checkout, so that an edit meanwhile does not change what is measured; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="biztalk-after-") as folder:
        for name in SOURCES:
            shutil.copytree(root / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        Path(folder, ".local").symlink_to(root / ".local")
        yield Path(folder)


@contextlib.contextmanager
def earlier(root: Path = ROOT, commit: str = EARLIER) -> Iterator[Path]:
    """A worktree of an earlier build that runs with this one's installation; removed afterwards.

    What is installed names the entry points of this build: two modules of these names lead Airflow to those of the
    earlier one. Raises `subprocess.CalledProcessError` when the repository does not have the commit.
    """
    with tempfile.TemporaryDirectory(prefix="biztalk-before-") as home:
        folder = Path(home, "before")
        _git(root, "worktree", "add", "--detach", str(folder), commit)
        try:
            (folder / ".local").symlink_to(root / ".local")
            for name in DRIVER:
                shutil.copy(root / "bench" / name, folder / "bench")
            provider = folder / "plugins/biztalk_services/provider"
            provider.mkdir()
            for name, text in _ENTRY_POINTS.items():
                (provider / name).write_text(text)
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(folder))


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)
