"""Nights of the tests of this folder: settings of their stacks, and runs whose id the test chooses."""

from __future__ import annotations

from chaos.settings import LOW_CPU
from tests.system.world import BACKUP, DAG_ID, NIGHT_SECONDS, Night, World

DURATIONS = {"suspend": 0.5, "backup": 1.0, "resume": 0.5}
SETTINGS = {**LOW_CPU, "AIRFLOW__BIZTALK_SERVICES__SCHEDULE": "none"}
"""Nights begin when the tests start them."""

WATCHDOG = "biztalk_watchdog"


def begin_night(world: World, run_id: str, services: list[str]) -> None:
    """Start a run of the nightly DAG under an id of the test's."""
    for dag_id in (DAG_ID, BACKUP):
        world.airflow.wait_for_dag(dag_id)
    world.airflow.trigger(DAG_ID, {"services": services}, run_id)


def end_of_night(world: World, run_id: str, after: int) -> Night:
    """The night, when it has ended.

    :param after: number of the journal's last entry before it.
    """
    state = world.airflow.wait_run(DAG_ID, run_id, NIGHT_SECONDS)
    states = {each["name"]: each["state"] for each in world.emulator.admin("GET", "/services")["services"]}
    return Night(world, DAG_ID, run_id, state, after, world.last_seq(), states)


def check_suspensions(world: World, run_id: str) -> list[dict]:
    """Run the watchdog once, to its end; returns what it decided."""
    world.airflow.wait_for_dag(WATCHDOG)
    world.airflow.trigger(WATCHDOG, run_id=run_id)
    assert world.airflow.wait_run(WATCHDOG, run_id) == "success"
    found = world.airflow.xcom(WATCHDOG, run_id, "find_suspensions")
    return [
        world.airflow.xcom(WATCHDOG, run_id, "check_suspension", map_index=index) for index in range(len(found or []))
    ]
