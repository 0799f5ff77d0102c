"""Gates: a task that comes to a shut one stands there until it is opened."""

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


def come(folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", TASK, str(folder), NAME], cwd=ROOT)


def test_an_open_gate_keeps_nobody(gates):
    gates.pass_through(NAME)
    assert gates.arrived(NAME) is None


def test_a_shut_gate_keeps_a_task_until_it_is_opened(gates, tmp_path):
    gates.shut([NAME])
    task = come(tmp_path)
    assert eventually(lambda: gates.arrived(NAME)) == task.pid
    assert task.poll() is None
    gates.open([NAME])
    assert task.wait(10) == 0


def test_a_gate_that_is_shut_anew_has_forgotten_who_came(gates, tmp_path):
    gates.shut([NAME])
    task = come(tmp_path)
    eventually(lambda: gates.arrived(NAME))
    gates.open([NAME])
    task.wait(10)
    gates.shut([NAME])
    assert gates.arrived(NAME) is None
