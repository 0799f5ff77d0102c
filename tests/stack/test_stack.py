"""A start that fails leaves nothing behind that nobody would end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stack import Ports, Stack, StackError, parts
from stack import stack as module
from stack.parts import Part

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack whose servers sleep, and whose migration does too; `migrations` are the processes of the latter."""
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


def test_the_ports_of_the_latest_start_are_known_while_a_part_runs(stack, monkeypatch):
    elsewhere = Stack(stack.home, Ports())
    assert elsewhere.started_on() is None
    monkeypatch.setattr(stack, "_await", lambda *arguments: None)
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0)
    with pytest.raises(StackError):
        stack.start()
    assert any(stack.running().values())
    assert elsewhere.started_on() == stack.ports
    assert Ports.from_environment({}, elsewhere.started_on()) == stack.ports
    assert Ports.from_environment({"AIRFLOW_PORT": "19080"}, elsewhere.started_on()).airflow == 19080
    stack.stop()
    assert elsewhere.started_on() is None


def test_a_server_that_does_not_start_ends_the_migration_too(stack, monkeypatch):
    broken = [sys.executable, "-c", "import sys; sys.exit('no disk')"]
    monkeypatch.setattr(parts, "azurite", lambda home, ports: Part("azurite", broken, {}, home))
    with pytest.raises(StackError, match=r"azurite ended right after its start.*\nno disk"):
        stack.start()
    (migration,) = stack.migrations
    assert migration.poll() is not None


def test_a_migration_without_an_end_is_ended(stack, monkeypatch):
    monkeypatch.setattr(stack, "_await", lambda *arguments: None)
    monkeypatch.setattr(module, "MIGRATION_SECONDS", 0.2)
    with pytest.raises(StackError, match=r"migration is not done after 0\.2 seconds"):
        stack.start()
    (migration,) = stack.migrations
    assert migration.poll() is not None
