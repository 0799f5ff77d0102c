"""The wait for a slot: what it requests from Airflow, and when it ends."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from biztalk_services.provider.sensors import SlotSensor

from tests.provider.connections import SERVICE
from tests.provider.fakes import DAG_ID, EndedInTrigger, events_of, moved

pytestmark = pytest.mark.usefixtures("fast_clock")

GATE, EXEMPT, RELEASE = "service.gate", "service.drain", "service.resume"


@pytest.fixture
def slot() -> SlotSensor:
    return SlotSensor(
        task_id=GATE,
        service=SERVICE,
        exempt_task_id=EXEMPT,
        release_task_id=RELEASE,
        max_parallel=1,
        deadline_minutes=2,
    )


@pytest.fixture(autouse=True)
def airflow(run, monkeypatch) -> None:
    """Airflow's response to a request for task states, which a trigger sends without a task instance."""

    def get_task_states(dag_id, task_ids, run_ids):
        assert (dag_id, run_ids, task_ids) == (DAG_ID, [run.run_id], [GATE, EXEMPT, RELEASE])
        return {run.run_id: dict(run.states)} if run.states else {}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))


def test_the_first_one_goes_on_the_worker(slot, run):
    assert run.execute(slot, map_index=0) == {"max_parallel": 1}


def test_no_task_has_a_state_yet(slot, run):
    assert slot.execute(run.context(GATE, map_index=0)) == {"max_parallel": 1}


def test_the_next_one_waits_until_the_first_is_resumed(slot, run):
    run.execute(slot, map_index=0)
    with pytest.raises(TaskDeferred) as caught:
        slot.execute(run.context(GATE, map_index=1))
    trigger = moved(caught.value.trigger)
    assert trigger.serialize() == caught.value.trigger.serialize()

    def poll():
        wait, place = trigger.wait()
        return wait.poll(place)

    assert poll() is None
    run.states[f"{EXEMPT}_0"] = "deferred"
    assert poll()
    run.states[f"{EXEMPT}_0"] = "success"
    assert poll() is None
    run.states[f"{RELEASE}_0"] = "success"
    (event,) = events_of(trigger)
    assert event.xcoms == {"return_value": {"max_parallel": 1}}


def test_a_wait_for_a_slot_ends_at_its_deadline(slot, run):
    run.execute(slot, map_index=0)
    with pytest.raises(EndedInTrigger, match=r"Timed out waiting for a slot \(1 concurrent backups\)"):
        run.execute(slot, map_index=1)
