"""Installs what the stack needs below this checkout: Python packages in `.venv`, Azurite and a browser in `.local`.

Runs on a bare Python 3.11 with the standard library alone; what is installed and unchanged is not installed again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
LOCKS = [str(ROOT / "docker/requirements.txt"), str(ROOT / "requirements-local.txt")]
DISTRIBUTED = Path("/usr/bin")
UV_LOCK = str(ROOT / "stack/uv-requirements.txt")
OLDEST_UV = (0, 8, 0)  # the first with `uv venv --clear`
PIP_OPTIONS = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement", UV_LOCK]
EDITABLE = ["--no-deps", "--no-build-isolation", "--editable"]


class InstallError(Exception):
    """The message is a complete sentence for the person at the terminal."""


def main(wanted: list[str]) -> int:
    """Install `python` always, and of the Node programs (`azurite`, `chromium`) those that are named."""
    try:
        if sys.version_info < (3, 11):  # noqa: UP036 - this file reports it
            raise InstallError(
                f"This needs Python 3.11 or newer, and python3 is {sys.version.split()[0]}; install a newer one, "
                "or name it with PYTHON3=/path/to/python3.x."
            )
        LOCAL.mkdir(exist_ok=True)
        with alone(LOCAL / "install.lock"):
            install_python()
            for program in wanted:
                install_node_program(program)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def install_python() -> None:
    """The virtual environment with every locked package, each checked against its hash, and this project, editable."""
    with once(VENV / "installed", [*LOCKS, ROOT / "pyproject.toml"], f"{sys.version_info[:2]}") as needed:
        if not needed:
            return
        uv = find_uv()
        with step("Installing the Python packages (locked, each checked against its hash)"):
            if not has_our_version(PYTHON):
                run([uv, "venv", "--quiet", "--clear", "--python", interpreter(), str(VENV)])
            run(
                [
                    uv,
                    "pip",
                    "sync",
                    "--quiet",
                    "--python",
                    str(PYTHON),
                    "--require-hashes",
                    "--compile-bytecode",
                    *LOCKS,
                ]
            )
            run([uv, "pip", "install", "--quiet", "--python", str(PYTHON), *EDITABLE, str(ROOT)])


def interpreter() -> str:
    """The Python that was named; where none was, the distribution's own of the version that runs this.

    A distribution builds its Python with all optimisations. One that was built on the machine, as pyenv does, has them
    only where they were requested.
    """
    distributed = DISTRIBUTED / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # A distribution may leave parts of the standard library out.
    if "PYTHON3" not in os.environ and attempt([str(distributed), "-c", "import ctypes, lzma, sqlite3, ssl"]):
        return str(distributed)
    return sys.executable


def install_node_program(name: str) -> None:
    """The npm packages that `stack/<name>/package-lock.json` names, into `.local/<name>`; then its `unpack.mjs`."""
    files = sorted(file for file in (ROOT / "stack" / name).iterdir() if file.is_file())
    folder = LOCAL / name
    with once(folder / "installed", files) as needed:
        if not needed:
            return
        node = Path(run([str(PYTHON), "-c", "from stack.node import node; print(node())"]))
        folder.mkdir(exist_ok=True)
        for file in files:
            shutil.copy(file, folder)
        # The npm script runs with the node beside it, not with the one of its first line.
        environment = {**os.environ, "PATH": os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)])}
        with step(f"Installing {name.capitalize()} with Node.js from {node.parent}"):
            run(
                [str(node.parent / "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                directory=folder,
                environment=environment,
            )
            if (folder / "unpack.mjs").exists():
                run([str(node), "unpack.mjs"], directory=folder)


def find_uv() -> str:
    """The `uv` of this machine when it is new enough, else the locked one, installed below `.local` by pip or venv."""
    present = shutil.which("uv")
    if present and new_enough(Path(present)):
        return present
    failure = InstallError(
        "The package installer uv cannot be had here: python3 has neither a working pip nor a working venv module. "
        "Install one of them (on Debian and Ubuntu: `sudo apt-get install python3-venv`) or "
        f"uv {'.'.join(map(str, OLDEST_UV))} or newer, and try again."
    )
    for install_uv in (uv_by_pip, uv_by_venv):
        try:
            program = install_uv()
        except InstallError as error:
            failure = error
        else:
            if new_enough(program):
                return str(program)
    raise failure


def uv_by_pip() -> Path:
    folder = LOCAL / "uv"
    program = folder / "bin/uv"
    if not new_enough(program) and works(Path(sys.executable), "-m", "pip"):
        run([sys.executable, "-m", "pip", "install", *PIP_OPTIONS, "--upgrade", "--target", str(folder)])
    return program


def uv_by_venv() -> Path:
    folder = LOCAL / "uv-venv"
    program = folder / "bin/uv"
    if not new_enough(program) and attempt([sys.executable, "-m", "venv", "--clear", str(folder)]):
        run([str(folder / "bin/python"), "-m", "pip", "install", *PIP_OPTIONS])
    return program


def new_enough(uv: Path) -> bool:
    try:
        output = run([str(uv), "--version"])
    except InstallError:
        return False
    version = re.match(r"uv (\d+)\.(\d+)\.(\d+)", output)
    return version is not None and tuple(map(int, version.groups())) >= OLDEST_UV


def works(program: Path, *module: str) -> bool:
    return attempt([str(program), *module, "--version"])


def has_our_version(python: Path) -> bool:
    """Whether it runs, and is of the version (major.minor) that runs this."""
    return attempt([str(python), "-c", f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"])


def attempt(command: list[str]) -> bool:
    """Whether a command that may fail has succeeded."""
    try:
        run(command)
    except InstallError:
        return False
    return True


def run(command: list[str], directory: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """The output of a command; when it fails, an `InstallError` with the last lines of its output."""
    name = f"`{' '.join([Path(command[0]).name, *command[1:2]])}`"
    try:
        result = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            close_fds=False,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise InstallError(f"The installation failed: {name} cannot be run ({error.strerror}).") from None
    if result.returncode != 0:
        output = "\n".join((result.stdout + result.stderr).strip().splitlines()[-20:])
        raise InstallError(f"The installation failed: {name} ended with {result.returncode}.\n{output}")
    return result.stdout.strip()


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One installation at a time. The programs that it starts hold the lock too: where it is killed and they still run,
    the next one waits for them."""
    with lock.open("w") as held:
        os.set_inheritable(held.fileno(), True)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("Waiting for another installation in this folder"):
                fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    print(f"{title} ...", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" {time.monotonic() - started:.0f} s", flush=True)


@contextlib.contextmanager
def once(stamp: Path, files: Iterable[str | Path], extra: str = "") -> Iterator[bool]:
    """Yield whether there is something to do: whether `files` differ from those that `stamp` records as installed."""
    content = hashlib.sha256(extra.encode() + b"".join(Path(file).read_bytes() for file in files)).hexdigest()
    done = stamp.exists() and stamp.read_text() == content
    if not done:
        # An installation that ends half-way is neither the old one nor the new one.
        stamp.unlink(missing_ok=True)
    yield not done
    if not done:
        stamp.write_text(content)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
