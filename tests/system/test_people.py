"""What people do to runs, and how they start them: what they mark as failed, and a trial."""

from __future__ import annotations

import json
import subprocess

import pytest

from stack.parts import airflow_command
from tests.system.world import BACKUP, BACKUP_OPERATIONS, CATALOG, DAG_ID, RESTORE, Night, Restoration, World

BACKED_UP, UNDER_WAY = "contosonordic", "contosoeurope"
FAILED_NIGHT = "The nightly backup of BizTalk Services failed"
FAILED_RESTORE = "A restore of a BizTalk service failed"


def locks(world: World) -> set[str]:
    """The locks that are held."""
    names = (blob.name for blob in world.blobs.get_container_client(CATALOG).list_blobs("claims/"))
    return {name for name in names if not name.startswith("claims/taken-over/")}


def log_of_report(run: Night | Restoration) -> str:
    (report,) = [each for each in run.instances if each["task_id"] == "report"]
    return run.world.log(run.dag_id, run.run_id, report)


@pytest.fixture(scope="module")
def marked_night(world: World) -> Night:
    """A night of which a person marks the run of one service as failed, when its backup is under way."""
    world.emulator.fault("stuck", "backup", service=UNDER_WAY, count=1)
    began = world.last_seq()

    def mark(run_id: str) -> None:
        world.is_at(run_id, UNDER_WAY, "wait_for_backup", "deferred")
        world.airflow.mark_failed(BACKUP, world.service_run(run_id, UNDER_WAY))
        world.await_entry(UNDER_WAY, operation="resume", status=409, after=began)
        world.release(UNDER_WAY)

    return world.night([BACKED_UP, UNDER_WAY], [mark])


def test_a_night_with_a_run_that_is_marked_as_failed_is_red(marked_night):
    assert marked_night.state == "failed"
    assert marked_night.steps(UNDER_WAY)["publish_reference"] == "skipped"


def test_the_service_of_a_marked_run_is_resumed(marked_night):
    assert marked_night.operations(BACKED_UP) == marked_night.operations(UNDER_WAY) == BACKUP_OPERATIONS
    assert {marked_night.states[name] for name in (BACKED_UP, UNDER_WAY)} == {"Active"}


def test_the_report_tells_what_became_of_a_marked_run(marked_night, world):
    rows = marked_night.report
    assert (rows[BACKED_UP]["outcome"], rows[BACKED_UP]["reason"]) == ("backed up", None)
    assert marked_night.backup(BACKED_UP) in world.catalog("references", BACKED_UP)
    assert (rows[UNDER_WAY]["outcome"], rows[UNDER_WAY]["failed_step"]) == ("failed", "wait_for_backup")
    assert rows[UNDER_WAY]["backup"] is None


def test_a_night_with_a_marked_run_is_alerted_and_holds_no_lock(marked_night, world):
    assert log_of_report(marked_night).count(f"{FAILED_NIGHT} (DAG ") == 1
    assert not [name for name in locks(world) if BACKED_UP in name or UNDER_WAY in name]


def test_what_a_night_has_begun_ends_when_the_night_is_marked_as_failed(marked_night, world):
    world.emulator.fault("stuck", "backup", service=UNDER_WAY, count=1)

    def mark(run_id: str) -> None:
        world.is_at(run_id, UNDER_WAY, "wait_for_backup", "deferred")
        world.airflow.mark_failed(DAG_ID, run_id)

    night = world.night([UNDER_WAY], [mark])
    assert night.state == "failed"
    run_id = night.service_runs[UNDER_WAY]
    assert f"Run {run_id} has not ended." in night.report[UNDER_WAY]["reason"]
    assert [name for name in locks(world) if UNDER_WAY in name]
    world.release(UNDER_WAY)
    assert world.airflow.wait_run(BACKUP, run_id) == "success"
    assert world.state(UNDER_WAY) == "Active"
    references = world.catalog("references", UNDER_WAY).values()
    assert [each for each in references if each["run"]["run_id"] == run_id]


def test_a_restore_that_is_marked_while_it_waits_is_red(marked_night, world):
    def mark(run_id: str) -> None:
        world.waits_for_a_person(run_id)
        world.airflow.mark_failed(RESTORE, run_id)

    restoration = world.restoration(BACKED_UP, [mark], existing_service_policy="replace")
    assert (restoration.state, restoration.report["outcome"]) == ("failed", "refused")
    assert restoration.report["reason"].endswith("Nothing was changed.")
    assert restoration.changes(BACKED_UP) == []
    assert log_of_report(restoration).count(f"{FAILED_RESTORE} (DAG ") == 1


def test_a_trial_suspends_nothing(marked_night, world, tmp_path):
    """``airflow dags test``, whose steps the scheduler carries out as well, if it is faster."""
    began = world.last_seq()
    trial = subprocess.run(
        airflow_command("dags", "test", DAG_ID, "--conf", json.dumps({"services": [BACKED_UP]})),
        env=world.stack.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    runs = world.airflow.get(f"/dags/{DAG_ID}/dagRuns", order_by="-run_after", limit=5)["dag_runs"]
    (run,) = [each for each in runs if each["triggering_user_name"] == "dag_test"]
    assert run["state"] == "failed", trial.stdout + trial.stderr
    left = f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}/taskInstances/report/xcomEntries/failure"
    assert "[real-run] airflow dags test" in world.airflow.get(left, stringify=False)["value"]
    changes = [each for each in world.emulator.journal(after=began, kind="request") if each["method"] != "GET"]
    assert [each for each in changes if each["operation"] != "token"] == []
