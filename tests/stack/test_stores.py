"""PostgreSQL and Redis: what is missing is reported with how to install it; files are readable by their user only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack import Ports, StackError, stores
from stack.parts import ROOT

PASSWORDS = {"postgres": "a-secret-of-postgres", "redis": "a-secret-of-redis"}


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    """A machine without either; returns its folder of programs, which is on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(stores, "PACKAGED_POSTGRES", tmp_path / "packaged")
    return tmp_path


def program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)


def test_what_is_missing_is_named_with_its_packages(nothing_installed):
    with pytest.raises(StackError, match=r"Redis \(redis-server\).*sudo apt-get install postgresql redis-server\)"):
        stores.require_programs()
    program(nothing_installed / "redis-server")
    with pytest.raises(StackError, match=r"needs PostgreSQL \(initdb, postgres\), not found.*install postgresql\)"):
        stores.require_programs()


def test_the_newest_packaged_postgres_is_found_when_it_is_whole(nothing_installed):
    packaged = nothing_installed / "packaged"
    for name in ("9/bin/initdb", "9/bin/postgres", "15/bin/initdb", "15/bin/postgres", "16/bin/postgres"):
        program(packaged / name)
    assert stores.postgres_folder() == packaged / "15/bin"


def test_a_missing_program_ends_the_command_at_once(tmp_path):
    """The whole command line, in a folder of its own."""
    code = (
        "import sys, pathlib, stack.__main__ as m; from stack import stores; m.HOME = pathlib.Path(sys.argv.pop()); "
        "stores.PACKAGED_POSTGRES = m.HOME; sys.exit(m.main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "up-distributed", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(
        "A distributed Airflow needs PostgreSQL (initdb, postgres) and Redis (redis-server)"
    )
    assert len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}
    assert not list((tmp_path / "run").glob("*.json"))


def test_root_runs_them_as_another_user_who_needs_access(tmp_path):
    home = tmp_path / "closed" / "home"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    if os.geteuid() != 0:
        assert stores.unprivileged_user() is None
        return
    with pytest.raises(StackError, match=r"refuses to run as root.*may not pass through /.*chmod o\+x /"):
        stores.prepare(home, PASSWORDS)
    assert not list(home.iterdir())


def test_no_password_is_on_a_command_line():
    parts = [stores.postgres(Path("/home"), Ports(), "a-secret"), stores.redis(Path("/home"), Ports(), "a-secret")]
    assert not [part for part in parts if re.search("a-secret", " ".join(part.command))]


def test_every_store_listens_on_this_machine_only():
    assert "listen_addresses=127.0.0.1" in stores.postgres(Path("/home"), Ports(), "").command
    redis = stores.redis(Path("/home"), Ports(), "").command
    assert redis[redis.index("--bind") + 1] == "127.0.0.1"
