"""An Azurite for one measurement."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import Ports
from stack.parts import azurite
from stack.settings import storage_connection_string


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The connection string of an Azurite of our own.

    :param folder: of its files.
    """
    ports = Ports.free()
    part = azurite(folder, ports)
    with subprocess.Popen(part.command, env=part.environment, stdout=subprocess.DEVNULL) as process:
        try:
            while not part.ready():
                if process.poll() is not None:
                    raise RuntimeError("Azurite did not start.")
                time.sleep(0.1)
            yield storage_connection_string(ports)
        finally:
            process.terminate()
