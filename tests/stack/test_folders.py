"""One program a folder of data: a second one is refused, also when the starter of the first has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from stack import Ports, StackError, parts, stores
from stack.parts import ROOT
from stack.processes import Process, stop

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STARTER = """
import os, pathlib, sys
from stack.processes import Process
folder = pathlib.Path(sys.argv[1])
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
process = Process.start(sleep, environment=os.environ, directory=folder, log=folder / "log", data=folder)
process.save(folder / "record")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def _start(folder, log=tmp_path / "log"):
        started.append(Process.start(SLEEP, environment=os.environ, directory=tmp_path, log=log, data=folder))
        return started[-1]

    yield _start
    for process in started:
        process.kill()


def test_a_second_program_is_refused_and_the_first_one_is_named(start, tmp_path):
    first = start(tmp_path)
    with pytest.raises(StackError) as refused:
        start(tmp_path)
    assert str(refused.value).startswith(f"The folder {tmp_path} is in use by another program (process {first.pid})")
    assert "make down" in str(refused.value)
    assert first.alive


def test_a_folder_is_the_same_by_another_path(start, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    start(tmp_path / "data")
    with pytest.raises(StackError, match="is in use by another program"):
        start(tmp_path / "link")


def test_the_lock_outlives_who_started_the_program(tmp_path, start):
    died = subprocess.run([sys.executable, "-c", STARTER, tmp_path], cwd=ROOT, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    running = Process.load(tmp_path / "record")
    try:
        assert running.alive
        with pytest.raises(StackError, match=rf"\(process {running.pid}\)"):
            start(tmp_path)
    finally:
        running.kill()
    assert start(tmp_path).alive


@pytest.mark.parametrize("end", [lambda process: stop({process: 5}), Process.kill], ids=["stopped", "killed"])
def test_the_next_program_starts_as_soon_as_the_first_has_ended(start, tmp_path, end):
    for _ in range(5):
        end(start(tmp_path))


def test_every_store_has_its_folder_for_itself(tmp_path):
    known = [parts.azurite(tmp_path, Ports()), stores.redis(tmp_path, Ports(), "")]
    assert [part.data for part in known] == [part.directory for part in known]


def test_two_azurites_never_share_a_folder(tmp_path):
    """On real ones: the second would start without a word, and what one of them acknowledges would be lost."""
    first, second = (parts.azurite(tmp_path, Ports.free()) for _ in range(2))

    def run(part):
        log = tmp_path / "azurite.log"
        return Process.start(part.command, environment=part.environment, directory=tmp_path, log=log, data=part.data)

    running = run(first)
    try:
        deadline = time.monotonic() + 60
        while not first.ready():
            assert running.alive
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(StackError, match=rf"process {running.pid}"):
            run(second)
        assert first.ready()
        assert not second.ready()
    finally:
        running.kill()
