"""A whole stack for the tests of this folder: emulator, Azurite and Airflow, on free ports, in a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chaos.settings import LOW_CPU
from stack import Ports, Stack
from stack.parts import ROOT
from stack.settings import access_control_connection
from tests.emulator.driver import EmulatorProcess
from tests.system.services import (
    DELETED_RUN,
    ENDED_RUN,
    FAILED_RUN,
    MAX_CONCURRENT,
    NAMESPACE,
    NAMESPACE_KEY,
    PAUSED_DAG,
    PROVING_GROUND,
    RESTORE_SERVICE,
)
from tests.system.troubles import run_night_with_faults, run_strict_night
from tests.system.world import Night, World, until

# Seconds by kind of operation: long enough that every transitional state can be seen, short enough for a test.
DURATIONS = {"backup": 1.0, "suspend": 0.5, "resume": 0.5, "create": 0.1, "delete": 0.1, "stop": 0.1, "start": 0.1}
DURATIONS |= {"restore": 2.0}

SETTINGS = {
    **LOW_CPU,
    "AIRFLOW__BIZTALK_SERVICES__EXCLUDE": "proving-*",
    "AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS": str(MAX_CONCURRENT),
    "AIRFLOW__BIZTALK_SERVICES__DRAIN_ERROR_TOLERANCE_SECONDS": "3",
    "AIRFLOW__BIZTALK_SERVICES__POLL_ERROR_TOLERANCE_SECONDS": "5",
    "AIRFLOW__BIZTALK_SERVICES__SUSPEND_DEADLINE_MINUTES": "1",
    "AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES": "1",
    "AIRFLOW__BIZTALK_SERVICES__RESUME_DEADLINE_MINUTES": "1",
    "AIRFLOW__BIZTALK_SERVICES__SUSPENSION_GRACE_MINUTES": "5",
    "AIRFLOW__BIZTALK_SERVICES__FIRST_NUMBERS": "2",
}


@pytest.fixture(scope="package")
def airflow_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with the sample fleet and the proving ground, shared by all tests, in pytest's folder."""
    home, dags = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("dags")
    for folder in (ROOT / "dags", Path(__file__).parent / "dags"):
        shutil.copytree(folder, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    build_proving_ground(home / "emulator")
    stack = Stack(
        home,
        Ports.free(),
        dags=dags,
        emulator_options=["--durations", json.dumps(DURATIONS)],
        airflow_settings=SETTINGS,
    )
    with stack.up():
        yield stack


@pytest.fixture(scope="package")
def world(airflow_stack: Stack) -> World:
    """The stack with everything around it."""
    return World.of(airflow_stack)


@pytest.fixture(scope="package")
def good_night(world: World, abandoned: int) -> Night:
    """A night without troubles, of all services that the configuration includes; the first after Airflow was killed."""
    return world.night()


@pytest.fixture(scope="package")
def next_night(world: World, good_night: Night) -> Night:
    """The night after it for one service, by hand: without tracking database; a person confirms that it is drained."""
    with world.without_tracking("contosoorders"):
        return world.night(["CONTOSOORDERS"], batches_are_empty=True, label="before the change of Monday")


@pytest.fixture(scope="package")
def troubled(world: World) -> tuple[Night, list[dict[str, Any]]]:
    """The night with faults, and the faults that were requested for it with the number of times each happened."""
    return run_night_with_faults(world)


@pytest.fixture(scope="package")
def troubled_night(troubled: tuple[Night, list[dict[str, Any]]]) -> Night:
    return troubled[0]


@pytest.fixture(scope="package")
def strict_night(world: World, good_night: Night) -> Iterator[Future[Night]]:
    """A night that fails on refilled batches, and backs up what is restored afterwards. It begins now; runs of other
    services may be active meanwhile."""
    pki = world.stack.home / "emulator/pki"
    access = access_control_connection(world.stack.ports, pki, NAMESPACE, NAMESPACE_KEY)
    world.connection(f"biztalk_acs_{NAMESPACE}", access)
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(run_strict_night, world)


@pytest.fixture(scope="package")
def abandoned(world: World) -> int:
    """Runs leave four services suspended: one run ends, one is marked as failed while it works, one has ended and is
    deleted, and the DAG of one is paused. Then all of Airflow is killed, and started again. The value is the number
    of the journal's last entry before. The resumptions take minutes: request it early, check it late."""
    before = world.last_seq()
    world.leave_suspended("is_paused", PAUSED_DAG)
    world.airflow.pause("is_paused")
    ended, deleted = (world.leave_suspended("leaves_suspended", service) for service in (ENDED_RUN, DELETED_RUN))
    working = world.leave_suspended("works_for_an_hour", FAILED_RUN)
    for run_id in (ended, deleted):
        assert world.airflow.wait_run("leaves_suspended", run_id) == "success"
    world.airflow.forget("leaves_suspended", deleted)
    work = until(
        lambda: (found := world.task("works_for_an_hour", working, "work")).get("state") == "running" and found
    )
    world.airflow.mark_failed("works_for_an_hour", working)
    until(lambda: not Path(f"/proc/{work['pid']}").exists())
    running = world.stack.running()
    for part in world.stack.layout.programs:
        world.stack.kill(part)
        del running[part]
    world.stack.start()
    assert running.items() <= world.stack.running().items(), "a start does not restart what runs"
    return before


def build_proving_ground(home: Path) -> None:
    """Create the services that fail, before Airflow gets the connections to the tracking databases."""
    home.mkdir(parents=True)
    emulator = EmulatorProcess(home, "--sample-fleet").start()
    try:
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0})
        for name in PROVING_GROUND:
            namespace = {"AccessControlNamespace": NAMESPACE, "AccessControlKey": NAMESPACE_KEY}
            answer = emulator.create(name, Edition="basic", **(namespace if name == RESTORE_SERVICE else {}))
            assert answer.status_code == 202, answer.text
        for name in PROVING_GROUND:
            emulator.reaches(name, "Active")
    finally:
        assert emulator.stop() == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Search for secrets last, after all other tests; allow the first test of a night its time."""
    items.sort(key=lambda item: item.path.name == "test_no_secret_anywhere.py")
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(1200))
