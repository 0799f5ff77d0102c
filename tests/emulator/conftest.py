"""One emulator with the sample fleet and one Azurite for all tests here; each test finds all services Active."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from azure.storage.blob import BlobServiceClient

from stack import install
from stack.node import node
from tests.emulator.driver import ACCOUNT, KEY, EmulatorProcess, eventually

SAMPLE_STORAGE = "AccountName=samplestores;AccountKey=a2V5IG9mIHRoZSBzYW1wbGU="
"""Not the account that tests back up to: they search for its key where it must not be."""


@pytest.fixture(scope="package")
def free_port() -> int:
    return unused_port()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="package")
def azurite(tmp_path_factory) -> Iterator[str]:
    """Address of a running Azurite's account."""
    program = install.LOCAL / "azurite/node_modules/azurite/dist/src/blob/main.js"
    if not program.exists():
        assert install.main(["azurite"]) == 0
    port = unused_port()
    address = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    folder = str(tmp_path_factory.mktemp("azurite"))
    process = subprocess.Popen(
        [str(node()), str(program), *address, "--location", folder, "--disableTelemetry", "--silent"]
    )
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"

    def answers() -> bool:
        with suppress(requests.RequestException):
            return requests.get(url, timeout=5).headers["Server"].startswith("Azurite")
        return False

    eventually(answers)
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="package")
def storage(azurite) -> str:
    """Connection string of the account, in the order of the documented sample."""
    return f"BlobEndpoint={azurite};AccountName={ACCOUNT};AccountKey={KEY};DefaultEndpointsProtocol=http"


@pytest.fixture(scope="package")
def blobs(azurite) -> BlobServiceClient:
    return BlobServiceClient(azurite, credential=KEY, api_version="2026-06-06")


@pytest.fixture(scope="package")
def shared_emulator(tmp_path_factory, storage) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(
        tmp_path_factory.mktemp("emulator"), "--sample-fleet", "--sample-storage", storage
    ).start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def emulator(shared_emulator) -> Iterator[EmulatorProcess]:
    """The shared emulator, put back to its beginning after the test."""
    with shared_emulator.put_back():
        yield shared_emulator


@pytest.fixture
def own_emulator(tmp_path) -> Iterator[EmulatorProcess]:
    """An emulator of the test's own, to be killed and started again."""
    process = EmulatorProcess(tmp_path / "home", "--sample-fleet", "--sample-storage", SAMPLE_STORAGE).start()
    yield process
    process.stop()
