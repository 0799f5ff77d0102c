"""Starting and stopping."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from biztalk_emulator.cli import main
from biztalk_emulator.program import default_data_port

from tests.emulator.driver import ROOT, EmulatorProcess


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run the command line where it is expected to end by itself."""

    def run(*options: str) -> Result:
        try:
            code = main(options)
        except SystemExit as ended:
            code = ended.code
        return Result(code, *capsys.readouterr())

    return run


def test_help(run):
    printed = run("serve", "--help").out
    for name in (
        "--home",
        "--port",
        "--admin-port",
        "--data-port",
        "--sample-fleet",
        "--sample-storage",
        "--server-name",
        "--durations",
        "--profile",
    ):
        assert name in printed
    assert "backup_precondition=strict-rest|chart" in printed


@pytest.mark.parametrize("option", ["--port", "--admin-port", "--data-port"])
def test_busy_port(tmp_path, option):
    ports = {"--port": "0", "--admin-port": "0", "--data-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        result = subprocess.run(
            [
                *(sys.executable, "-m", "biztalk_emulator", "serve", "--home", str(tmp_path / "home")),
                *(each for pair in ports.items() for each in pair),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT / "emulator")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert ports[option] in result.stderr


def test_one_emulator_a_home(run, shared_emulator):
    result = run("serve", "--home", str(shared_emulator.home), "--port", "0", "--admin-port", "0")
    assert result.code == 2
    assert "Another emulator uses the folder" in result.err


@pytest.mark.parametrize(
    "options",
    [
        ("--durations", "{"),
        ("--durations", '{"dream": 1}'),
        ("--durations", "/no/such/file"),
        ("--profile", "backup_precondition=never"),
        ("--profile", "nonsense"),
        ("--port", "70000"),
        ("--data-port", "x"),
        ("--sample-storage", "AccountName=x"),
        ("--host", "a..b"),
        ("--server-name", ""),
        ("--server-name", "two words"),
        ("--server-name", "tüv.example"),
        ("--server-name", "a..b"),
    ],
)
def test_wrong_options(run, tmp_path, options):
    result = run("serve", "--home", str(tmp_path / "home"), "--port", "0", "--admin-port", "0", *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.strip().splitlines()[-1].endswith(".")


@pytest.mark.parametrize("home", ["file", "file/below", "no database", "/proc/self/home"])
def test_homes_that_cannot_be_used(run, tmp_path, home):
    (tmp_path / "file").touch()
    (tmp_path / "no database").mkdir()
    (tmp_path / "no database/emulator.db").write_bytes(b"this is no database" * 100)
    result = run("serve", "--home", str(tmp_path / home), "--port", "0", "--admin-port", "0")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert str(tmp_path / home) in result.err
    assert result.err.endswith("choose another --home.\n")


def test_a_folder_that_must_not_be_written(run, tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    result = run("serve", "--home", str(tmp_path / "home"), "--port", "0", "--admin-port", "0")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "Permission denied" in result.err


def test_settings_of_a_start_that_failed_change_nothing_and_of_one_that_did_not_are_recorded(run, tmp_path):
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ("--home", str(home), "--port", "0", "--admin-port", port, "--durations", '{"backup": 7.5}')
        assert run("serve", *options).code == 2
    emulator = EmulatorProcess(home, durations='{"suspend": 2.5}').start()
    try:
        durations = emulator.admin("GET", "/settings")["durations"]
        assert (durations["backup"], durations["suspend"]) == (6.0, 2.5)
        (entry,) = emulator.journal(kind="admin")
        assert (entry["event"], entry["change"]) == ("change settings", {"durations": {"suspend": 2.5}})
    finally:
        assert emulator.stop() == 0


@pytest.mark.parametrize(("port", "data_port"), [(18443, 18445), (0, 0), (65534, 0)])
def test_data_port_beside_the_management_port(port, data_port):
    assert default_data_port(port) == data_port


def test_options_win_over_what_is_kept(tmp_path):
    durations = tmp_path / "durations.json"
    durations.write_text(json.dumps({"backup": 2.5}))
    emulator = EmulatorProcess(
        tmp_path / "home", "--profile", "poll_status=200", "--server-name", "other.test", durations=str(durations)
    ).start()
    try:
        settings = emulator.admin("GET", "/settings")
        assert (settings["durations"]["backup"], settings["profile"]["poll_status"]) == (2.5, "200")
        assert settings["durations"]["suspend"] == 1.5
        assert emulator.admin("GET", "/services") == {"services": []}
    finally:
        assert emulator.stop() == 0


@pytest.mark.parametrize("older", [False, True])
def test_secrets_are_for_the_owner_only(tmp_path, older):
    emulator = EmulatorProcess(tmp_path / "home")
    if older:
        emulator.home.mkdir(mode=0o755)
        (emulator.home / "emulator.db").touch(mode=0o644)
    emulator.start()
    try:
        secret = {*emulator.home.glob("pki/*.key"), *emulator.home.glob("emulator.db*")}
        assert {path.name for path in secret} >= {
            "ca.key",
            "management.key",
            "server.key",
            "emulator.db",
            "emulator.db-wal",
        }
        assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
        assert stat.S_IMODE((emulator.home / "tracking").stat().st_mode) == 0o700
        assert stat.S_IMODE(emulator.home.stat().st_mode) == (0o755 if older else 0o700)
    finally:
        assert emulator.stop() == 0


def test_listens_on_this_machine_only(shared_emulator):
    for kind in ("tcp", "tcp6"):
        with open(f"/proc/net/{kind}") as table:  # noqa: PTH123
            listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
        ours = [address for address in listening if int(address.split(":")[1], 16) == shared_emulator.port]
        assert ours in ([f"0100007F:{shared_emulator.port:04X}"], [])
