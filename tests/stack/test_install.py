"""Installation: what is missing is reported in one sentence, what is installed and unchanged is kept."""

from __future__ import annotations

import collections
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.node import node
from stack.parts import ROOT
from tests.emulator.driver import eventually


@pytest.fixture
def install(tmp_path, monkeypatch):
    """The installer as it runs: a program of its own, outside the package; here in an empty folder."""
    spec = importlib.util.spec_from_file_location("installer", ROOT / "stack/install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOCAL", tmp_path / ".local")
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv/bin/python")
    (tmp_path / ".venv").mkdir()
    return module


def test_without_uv_pip_and_venv_it_names_what_to_install(install, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(install, "attempt", lambda command: False)
    assert install.main([]) == 1
    output = capsys.readouterr().err
    assert "uv cannot be had here" in output
    assert "apt-get install python3-venv" in output
    assert len(output.splitlines()) == 1


def test_an_old_python_is_refused_by_its_version(install, monkeypatch, capsys):
    version = collections.namedtuple("version", "major minor micro")(3, 10, 12)
    monkeypatch.setattr(install.sys, "version_info", version)
    monkeypatch.setattr(install.sys, "version", "3.10.12 (main)")
    assert install.main([]) == 1
    assert "needs Python 3.11 or newer, and python3 is 3.10.12" in capsys.readouterr().err


def test_make_reports_that_python_is_missing():
    result = subprocess.run(
        ["make", "install", "PYTHON3=python-that-is-not-there"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "python3 is missing; install Python 3.11 or newer" in result.stderr


def test_a_failing_command_is_reported_with_its_output(install):
    with pytest.raises(install.InstallError, match=r"`sh -c` ended with 7\.\nno space left"):
        install.run(["sh", "-c", "echo no space left; exit 7"])


def test_once_runs_again_after_a_change_and_after_a_failure(install, tmp_path):
    lock, stamp = tmp_path / "lock", tmp_path / "stamp"
    lock.write_text("one")
    results = []
    for content in ("one", "one", "two", "two"):
        lock.write_text(content)
        with install.once(stamp, [lock]) as needed:
            results.append(needed)
    assert results == [True, False, True, False]

    lock.write_text("three")
    with pytest.raises(install.InstallError), install.once(stamp, [lock]):
        raise install.InstallError("The network is down.")
    with install.once(stamp, [lock]) as needed:
        assert needed


def test_once_takes_no_half_changed_installation_for_whole(install, tmp_path):
    lock, stamp = tmp_path / "lock", tmp_path / "stamp"
    lock.write_text("one")
    with install.once(stamp, [lock]):
        pass
    lock.write_text("two")
    install.once(stamp, [lock]).__enter__()  # and is killed
    lock.write_text("one")
    with install.once(stamp, [lock]) as needed:
        assert needed


@pytest.mark.parametrize(
    ("minor", "works", "made_anew"),
    [(sys.version_info[1], True, False), (99, True, True), (sys.version_info[1], False, True)],
    ids=["the same", "another", "broken"],
)
def test_another_version_of_python_gets_a_new_environment(install, tmp_path, monkeypatch, minor, works, made_anew):
    program(install.PYTHON, f'exec {sys.executable} "$@"' if works else "exit 1")
    program(tmp_path / "bin/uv", f"echo uv 0.13.9; echo $1 >> {tmp_path}/calls")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    version = collections.namedtuple("version", "major minor micro")(3, minor, 0)
    monkeypatch.setattr(install.sys, "version_info", version)
    install.install_python()
    assert (tmp_path / "calls").read_text().split() == ["--version", *["venv"] * made_anew, "pip", "pip"]


def test_a_program_that_cannot_be_run_is_one_sentence(install, tmp_path):
    with pytest.raises(install.InstallError, match=r"failed: `npm ci` cannot be run \(No such file or directory\)\.$"):
        install.run([str(tmp_path / "npm"), "ci"])


def test_a_crash_of_a_helper_program_shows_its_last_lines(install, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(install, "install_python", lambda: None)
    program(install.PYTHON, "echo node is broken >&2; exit 3")
    assert install.main(["azurite"]) == 1
    assert capsys.readouterr().err == "The installation failed: `python -c` ended with 3.\nnode is broken\n"


KILLED = """
import sys, runpy
from pathlib import Path
install = runpy.run_path(sys.argv[1], run_name="installer")
with install["alone"](Path("lock")):
    install["run"](["sh", "-c", "touch began; sleep 1; touch ended"], directory=Path())
"""


def test_an_installation_waits_for_children_of_a_killed_one(install, tmp_path, capfd):
    killed = subprocess.Popen([sys.executable, "-c", KILLED, ROOT / "stack/install.py"], cwd=tmp_path)
    eventually((tmp_path / "began").exists)
    killed.kill()
    killed.wait()
    with install.alone(tmp_path / "lock"):
        assert (tmp_path / "ended").exists()
    assert capfd.readouterr().out.startswith("Waiting for another installation in this folder ... ")


@pytest.mark.parametrize(
    ("script", "used"),
    [
        ("echo 'uv 0.8.0'", True),
        ("echo 'uv 0.13.9 (x86_64-unknown-linux-gnu)'", True),
        ("echo 'uv 0.7.22 (6fbcd09b5 2025-07-17)'", False),
        ("echo hello", False),
        ("echo 'uv 0.13.9'; exit 1", False),
    ],
)
def test_only_a_uv_that_is_new_enough_is_used(install, tmp_path, monkeypatch, script, used):
    system = program(tmp_path / "bin/uv", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    locked = tmp_path / "locked/uv"
    program(locked, "echo 'uv 0.13.9'")
    monkeypatch.setattr(install, "uv_by_pip", lambda: locked)
    assert install.find_uv() == str(system if used else locked)


@pytest.mark.parametrize(
    ("script", "named", "taken"),
    [("exit 0", False, True), ("exit 0", True, False), ("exit 1", False, False), (None, False, False)],
    ids=["whole", "another was named", "in parts", "missing"],
)
def test_the_distributions_python_is_used_unless_one_is_named(install, tmp_path, monkeypatch, script, named, taken):
    distributed = tmp_path / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if script:
        program(distributed, script)
    monkeypatch.setattr(install, "DISTRIBUTED", tmp_path)
    monkeypatch.delenv("PYTHON3", raising=False)
    if named:
        monkeypatch.setenv("PYTHON3", sys.executable)
    assert install.interpreter() == (str(distributed) if taken else sys.executable)


def test_make_passes_on_a_python_that_was_named(tmp_path):
    named = program(tmp_path / "python3", f"echo $PYTHON3 >> {tmp_path}/python")
    for make in (["make", "install", f"PYTHON3={named}"], ["make", "install"]):
        subprocess.run(make, cwd=ROOT, env={"PATH": f"{tmp_path}:{os.defpath}"}, check=True)
    assert (tmp_path / "python").read_text().splitlines() == [str(named), ""]


@pytest.fixture
def python(install, tmp_path, monkeypatch):
    """A `python3` that records its arguments, and whose pip makes a program `uv`; PATH is without one."""
    script = """echo "$@" >> calls
case "$3" in install) test ! -f broken || { echo hashes do not match >&2; exit 1; }
    mkdir -p .local/uv/bin; printf '#!/bin/sh\\necho uv 0.13.9\\n' > .local/uv/bin/uv; chmod +x .local/uv/bin/uv;;
esac
test "$2" = pip"""
    path = program(tmp_path / "python3", f"cd {tmp_path}\n{script}")
    monkeypatch.setattr(install.sys, "executable", str(path))
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    return tmp_path


def test_the_locked_uv_is_checked_against_its_hash(install, python):
    assert install.find_uv() == str(python / ".local/uv/bin/uv")
    pip_install = next(call for call in (python / "calls").read_text().splitlines() if " install " in call)
    assert f"--require-hashes --requirement {ROOT / 'stack/uv-requirements.txt'}" in pip_install


def test_a_pip_that_fails_is_reported_with_its_output(install, python):
    (python / "broken").touch()
    with pytest.raises(install.InstallError, match=r"`python3 -m` ended with 1\.\nhashes do not match"):
        install.find_uv()


@pytest.mark.parametrize("script", ["exit 1", "echo v18.20.4", "echo v20-broken; exit 1", None])
def test_a_node_that_is_old_or_broken_is_not_used(tmp_path, monkeypatch, script):
    system = program(tmp_path / "node", script or "")
    program(tmp_path / "npm", "")
    if script is None:
        system.write_bytes(b"\x7fELF of another machine")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert node.__wrapped__() == Path(sys.executable).parent / "node"
    program(system, "echo v20.1.0")
    assert node.__wrapped__() == system


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
