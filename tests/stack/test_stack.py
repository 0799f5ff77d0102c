"""A start that fails leaves no process running."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stack import Ports, Stack, StackError, parts
from stack import stack as module
from stack.errors import PartEndedError
from stack.layouts import DISTRIBUTED, LOCAL
from stack.parts import Part

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack whose servers and migration sleep; `migrations` are the processes of the latter."""
    made = Stack(tmp_path, Ports.free())
    made.migrations = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            if not options.get("start_new_session"):
                made.migrations.append(self)

    monkeypatch.setattr(module.subprocess, "Popen", Popen)
    monkeypatch.setattr(parts, "airflow_command", lambda *arguments: SLEEP)
    monkeypatch.setattr(parts, "azurite", lambda home, ports: Part("azurite", SLEEP, {}, home))
    monkeypatch.setattr(parts, "emulator", lambda home, ports, options: Part("emulator", SLEEP, {}, home))
    yield made
    for migration in made.migrations:
        migration.kill()
    made.stop()


def test_ports_and_layout_are_known_while_a_part_runs(stack, monkeypatch):
    elsewhere = Stack(stack.home, Ports())
    assert elsewhere.latest_start() is None
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0)
    with pytest.raises(StackError):
        stack.start()
    assert any(stack.running().values())
    ports, layout = elsewhere.latest_start()
    assert (ports, layout) == (stack.ports, LOCAL)
    assert Ports.from_environment({}, ports) == stack.ports
    assert Ports.from_environment({"AIRFLOW_PORT": "19080"}, ports).airflow == 19080
    stack.stop()
    assert elsewhere.latest_start() is None


def test_a_server_that_does_not_start_ends_the_migration_too(stack, monkeypatch):
    broken = [sys.executable, "-c", "import sys; sys.exit('no disk')"]
    never = lambda: False  # noqa: E731
    monkeypatch.setattr(parts, "azurite", lambda home, ports: Part("azurite", broken, {}, home, ready=never))
    with pytest.raises(StackError, match=r"azurite ended right after its start.*\nno disk"):
        stack.start()
    (migration,) = stack.migrations
    assert migration.poll() is not None


def test_a_migration_without_an_end_is_ended(stack, monkeypatch):
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0.2)
    with pytest.raises(StackError, match=r"migration is not done after 0\.2 seconds"):
        stack.start()
    (migration,) = stack.migrations
    assert migration.poll() is not None


def test_another_layout_is_refused_while_a_part_runs(stack, monkeypatch):
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0)
    with pytest.raises(StackError):
        stack.start()
    before = stack.running()
    with pytest.raises(StackError, match=r"the local stack, not the distributed one; nothing was changed.*make down"):
        Stack(stack.home, Ports.free(), layout=DISTRIBUTED).start()
    assert stack.running() == before
    assert stack.latest_start() == (stack.ports, LOCAL)


def test_a_storage_folder_of_another_stack_is_refused(stack, tmp_path_factory, monkeypatch):
    """Two homes whose storage folder is one, by a link or a mount."""
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0)
    monkeypatch.setattr(parts, "azurite", lambda home, ports: Part("azurite", SLEEP, {}, home, data=home))
    with pytest.raises(StackError, match="migration"):
        stack.start()
    other = Stack(tmp_path_factory.mktemp("other"), Ports.free())
    (other.home / "storage").symlink_to(stack.home / "storage")
    holder = stack.running()["azurite"].pid
    with pytest.raises(StackError, match=rf"^The folder {other.home}/storage is in use .*\(process {holder}\)"):
        other.start()
    assert not any(other.running().values())
    assert stack.running()["azurite"].pid == holder


def test_a_stack_beside_another_leaves_its_servers_alone(stack, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0)
    beside = Stack(tmp_path_factory.mktemp("beside"), Ports.free(), beside=stack)
    assert beside.emulator.url == stack.emulator.url
    assert beside.servers is stack.servers is stack
    with pytest.raises(StackError, match="migration"):
        stack.start()
    with pytest.raises(StackError, match="migration"):
        beside.start()
    assert set(beside.running()) == set(LOCAL.programs)
    beside.stop()
    assert stack.running()["azurite"]
    assert stack.running()["emulator"]


def test_what_ends_while_the_others_are_revived_is_started_too(stack, monkeypatch):
    launched: list[str] = []
    late = [PartEndedError("Triggerer 2."), PartEndedError("Triggerer 1.")]

    def awaited() -> None:
        if late:
            raise late.pop()

    monkeypatch.setattr(stack, "_started", (["servers"], ["a", "b", "c"]))
    monkeypatch.setattr(stack, "_launch", lambda some: launched.extend(some))
    monkeypatch.setattr(stack, "_await_servers", lambda servers: None)
    monkeypatch.setattr(stack, "_await_airflow", awaited)
    stack.revive()
    assert launched == ["servers", *["a", "b", "c"] * 3]
    late.extend(PartEndedError(f"Again {number}.") for number in range(4))
    with pytest.raises(StackError, match="Again 1"):
        stack.revive()
