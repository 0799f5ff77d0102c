"""The wait for a slot: how it comes to the triggerer, what it counts, when it ends; with real records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.module_loading import import_string
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.provider import triggers
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.sensors import SlotSensor
from biztalk_services.provider.triggers import SlotTrigger

from tests.conftest import AIRFLOW_ID
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE
from tests.provider.fakes import EndedInTrigger, Run, events_of, moved

pytestmark = pytest.mark.usefixtures("connections", "fast_clock")

GATE, DAG_ID = "wait_for_slot", "biztalk_backup"
LONGEST_SUSPENSION = 90


@pytest.fixture(autouse=True)
def airflow(monkeypatch) -> None:
    monkeypatch.setattr(triggers, "airflow_id", lambda: AIRFLOW_ID)


@pytest.fixture
def archive() -> str:
    return f"biztalk_backup_storage/slots-{uuid4().hex[:8]}"


@pytest.fixture
def dag(archive) -> DAG:
    """The gate as a DAG has it: what differs from run to run is in its form, and steps have a time limit."""
    params = {"service": Param("west/any", type="string"), "conn_id": Param("other", type="string")}
    default_args: dict[str, Any] = {
        "service": "{{ params.service }}",
        "conn_id": "{{ params.conn_id }}",
        "archive": archive,
    }
    default_args |= {"execution_timeout": timedelta(minutes=30)}
    with DAG(DAG_ID, schedule=None, params=params, default_args=default_args) as dag:
        SlotSensor(
            task_id=GATE, max_parallel=1, longest_suspension_minutes=LONGEST_SUSPENSION, deadline_minutes=240, retries=1
        )
    return dag


def started(
    dag: DAG, run_id: str = "r1", began: datetime | None = None, service: str = SERVICE, try_number: int = 1
) -> SlotTrigger:
    """The trigger as scheduler and triggerer make it of the stored DAG, without a worker."""
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    task: Any = DagSerialization.from_dict(stored).get_task(GATE)
    assert task.start_from_trigger
    assert task.execution_timeout is None
    row = Trigger(task.start_trigger_args.trigger_cls, task.start_trigger_args.trigger_kwargs)
    arguments = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    trigger = import_string(row.classpath)(**{name: smart_decode_trigger_kwargs(arguments[name]) for name in arguments})
    facts = {"dag_id": DAG_ID, "run_id": run_id, "try_number": try_number, "map_index": -1}
    ti = TaskInstanceDTO(
        id=uuid4(), dag_version_id=uuid4(), task_id=GATE, pool_slots=1, queue="default", priority_weight=1, **facts
    )
    run = dict.fromkeys(["logical_date", "data_interval_start", "data_interval_end", "end_date", "partition_key"])
    run |= {"dag_id": DAG_ID, "run_id": run_id, "run_type": "manual", "state": "running", "consumed_asset_events": []}
    run |= {"run_after": datetime.now(UTC), "start_date": began or datetime.now(UTC)}
    run |= {"conf": {"service": service, "conn_id": "biztalk_default"}}
    runtime: Any = TriggerRunner.create_runtime_ti(ti, stored, run)
    trigger.task_instance = runtime
    trigger.render_template_fields(context=runtime.get_template_context())
    return trigger


def suspended(archive: str, run_id: str, ago: timedelta = timedelta(), name: str = NAME) -> SuspensionRecord:
    """Open the record of a run."""
    now = datetime.now(UTC) - ago
    run = RecordedRun(DAG_ID, run_id, AIRFLOW_ID)
    record = SuspensionRecord(
        f"{CLOUD_SERVICE}/{name}", SUBSCRIPTION, run, "backup", opened_at=now, resume_by=now + timedelta(hours=1)
    )
    open_archive(archive).suspensions.open(record)
    return record


def may_pass(trigger: SlotTrigger) -> bool:
    wait, place = trigger.wait(shared=True)
    return wait.poll(place) is not None


def event_of(trigger: SlotTrigger) -> TriggerEvent:
    (event,) = events_of(trigger)
    return event


def test_a_free_slot_ends_it(dag):
    event = event_of(started(dag))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms == {"return_value": {"max_parallel": 1}}


def test_a_later_try_forgets_what_an_earlier_one_has_left(dag, archive, clock):
    assert event_of(started(dag, try_number=2)).xcoms == {"return_value": {"max_parallel": 1}, "failure": None}
    suspended(archive, "another")
    began = clock.time - timedelta(minutes=241)
    late = started(dag, "r2", began, service=f"{CLOUD_SERVICE}/other", try_number=2)
    assert event_of(late).xcoms["return_value"] is None


def test_the_next_one_waits_until_the_first_is_resumed(dag, archive):
    first, second = started(dag, "r1"), started(dag, "r2", service=f"{CLOUD_SERVICE}/other")
    assert may_pass(first)
    assert not may_pass(second)
    record = suspended(archive, "r1")
    assert not may_pass(second)
    open_archive(archive).suspensions.close(record, by="the test", reason="service is Active")
    assert may_pass(second)


def test_a_suspension_of_another_run_takes_a_slot_its_own_does_not(dag, archive):
    suspended(archive, "restore")
    assert not may_pass(started(dag))
    suspended(archive, "r1")
    assert may_pass(started(dag))


def test_a_record_that_nobody_closes_takes_no_slot_for_ever(dag, archive):
    suspended(archive, "died", timedelta(minutes=LONGEST_SUSPENSION - 1))
    assert not may_pass(started(dag))
    suspended(archive, "died", timedelta(minutes=LONGEST_SUSPENSION + 1))  # closes the other one of its run
    assert may_pass(started(dag))


def test_the_run_that_began_first_is_first(dag, archive):
    record = suspended(archive, "another")
    now = datetime.now(UTC)
    later, earlier = started(dag, "r1", now), started(dag, "r2", now - timedelta(seconds=1))
    assert not may_pass(later)
    assert not may_pass(earlier)
    open_archive(archive).suspensions.close(record, by="the test", reason="service is Active")
    assert not may_pass(later)
    assert may_pass(earlier)


def test_its_deadline_counts_from_the_begin_of_the_run(dag, archive, clock):
    suspended(archive, "another")
    event = event_of(started(dag, began=clock.time - timedelta(minutes=239)))
    assert isinstance(event, TaskFailedEvent)
    assert "Timed out waiting for a slot (1 concurrent backups)" in event.xcoms["failure"]
    assert sum(clock.slept) == pytest.approx(60, abs=2)
    assert max(clock.slept) <= 2


def test_a_retry_after_the_deadline_ends_at_once(dag, archive, clock):
    suspended(archive, "another")
    assert isinstance(event_of(started(dag, began=clock.time - timedelta(minutes=241))), TaskFailedEvent)
    assert sum(clock.slept) == 0


# --- with a worker ---------------------------------------------------------------------------------------------------


def slot(archive: str, **options: Any) -> SlotSensor:
    arguments = {"task_id": GATE, "service": SERVICE, "archive": archive, "max_parallel": 1, "deadline_minutes": 2}
    return SlotSensor(
        **arguments | {"longest_suspension_minutes": LONGEST_SUSPENSION, "start_from_trigger": False} | options
    )


def test_a_worker_hands_it_over_without_a_look(archive, run, clock):
    run.start_date = clock.time
    with pytest.raises(TaskDeferred) as caught:
        slot(archive).execute(run.context(GATE))
    trigger = moved(caught.value.trigger)
    assert trigger.serialize() == caught.value.trigger.serialize()
    assert trigger.bounds() == (clock.time, clock.time + timedelta(minutes=2))
    assert run.execute(slot(archive)) == {"max_parallel": 1}


def test_a_worker_polls_first_where_it_is_told_to(archive, run):
    assert slot(archive, polls_first=True).execute(run.context(GATE)) == {"max_parallel": 1}


def test_it_ends_at_its_deadline_there_too(archive, clock):
    suspended(archive, "another")
    with pytest.raises(EndedInTrigger, match=r"Timed out waiting for a slot \(1 concurrent backups\)"):
        Run(start_date=clock.time).execute(slot(archive))
