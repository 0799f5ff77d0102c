"""The emulator with the sample fleet, Azurite, and a shell with credentials for both; each test finds all services
Active, and a catalog of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient
from biztalk_services.archive import connect
from biztalk_services.drivers.biztalk.wire import server
from biztalk_services.flows import resume

from tests.archive.azurite import Azurite
from tests.cli.shell import Archive, Shell, connection_string, management_environment, secrets_of, storage_environment
from tests.emulator.driver import EmulatorProcess


@pytest.fixture(scope="package")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    running = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield running
    running.stop()


@pytest.fixture(scope="package")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[EmulatorProcess]:
    options = ("--sample-fleet", "--sample-storage", connection_string(azurite.port))
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator"), *options).start()
    yield process
    process.stop()


@pytest.fixture
def emulator(shared_emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with shared_emulator.put_back():
        yield shared_emulator


@pytest.fixture
def blobs(azurite: Azurite) -> Iterator[BlobServiceClient]:
    with azurite.client() as client:
        yield client


@pytest.fixture
def archive(blobs: BlobServiceClient, emulator: EmulatorProcess) -> Archive:
    return Archive(blobs, f"catalog-{uuid4().hex}", emulator)


@pytest.fixture
def bare_shell(emulator: EmulatorProcess, capsys, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell without any credentials; pauses take no time."""
    for name in list(os.environ):
        if name.startswith(("BIZTALK_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(server, "sleep", lambda seconds: None)
    monkeypatch.setattr(connect, "CLIENT_OPTIONS", {"retry_total": 0})
    sleep = resume.sleep
    monkeypatch.setattr(resume, "sleep", lambda seconds: sleep(min(seconds, 0.02)))
    return Shell(secrets_of(emulator), capsys)


@pytest.fixture
def management_shell(bare_shell: Shell, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell with credentials for the subscription only."""
    for name, value in management_environment(emulator).items():
        monkeypatch.setenv(name, value)
    return bare_shell


@pytest.fixture
def shell(management_shell: Shell, azurite: Azurite, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell with all credentials."""
    for name, value in storage_environment(azurite, archive.container).items():
        monkeypatch.setenv(name, value)
    return management_shell
