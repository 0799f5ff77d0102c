"""The injection of faults into real processes, which take the place of the parts of a stack."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.targets import TARGETS
from stack import Ports, Stack
from stack.layouts import DISTRIBUTED, LOCAL, Layout
from stack.processes import Process

SLEEP = ["sh", "-c", "sleep 60 & wait"]


class IdleStack(Stack):
    """A stack whose parts are idle processes."""

    def __init__(self, home: Path, layout: Layout) -> None:
        super().__init__(home, Ports(), layout=layout)
        for name in (*layout.programs, "azurite", "emulator"):
            started = Process.start(SLEEP, environment={}, directory=home, log=home / "log")
            started.save(home / "run" / f"{name}.json")

    def running_parts(self) -> set[str]:
        return {name for name, process in self.running().items() if process}


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IdleStack]:
    idle_stack = IdleStack(tmp_path, request.param)
    parts = idle_stack.running_parts()
    assert parts == {*request.param.programs, "azurite", "emulator"}
    yield idle_stack
    for name in parts:
        idle_stack.kill(name)


@pytest.mark.parametrize(
    ("stack", "target", "killed"),
    [
        (LOCAL, "scheduler", "scheduler"),
        (LOCAL, "emulator", "emulator"),
        (LOCAL, "azurite", "azurite"),
        (DISTRIBUTED, "scheduler", "scheduler-1"),
        (DISTRIBUTED, "triggerer", "triggerer-1"),
        (DISTRIBUTED, "api-server", "api-server"),
    ],
    indirect=["stack"],
)
def test_one_part_of_the_kind_is_killed_and_no_other(stack, target, killed):
    parts = stack.running_parts()
    assert TARGETS[target](stack, [1]) == [1]
    assert parts - stack.running_parts() == {killed}


@pytest.mark.parametrize("stack", [DISTRIBUTED], indirect=True)
def test_the_second_part_is_killed_when_the_first_is_dead(stack):
    stack.kill("scheduler-1")
    parts = stack.running_parts()
    assert TARGETS["scheduler"](stack, []) == []
    assert parts - stack.running_parts() == {"scheduler-2"}


@pytest.mark.parametrize("stack", [DISTRIBUTED], indirect=True)
def test_the_celery_worker_that_runs_the_tasks_is_killed(stack):
    parts = stack.running_parts()
    tasks = stack.running()["worker-2"].members()
    assert sorted(TARGETS["worker"](stack, tasks)) == sorted(tasks)
    assert parts - stack.running_parts() == {"worker-2"}


@pytest.mark.parametrize("stack", [LOCAL], indirect=True)
@pytest.mark.parametrize("target", ["task", "worker"])
def test_a_task_that_has_ended_is_not_hit(stack, target):
    parts = stack.running_parts()
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert list(TARGETS[target](stack, [ended.pid])) == []
    assert stack.running_parts() == parts
