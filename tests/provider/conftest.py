"""The emulator with the sample fleet, Azurite, and Airflow connections to both; each test finds all services Active."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.flows import poll_loop
from biztalk_services.provider import waiting

from tests.archive.azurite import KEY, Azurite
from tests.emulator.driver import EmulatorProcess
from tests.provider.clock import Clock
from tests.provider.connections import NAME, TRACKING, management, storage
from tests.provider.fakes import Run
from tests.provider.surroundings import Surroundings, storage_string


@pytest.fixture(scope="package")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    running = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield running
    running.stop()


@pytest.fixture(scope="package")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator"), "--sample-fleet").start()
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
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets a connection of Airflow by its id; None removes it."""
    return _connecting(monkeypatch)


def _connecting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(conn_id: str, connection: dict[str, Any] | None) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        if connection is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, json.dumps(connection))

    return connect


@pytest.fixture
def connections(emulator: EmulatorProcess, azurite: Azurite, connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's connections to emulator, Azurite and tracking database; pauses between repeated reads take no time."""
    monkeypatch.setattr(server_module, "sleep", lambda seconds: None)
    connect("biztalk_default", management(emulator))
    connect("biztalk_backup_storage", storage(azurite))
    tracking = emulator.admin("GET", f"/services/{NAME}")["tracking_database"]
    connect(TRACKING, {"conn_type": "sqlite", "host": tracking, "extra": {"mode": "ro"}})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.rule(monkeypatch, poll_loop, waiting)
    return clock


@pytest.fixture
def fast_clock(clock: Clock) -> Clock:
    """The clock for tests in which nothing changes in the emulator while a wait sleeps."""
    clock.pause = 0
    return clock


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def slow_backups(emulator: EmulatorProcess) -> None:
    """Backups that take long enough to be seen under way."""
    emulator.admin("PATCH", "/settings", {"durations": {"backup": 0.6}})


@pytest.fixture(scope="package")
def journal_position() -> dict[str, int]:
    """Number of the last entry that was read from the emulator's journal."""
    return {"last": 0}


@pytest.fixture
def before(emulator: EmulatorProcess, journal_position: dict[str, int]) -> int:
    """Number of the last entry in the emulator's journal before the test."""
    if entries := emulator.journal(after=journal_position["last"]):
        journal_position["last"] = entries[-1]["seq"]
    return journal_position["last"]


@pytest.fixture
def operations(emulator: EmulatorProcess, before: int) -> Callable[[str], list[dict[str, Any]]]:
    """What the emulator's journal shows of this test: operations of a kind that really started on the service."""

    def since(operation: str) -> list[dict[str, Any]]:
        entries = emulator.journal(after=before, kind="operation", service=NAME)
        return [entry for entry in entries if (entry["event"], entry["operation"]) == ("started", operation)]

    return since


@pytest.fixture
def requests(emulator: EmulatorProcess, before: int) -> Callable[[str], list[dict[str, Any]]]:
    """What the emulator's journal shows of this test: requests of a kind, also refused ones."""

    def since(operation: str) -> list[dict[str, Any]]:
        entries = emulator.journal(after=before, kind="request")
        return [entry for entry in entries if entry["operation"] == operation]

    return since


@pytest.fixture
def secrets(emulator: EmulatorProcess) -> list[str]:
    """Pieces of every secret that the connections hold."""
    key, certificate = ((emulator.home / "pki" / name).read_text() for name in ("management.key", "management.pem"))
    return [KEY[:20], *(line for line in (key + certificate).splitlines() if line and "-----" not in line)]


# Restores: an emulator of their own, for they delete services.


@pytest.fixture(scope="package")
def restored_emulator(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    options = ("--sample-fleet", "--sample-storage", storage_string(azurite))
    process = EmulatorProcess(tmp_path_factory.mktemp("restores"), *options).start()
    durations = dict.fromkeys(process.admin("GET", "/settings")["durations"], 0.02)
    process.admin("PATCH", "/settings", {"durations": durations, "envelope_seconds": 0.02, "name_hold_seconds": 0})
    yield process
    process.stop()


@pytest.fixture(scope="package")
def origin(restored_emulator: EmulatorProcess, azurite: Azurite) -> dict[str, Any]:
    """The reference of a backup of contosoorders, with its inventory in the catalog."""
    with pytest.MonkeyPatch.context() as patch:
        around = Surroundings(restored_emulator, azurite, _connecting(patch))
        around.connections()
        Clock().rule(patch, poll_loop, waiting)
        return around.backed_up()


@pytest.fixture
def around(
    restored_emulator: EmulatorProcess,
    azurite: Azurite,
    origin: dict[str, Any],
    clock: Clock,
    connect: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Surroundings]:
    """The world around contosoorders, Active as at its backup; put in order again after the test."""
    monkeypatch.setattr(server_module, "sleep", lambda seconds: None)
    ready = Surroundings(restored_emulator, azurite, connect)
    ready.connections()
    settings, etag = restored_emulator.admin("GET", "/settings"), restored_emulator.etag(NAME)
    yield ready
    restored_emulator.admin("PATCH", "/settings", settings)
    ready.as_it_was(origin, etag)
