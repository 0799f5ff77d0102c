"""Processes: found again by pid and start time, ended with all they started, foreign ones never touched."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack.parts import ROOT
from stack.processes import Process, stop

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('stubborn', flush=True); time.sleep(60)",
]
# Starts a child that leaves its process group, as Airflow's scheduler does, and prints its pid.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], process_group=0); "
    "print(child.pid, flush=True); time.sleep(60)",
]


# Ends in order and prints so.
ORDERLY = [
    sys.executable,
    "-c",
    """
import time
from stack.processes import end_in_order
end_in_order()
try:
    print("started", flush=True)
    time.sleep(60)
finally:
    print("stopped what it had started", flush=True)
""",
]


@pytest.fixture
def start(tmp_path):
    started = []

    def _start(command):
        process = Process.start(command, environment=os.environ, directory=tmp_path, log=tmp_path / "log")
        started.append(process)
        return process

    yield _start
    for process in started:
        process.kill()


def output(tmp_path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = (tmp_path / "log").read_text()
        if text.endswith("\n"):
            return text.strip()
        time.sleep(0.02)
    raise AssertionError("The process has not printed anything.")


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_record_leads_back_to_the_process(start, tmp_path):
    process = start(SLEEP)
    process.save(tmp_path / "record.json")
    again = Process.load(tmp_path / "record.json")
    assert again == process
    assert again.alive
    stop({again: 5})
    assert not process.alive


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1}', "{"])
def test_an_unreadable_record_is_no_process(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    assert Process.load(tmp_path / "record.json") is None


def test_a_foreign_process_with_the_recorded_pid_is_left_alone(start):
    """The pid of a part that has ended may belong to another process by now; the start time distinguishes them."""
    foreign = subprocess.Popen(SLEEP, start_new_session=True)
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    try:
        ours = dataclasses.replace(start(SLEEP), pid=foreign.pid)
        assert not ours.alive
        assert ours.members() == []
        stop({ours: 1})
        ours.kill()
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_record_from_before_a_reboot_touches_nothing(start):
    process = start(SLEEP)
    before = dataclasses.replace(process, boot="00000000-0000-0000-0000-000000000000")
    assert not before.alive
    stop({before: 1})
    assert process.alive


def test_stop_ends_children_that_left_the_process_group(start, tmp_path):
    process = start(PARENT)
    child = int(output(tmp_path))
    assert set(process.members()) == {process.pid, child}
    stop({process: 5})
    assert not runs(child)


def test_stop_ends_orphans_of_a_crashed_leader(start, tmp_path):
    process = start(PARENT)
    child = int(output(tmp_path))
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    assert runs(child)
    stop({process: 5})
    deadline = time.monotonic() + 5
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(child)


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(start, tmp_path):
    process = start(STUBBORN)
    assert output(tmp_path) == "stubborn"
    began = time.monotonic()
    stop({process: 0.5})
    assert not process.alive
    assert 0.5 <= time.monotonic() - began < 3


def test_a_terminated_program_stops_what_it_has_started():
    with subprocess.Popen(ORDERLY, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"
        process.terminate()
        assert process.stdout.read() == "stopped what it had started\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_a_killed_server_is_gone_only_when_its_port_is_free(start, tmp_path):
    server = (
        "import socket, threading, time; listener = socket.create_server(('127.0.0.1', 0)); "
        "memory = bytearray(b'1') * 300_000_000; "
        "[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(60)]; "
        "print(listener.getsockname()[1], flush=True); time.sleep(60)"
    )
    process = start([sys.executable, "-c", server])
    port = int(output(tmp_path))
    process.kill()
    assert not process.alive
    socket.create_server(("127.0.0.1", port)).close()
