"""A real Azurite for the tests, on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from stack.node import node

PROGRAM = Path(__file__).parents[2] / ".local/azurite/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
API_VERSION = "2026-06-06"
"""The newest one that Azurite knows; the client library would ask for a newer one."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@dataclass
class Azurite:
    """One running Azurite; its account and key are the published ones."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *options: str) -> Azurite:
        if not PROGRAM.exists():
            raise RuntimeError("Azurite is not installed here; `make install` does it.")
        port = free_port()
        command = [str(node()), str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        command += [] if "--inMemoryPersistence" in options else ["--location", str(folder)]
        command += ["--disableTelemetry", "--silent", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running = cls(folder, port, process)
        running.wait()
        return running

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("Azurite did not start.")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def client(self, key: str = KEY, account: str = ACCOUNT) -> BlobServiceClient:
        url = f"http://127.0.0.1:{self.port}/{account}"
        credential = {"account_name": account, "account_key": key}
        return BlobServiceClient(url, credential=credential, api_version=API_VERSION, retry_total=0)
