"""Each build that is measured has a folder of its own, of which nothing is left."""

from __future__ import annotations

import re
import subprocess

import pytest

from bench.builds import DRIVER, SOURCES, earlier, present
from tests.conftest import ROOT


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits; returns its folder and the first commit."""
    for folder in (*SOURCES, "plugins/biztalk_services"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "module.py").write_text("first")
    git(tmp_path, "init", "--quiet")
    first = commit(tmp_path)
    for name in (*(f"bench/{name}" for name in DRIVER), "plugins/biztalk_services/module.py"):
        (tmp_path / name).write_text("second")
    commit(tmp_path)
    return tmp_path, first


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-verify", "--message", "some")
    return git(folder, "rev-parse", "HEAD")


def test_the_earlier_build_has_its_own_sources_and_the_driver_of_this_one(repository):
    root, first = repository
    with earlier(root, first) as folder:
        assert (folder / "plugins/biztalk_services/module.py").read_text() == "first"
        assert [(folder / "bench" / name).read_text() for name in DRIVER] == ["second"] * len(DRIVER)
        assert (folder / "plugins/biztalk_services/provider/plugin.py").exists()


def test_nothing_is_left_of_the_earlier_build_when_a_measurement_fails(repository):
    root, first = repository
    with pytest.raises(KeyboardInterrupt), earlier(root, first) as folder:
        raise KeyboardInterrupt
    assert not folder.parent.exists()
    assert len(git(root, "worktree", "list").splitlines()) == 1


def test_an_edit_does_not_change_what_is_measured(repository):
    root, _ = repository
    with present(root) as folder:
        (root / "plugins/biztalk_services/module.py").write_text("third")
        assert (folder / "plugins/biztalk_services/module.py").read_text() == "second"
    assert not folder.exists()


def test_the_driver_takes_nothing_else_of_this_folder():
    imported = {
        name
        for file in DRIVER
        for name in re.findall(r"^from bench\.(\w+) import", (ROOT / "bench" / file).read_text(), re.MULTILINE)
    }
    assert imported
    assert {f"{name}.py" for name in imported} <= set(DRIVER)
