"""Who dies: real processes, which stand for the parts of a stack."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.victims import VICTIMS
from stack import Ports, Stack
from stack.layouts import DISTRIBUTED, LOCAL, Layout
from stack.processes import Process

SLEEP = ["sh", "-c", "sleep 60 & wait"]


class Standing(Stack):
    """A stack whose parts are processes that do nothing."""

    def __init__(self, home: Path, layout: Layout) -> None:
        super().__init__(home, Ports(), layout=layout)
        for name in (*layout.programs, "azurite", "emulator"):
            started = Process.start(SLEEP, environment={}, directory=home, log=home / "log")
            started.save(home / "run" / f"{name}.json")

    def living(self) -> set[str]:
        return {name for name, process in self.running().items() if process}


@pytest.fixture
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Standing]:
    standing = Standing(tmp_path, request.param)
    everybody = standing.living()
    assert everybody == {*request.param.programs, "azurite", "emulator"}
    yield standing
    for name in everybody:
        standing.kill(name)


@pytest.mark.parametrize(
    ("stack", "victim", "dead"),
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
def test_one_part_of_a_kind_dies_and_nothing_else(stack, victim, dead):
    everybody = stack.living()
    assert VICTIMS[victim](stack, [1]) == [1]
    assert everybody - stack.living() == {dead}


@pytest.mark.parametrize("stack", [DISTRIBUTED], indirect=True)
def test_where_one_is_dead_the_other_of_its_kind_dies(stack):
    stack.kill("scheduler-1")
    everybody = stack.living()
    assert VICTIMS["scheduler"](stack, []) == []
    assert everybody - stack.living() == {"scheduler-2"}


@pytest.mark.parametrize("stack", [DISTRIBUTED], indirect=True)
def test_the_celery_worker_that_has_the_tasks_dies(stack):
    everybody = stack.living()
    tasks = stack.running()["worker-2"].members()
    assert sorted(VICTIMS["worker"](stack, tasks)) == sorted(tasks)
    assert everybody - stack.living() == {"worker-2"}


@pytest.mark.parametrize("stack", [LOCAL], indirect=True)
@pytest.mark.parametrize("victim", ["task", "worker"])
def test_a_task_that_is_over_cannot_die(stack, victim):
    everybody = stack.living()
    over = subprocess.Popen(["true"])
    over.wait()
    assert list(VICTIMS[victim](stack, [over.pid])) == []
    assert stack.living() == everybody
