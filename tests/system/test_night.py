"""A night as it should be, and the next one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from stack.settings import STORAGE_ACCOUNT
from tests.system.services import WITH_BACKUPS, WITHOUT_BACKUPS
from tests.system.world import BACKUP, BACKUP_OPERATIONS, CATALOG, DAG_ID, World, fits_descriptor

FIELDS = {
    "conn_id", "service", "scope", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
    "suspended_seconds", "state", "lacking",
}  # fmt: skip


def test_the_run_is_green(good_night):
    assert good_night.state == "success"


def test_the_report_lists_exactly_the_configured_services(good_night):
    assert set(good_night.report) == {*WITH_BACKUPS, *WITHOUT_BACKUPS}
    assert all(set(row) == FIELDS for row in good_night.report.values())


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_each_service_is_suspended_backed_up_resumed_once(good_night, name):
    assert good_night.operations(name) == BACKUP_OPERATIONS
    assert [good_night.responses(name, operation) for operation in ("suspend", "backup", "resume")] == [[202]] * 3


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_a_service_is_active_again(good_night, world, name):
    assert world.state(name) == "Active"


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_the_report_has_backup_items_and_suspended_seconds(good_night, world, name):
    row, service = good_night.report[name], world.service(name)
    described = {"scope": service["cloud_service"], "region": service["region"], "edition": service["edition"]}
    assert row == row | described | {"outcome": "backed up", "failed_step": None, "reason": None, "state": "Active"}
    assert row["backup"].startswith(f"{STORAGE_ACCOUNT}/{name.lower()}-")
    assert row["items"] == sum(descriptor(world, good_night.backup(name))["items"].values()) > 0
    states = good_night.journal(name, "state")
    down, up = (next(each["at"] for each in states if each["after"] == state) for state in ("Suspended", "Active"))
    assert row["suspended_seconds"] == pytest.approx(seconds_between(down, up), abs=5)


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_each_backup_is_whole_in_its_own_container(good_night, world, name):
    content = world.content(good_night.backup(name))
    assert len(content) > 1
    assert fits_descriptor(content, good_night.backup(name))


@pytest.mark.parametrize("name", WITH_BACKUPS)
def test_the_catalog_has_one_reference_with_the_stored_blobs(good_night, world, name):
    (reference,) = world.catalog("references", name).values()
    content = world.content(good_night.backup(name))
    assert reference == reference | {
        "schema_version": 2,
        "service_kind": "biztalk",
        "kind": "manual",
        "expires_at": None,
        "hold": None,
        "account": STORAGE_ACCOUNT,
        "container": good_night.backup(name),
        "service": name,
        "scope": world.service(name)["cloud_service"],
        "subscription_id": world.stack.emulator.subscription_id(),
        "run": {"dag_id": BACKUP, "run_id": good_night.service_runs[name], "airflow": world.airflow_id()},
        "items": descriptor(world, good_night.backup(name))["items"],
        "label": None,
    }
    assert reference["items"]["partners"] == world.service(name)["items"]["partners"] > 0
    assert {(blob["name"], blob["size"]) for blob in reference["blobs"]} == {
        (blob, len(data)) for blob, data in content.items()
    }
    assert reference["drain"]["drained"] is True
    assert reference["operation_id"] in {entry["operation_id"] for entry in good_night.journal(name, "operation")}
    assert world.catalog("set-aside", name) == {}


@pytest.mark.parametrize("name", WITHOUT_BACKUPS)
def test_a_service_without_backups_is_reported_and_unchanged(good_night, world, name):
    row = good_night.report[name]
    assert (row["outcome"], row["backup"], row["state"]) == ("no backup in this edition", None, "Active")
    assert good_night.operations(name) == []


def test_every_backup_is_an_event_of_the_asset(good_night, world):
    events = world.airflow.get("/assets/events", limit=100)["asset_events"]
    runs = good_night.service_runs.values()
    ours = [event for event in events if event["source_run_id"] in runs]
    assert {(event["extra"]["service"], event["extra"]["container"]) for event in ours} == {
        (name, good_night.backup(name)) for name in WITH_BACKUPS
    }


def test_each_service_with_backups_has_a_run_of_its_own(good_night, world):
    assert set(good_night.service_runs) == set(WITH_BACKUPS)
    ended = datetime.fromisoformat(world.airflow.run(DAG_ID, good_night.run_id)["end_date"])
    for run_id in good_night.service_runs.values():
        run = world.airflow.run(BACKUP, run_id)
        assert run["state"] == "success"
        assert datetime.fromisoformat(run["end_date"]) < ended


def test_a_cleared_step_runs_again_and_so_does_the_report(good_night, world):
    """Airflow clears the suspension and the resumption of the service with the step."""
    before, run_id = world.last_seq(), good_night.service_runs["contosoorders"]
    clear(world, BACKUP, run_id, "back_up")
    assert world.airflow.wait_run(BACKUP, run_id) == "success"
    assert repeated(world, BACKUP, run_id) == {"suspend", "back_up", "resume"}
    clear(world, DAG_ID, good_night.run_id, "report")
    assert world.airflow.wait_run(DAG_ID, good_night.run_id) == "success"
    assert repeated(world, DAG_ID, good_night.run_id) == {"report"}
    operations = world.emulator.journal(after=before, kind="operation")
    assert [entry for entry in operations if entry["service"] in WITH_BACKUPS] == []


def test_a_night_that_is_cleared_starts_no_second_run(good_night, world):
    before, started = world.last_seq(), good_night.service_runs
    clear(world, DAG_ID, good_night.run_id, "back_up_services", "report")
    assert world.airflow.wait_run(DAG_ID, good_night.run_id) == "success"
    assert world.service_runs(good_night.run_id) == started
    operations = world.emulator.journal(after=before, kind="operation")
    assert [entry for entry in operations if entry["service"] in WITH_BACKUPS] == []


def clear(world: World, dag_id: str, run_id: str, *tasks: str) -> None:
    order = {"dag_run_id": run_id, "task_ids": tasks, "only_failed": False, "dry_run": False}
    world.airflow.post(f"/dags/{dag_id}/clearTaskInstances", order)


def repeated(world: World, dag_id: str, run_id: str) -> set[str]:
    """The steps of a run that have succeeded in a second try."""
    return {
        each["task_id"]
        for each in world.airflow.task_instances(dag_id, run_id)
        if (each["state"], each["try_number"]) == ("success", 2)
    }


def test_the_next_night_backs_up_only_the_chosen_service(next_night, world):
    assert next_night.state == "success"
    assert set(next_night.report) == {"contosoorders"}
    assert next_night.operations("contosoorders") == BACKUP_OPERATIONS
    assert next_night.operations("contosonordic") == []
    assert next_night.reference("contosoorders")["label"] == "before the change of Monday"
    backup = next_night.backup("contosoorders")
    assert fits_descriptor(world.content(backup), backup)


def test_the_next_night_leaves_the_first_backup_unchanged(good_night, next_night, world):
    first, second = good_night.backup("contosoorders"), next_night.backup("contosoorders")
    assert first != second
    assert set(world.catalog("references", "contosoorders")) == {first, second}
    written = {blob["name"]: blob["sha256"] for blob in good_night.reference("contosoorders")["blobs"]}
    assert {name: sha256(data).hexdigest() for name, data in world.content(first).items()} == written
    began = datetime.fromisoformat(world.airflow.run(DAG_ID, next_night.run_id)["start_date"])
    reference = f"references/contosoorders/{first}.json"
    changed = [*world.written(first).values(), world.written(CATALOG)[reference]]
    assert all(moment < began for moment in changed)


def descriptor(world: World, backup: str) -> dict:
    return json.loads(world.blob(backup, f"{backup}.txt"))


def seconds_between(start: str, end: str) -> float:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    return (moments[1] - moments[0]).total_seconds()
