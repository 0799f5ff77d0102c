"""Gates: a task that reaches a shut gate waits until the gate is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.gates import Gates, Side
from tests.conftest import ROOT
from tests.emulator.driver import eventually

NAME = Gates.name("biztalk_restore", "Orders", "restore", Side.AFTER)
TASK = """
import sys
from pathlib import Path
from chaos.gates import Gates
Gates(Path(sys.argv[1])).pass_through(sys.argv[2])
"""


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path)


def start_task(folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", TASK, str(folder), NAME], cwd=ROOT)


def test_a_task_passes_an_open_gate_without_waiting(gates):
    gates.pass_through(NAME)
    assert gates.arrived(NAME) is None


def test_a_task_waits_at_a_shut_gate_until_it_is_opened(gates, tmp_path):
    gates.shut([NAME])
    task = start_task(tmp_path)
    assert eventually(lambda: gates.arrived(NAME)) == task.pid
    assert task.poll() is None
    gates.open([NAME])
    assert task.wait(10) == 0


def test_shutting_a_gate_again_forgets_earlier_arrivals(gates, tmp_path):
    gates.shut([NAME])
    task = start_task(tmp_path)
    eventually(lambda: gates.arrived(NAME))
    gates.open([NAME])
    task.wait(10)
    gates.shut([NAME])
    assert gates.arrived(NAME) is None
