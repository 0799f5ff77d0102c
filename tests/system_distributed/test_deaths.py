"""A night of the sample fleet in which a worker, a scheduler and a triggerer are killed: the others complete it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack import Stack
from tests.system.canaries import canaries_of, database_rows, leaks, log_files
from tests.system.services import WITH_BACKUPS, WITHOUT_BACKUPS
from tests.system.world import BACKUP, BACKUP_OPERATIONS, CATALOG, Night, World, fits_descriptor, until

WORKER_SERVICE, TRIGGERER_SERVICE = "contosoorders", "contosonordic"
"""Services in whose step the worker is killed, and in whose wait the triggerer."""


@pytest.fixture(scope="module")
def deaths(world: World) -> tuple[Night, list[str]]:
    """The worker is killed during a request to suspend, then a scheduler, and the triggerer during a backup.

    :returns: the night, and the parts that were killed.
    """
    world.emulator.fault("slow", "suspend", service=WORKER_SERVICE, count=1, seconds=4)
    world.emulator.fault("stuck", "backup", service=TRIGGERER_SERVICE, count=1)
    before, stack, killed = world.last_seq(), world.stack, []

    def kill(name: str) -> None:
        stack.kill(name)
        killed.append(name)

    def kill_worker(run_id: str) -> None:
        world.await_entry(WORKER_SERVICE, event="started", operation="suspend", after=before)
        kill(worker_of(stack, world.step(run_id, WORKER_SERVICE, "suspend")["pid"]))
        kill("scheduler-1")

    def kill_triggerer(run_id: str) -> None:
        world.is_at(run_id, TRIGGERER_SERVICE, "wait_for_backup", "deferred")
        waiting = until(lambda: world.step(run_id, TRIGGERER_SERVICE, "wait_for_backup")["triggerer_job"])
        kill(until(lambda: triggerer_of(stack, waiting["id"])))
        until(lambda: job_of(run_id) not in (None, waiting["id"]))
        world.release(TRIGGERER_SERVICE)

    def job_of(run_id: str) -> int | None:
        job = world.step(run_id, TRIGGERER_SERVICE, "wait_for_backup")["triggerer_job"]
        return job and job["id"]

    return world.night(actions=[kill_worker, kill_triggerer]), killed


@pytest.fixture(scope="module")
def canaries(world: World) -> set[bytes]:
    return canaries_of(world)


@pytest.fixture(scope="module")
def night(deaths) -> Night:
    return deaths[0]


def test_the_run_ends_green(night):
    assert night.state == "success", night.report
    assert set(night.report) == {*WITH_BACKUPS, *WITHOUT_BACKUPS}


def test_one_of_each_kind_died_and_was_not_started_again(deaths, distributed_stack):
    _, killed = deaths
    assert {name.rpartition("-")[0] for name in killed} == {"worker", "scheduler", "triggerer"}
    assert {name for name, process in distributed_stack.running().items() if process is None} == set(killed)


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_each_service_is_backed_up_once_and_active_again(night, world, name):
    assert night.operations(name) == BACKUP_OPERATIONS
    assert [night.responses(name, operation) for operation in ("suspend", "backup", "resume")] == [[202]] * 3
    assert night.report[name]["outcome"] == "backed up"
    assert world.state(name) == "Active"


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_a_backup_is_whole_and_the_only_one_of_the_service(night, world, name):
    assert fits_descriptor(world.content(night.backup(name)), night.backup(name))
    assert list(world.catalog("references", name)) == [night.backup(name)]


def test_the_step_of_a_dead_worker_is_retried_the_wait_is_not(night):
    assert night.step(WORKER_SERVICE, "suspend")["try_number"] == 2
    assert night.step(TRIGGERER_SERVICE, "wait_for_backup")["try_number"] == 1


def test_both_workers_worked(night, distributed_stack):
    for name in ("worker-1", "worker-2"):
        assert "Executing workload in Celery" in distributed_stack.log(name).read_text(), name


def test_the_log_of_a_task_is_read_from_the_shared_folder(night, world):
    step = night.step(WORKER_SERVICE, "suspend")
    run_id = night.service_runs[WORKER_SERVICE]
    log = world.airflow.log(BACKUP, run_id, "suspend", step["try_number"])
    assert "An earlier try suspended" in log


def test_no_secret_in_any_log(night, world, canaries):
    logs = list(log_files(world))
    assert len(logs) > 50
    assert any(b"An earlier try suspended" in content for _, content in logs)
    assert leaks(canaries, logs) == []


def test_no_secret_in_any_table_of_airflows_database(night, world, canaries):
    rows = list(database_rows(world))
    assert {"xcom", "rendered_task_instance_fields", "task_state_store"} < {table for table, _ in rows}
    assert leaks(canaries, rows) == []


def test_no_secret_in_the_catalog_and_suspension_records(night, world, canaries):
    entries = world.content(CATALOG)
    assert any(name.startswith("suspensions/closed/") for name in entries)
    assert leaks(canaries, entries.items()) == []


def test_no_secret_in_the_data_of_the_pages(night, world, canaries):
    runs = [(night.dag_id, night.run_id), *((BACKUP, run_id) for run_id in night.service_runs.values())]
    paths = [f"/dags/{dag_id}/dagRuns/{run_id}" for dag_id, run_id in runs]
    paths += [f"{path}/taskInstances/~/xcomEntries" for path in paths]
    instances = [each for run in runs for each in world.airflow.task_instances(*run)]
    responses = {path: world.airflow.get(path, limit=1000) for path in paths} | {each["id"]: each for each in instances}
    assert any(each["rendered_fields"] for each in instances)
    assert leaks(canaries, ((name, json.dumps(response).encode()) for name, response in responses.items())) == []


def test_no_secret_of_the_stack_is_written_anywhere(night, distributed_stack):
    home = distributed_stack.home
    kept = [home / "secrets.json", home / "store-passwords.json", home / "redis/redis.conf"]
    secrets = {value.encode() for file in kept[:2] for value in json.loads(file.read_text()).values()}
    written = [file for file in home.rglob("*") if file.is_file() and file not in kept]
    assert len(written) > 1000
    assert leaks(secrets, ((str(file), file.read_bytes()) for file in written)) == []


def worker_of(stack: Stack, pid: int) -> str:
    """The worker that runs the task with this process."""
    running = stack.running()
    return next(name for name in stack.layout.named("worker") if pid in running[name].members())


def triggerer_of(stack: Stack, job: int) -> str | None:
    """The triggerer with this job number: it has log files of that number open."""
    running = stack.running()
    for name in stack.layout.named("triggerer"):
        for pid in running[name].members():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if str(descriptor.readlink()).endswith(f".trigger.{job}.log"):
                        return name
                except FileNotFoundError:
                    continue
    return None
