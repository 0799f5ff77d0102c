"""The wait for one's turn: what it asks Airflow, and when it lets go."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from biztalk_services.provider.sensors import SlotSensor

from tests.provider.connections import SERVICE
from tests.provider.fakes import DAG_ID, EndedInTrigger, events_of, moved

pytestmark = pytest.mark.usefixtures("hurried")

GATE, EXCUSED, LAST = "service.gate", "service.drain", "service.back"


@pytest.fixture
def turn() -> SlotSensor:
    return SlotSensor(task_id=GATE, service=SERVICE, excused=EXCUSED, last=LAST, at_once=1, deadline_minutes=2)


@pytest.fixture(autouse=True)
def airflow(run, monkeypatch) -> None:
    """Airflow's answer to the question for task states, which a trigger asks without a task instance."""

    def get_task_states(dag_id, task_ids, run_ids):
        assert (dag_id, run_ids, task_ids) == (DAG_ID, [run.run_id], [GATE, EXCUSED, LAST])
        return {run.run_id: dict(run.states)} if run.states else {}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))


def test_the_first_one_goes_on_the_worker(turn, run):
    assert run.execute(turn, map_index=0) == {"at_once": 1}


def test_the_next_one_waits_until_the_first_is_back(turn, run):
    run.execute(turn, map_index=0)
    with pytest.raises(TaskDeferred) as caught:
        turn.execute(run.context(GATE, map_index=1))
    trigger = moved(caught.value.trigger)
    assert trigger.serialize() == caught.value.trigger.serialize()
    assert trigger.look() is None
    run.states[f"{EXCUSED}_0"] = "deferred"
    assert trigger.look()
    run.states[f"{EXCUSED}_0"] = "success"
    assert trigger.look() is None
    run.states[f"{LAST}_0"] = "success"
    (event,) = events_of(trigger)
    assert event.xcoms == {"return_value": {"at_once": 1}}


def test_nobody_waits_for_ever(turn, run):
    run.execute(turn, map_index=0)
    with pytest.raises(EndedInTrigger, match=r"Waited for a turn \(1 services at once\).*in vain"):
        run.execute(turn, map_index=1)
