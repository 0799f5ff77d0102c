"""A whole distributed stack for the tests of this folder, on free ports, in a folder of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.settings import FAST_FAILURE_DETECTION, LOW_CPU
from stack import Ports, Stack
from stack.errors import StackError
from stack.layouts import DISTRIBUTED
from stack.stores import require_programs
from tests.system.world import World

DURATIONS = {"backup": 1.0, "suspend": 0.5, "resume": 0.5}

SETTINGS = {**LOW_CPU, **FAST_FAILURE_DETECTION, "AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS": "4"}


@pytest.fixture(scope="package", autouse=True)
def programs() -> None:
    """Skip these tests where PostgreSQL or Redis is missing; the summary of the tests has the reason."""
    try:
        require_programs()
    except StackError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Not below pytest's folder, which PostgreSQL's user may not enter where this is root; the logs end up there."""
    folder = Path(tempfile.mkdtemp(prefix="distributed-stack-"))
    folder.chmod(0o711)
    yield folder
    kept = tmp_path_factory.mktemp("distributed")
    for logs in ("logs", "airflow/logs"):
        shutil.copytree(folder / logs, kept / logs)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def distributed_stack(home: Path) -> Iterator[Stack]:
    """A running stack with the sample fleet, shared by all tests."""
    stack = Stack(
        home,
        Ports.free(),
        layout=DISTRIBUTED,
        emulator_options=["--durations", json.dumps(DURATIONS)],
        airflow_settings=SETTINGS,
    )
    with stack.up():
        yield stack


@pytest.fixture(scope="package")
def world(distributed_stack: Stack) -> World:
    """The stack with everything around it."""
    return World.of(distributed_stack)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kill last, because what is killed is not started again; allow the first test of a night its time."""
    items.sort(key=lambda item: item.path.name == "test_deaths.py")
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(1200))
