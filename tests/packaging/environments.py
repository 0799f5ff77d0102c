"""Virtual environments that hold what a test puts into them, and nothing else; nothing is fetched for them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stack.install import find_uv

OURS = ("biztalk_services_airflow", "biztalk_services_cli")


class Environment:
    """A virtual environment without pip, made by the Python that runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=60)
        self.python = folder / "venv/bin/python"
        self.packages = next((folder / "venv/lib").glob("python3.*/site-packages"))

    def install(self, wheel: Path) -> None:
        """Installs one wheel, and nothing that it needs."""
        self._uv("install", "--no-deps", "--no-index", str(wheel))

    def check(self) -> None:
        """Fails where what is installed needs something that is missing, or another version of it."""
        self._uv("check")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs Python here, apart from the checkout and from what the tests set for their own Airflow."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=kept | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def borrow(self, names: Iterable[str]) -> None:
        """Puts distributions into it that the running environment has: file by file, and no other one's."""
        for name in names:
            for file in distribution(name).files or ():
                target = self.packages / file
                if ".." not in file.parts and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(file.locate())

    def borrow_all(self) -> None:
        """Lets it see every distribution that the running environment has, but ours."""
        others = self.folder / "others"
        others.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not any(ours in entry.name for ours in OURS):
                (others / entry.name).symlink_to(entry)
        (self.packages / "others.pth").write_text(f"{others}\n")

    def _uv(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [find_uv(), "pip", command, "--offline", "--python", str(self.python), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def with_all_they_need(requirements: Iterable[Requirement]) -> set[str]:
    """Names of the distributions that satisfy requirements, with what those need in turn, as installed here."""
    names: set[str] = set()
    _follow(requirements, names)
    return names


def _follow(requirements: Iterable[Requirement], names: set[str]) -> None:
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name not in names:
            names.add(name)
            _follow(_needed(name), names)


def _needed(name: str) -> Iterator[Requirement]:
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement
