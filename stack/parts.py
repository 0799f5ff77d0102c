"""The programs a stack consists of: how each is started."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from stack.emulator_api import EmulatorApi
from stack.node import node
from stack.ports import HOST, Ports
from stack.settings import base_environment, storage_connection_string, storage_endpoint

ROOT = Path(__file__).resolve().parent.parent
# Each is written anew by an installation that changed something.
PYTHON_INSTALLED = Path(sys.prefix) / "installed"
AZURITE_INSTALLED = ROOT / ".local/azurite/installed"


@dataclass(frozen=True)
class Part:
    """A program of the stack: its name, command line, own environment, working directory, the fields of `Ports` that
    it listens on, what it reads once at its start (folders of Python sources, and stamps of installations), as whom it
    runs (None: as ourselves), whether it is ready, as far as it can be checked by itself, and the folder of data that
    no other program may use meanwhile (None: it has none, or locks it itself, as the emulator and PostgreSQL do).
    """

    name: str
    command: Sequence[str]
    settings: Mapping[str, str]
    directory: Path
    ports: Sequence[str] = ()
    sources: Sequence[Path] = ()
    stamps: Sequence[Path] = ()
    user: str | None = None
    ready: Callable[[], bool] = lambda: True
    data: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {**base_environment(), "PATH": path, "PYTHONUNBUFFERED": "1", **self.settings}

    @property
    def fingerprint(self) -> str:
        """Changes with everything that takes a new start to take effect: command, settings, sources, installations."""
        files = sorted(file for folder in self.sources for file in folder.rglob("*.py"))
        files += [stamp for stamp in self.stamps if stamp.exists()]
        times = [(str(file), file.stat().st_mtime_ns) for file in files]
        known = json.dumps([list(self.command), dict(self.settings), times], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()


def azurite(home: Path, ports: Ports) -> Part:
    program = ROOT / ".local/azurite/node_modules/azurite/dist/src/blob/main.js"
    command = [str(node()), str(program), "--blobHost", HOST, "--blobPort", str(ports.azurite)]
    command += ["--location", str(home), "--disableTelemetry", "--silent"]
    # Its Node.js may be the one in the virtual environment.
    return Part(
        "azurite",
        command,
        {},
        home,
        ["azurite"],
        stamps=[AZURITE_INSTALLED, PYTHON_INSTALLED],
        ready=lambda: _azurite_responds(ports),
        data=home,
    )


def emulator(home: Path, ports: Ports, options: Sequence[str]) -> Part:
    command = [sys.executable, "-m", "biztalk_emulator", "serve", "--home", str(home)]
    command += ["--port", str(ports.emulator), "--admin-port", str(ports.emulator_admin)]
    command += ["--data-port", str(ports.emulator_data)]
    command += ["--sample-fleet", "--sample-storage", storage_connection_string(ports), *options]
    sources = ROOT / "emulator"
    return Part(
        "emulator",
        command,
        {"PYTHONPATH": str(sources)},
        home,
        ["emulator", "emulator_admin", "emulator_data"],
        [sources],
        [PYTHON_INSTALLED],
        ready=EmulatorApi(f"http://{HOST}:{ports.emulator_admin}").healthy,
    )


def airflow(
    home: Path, programs: Mapping[str, Sequence[str]], settings: Mapping[str, Mapping[str, str]], plugins: Path
) -> list[Part]:
    """The programs of Airflow, in the order of their start.

    :param programs: name -> arguments of the `airflow` command.
    :param settings: name -> its own environment.
    """
    return [
        Part(
            name,
            airflow_command(*arguments),
            settings[name],
            home,
            ["airflow"] if name == "api-server" else [],
            [plugins],
            [PYTHON_INSTALLED],
        )
        for name, arguments in programs.items()
    ]


def airflow_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _azurite_responds(ports: Ports) -> bool:
    session = requests.Session()
    session.trust_env = False
    try:
        return session.get(storage_endpoint(ports), timeout=5).headers["Server"].startswith("Azurite")
    except (requests.RequestException, KeyError):
        return False
