"""Wait for one's turn among the services of a run."""

from __future__ import annotations

from typing import Any

from biztalk_services.flows.slots import may_start
from biztalk_services.triggers.wait import Reached, WaitTrigger


class TurnTrigger(WaitTrigger):
    """
    Waits until few enough services of the run are being backed up.

    :param dag_id: the DAG
    :param run_id: the run
    :param map_index: which of the mapped services waits
    :param gate: id of the task that waits for its turn
    :param excused: id of the task during which a service takes up no turn (it waits for its batches)
    :param last: id of the task with which a service gives up its turn
    :param at_once: how many services may be at it at the same time
    """

    fields = ("dag_id", "run_id", "map_index", "gate", "excused", "last", "at_once")

    def __init__(
        self, *, dag_id: str, run_id: str, map_index: int, gate: str, excused: str, last: str, at_once: int, **wait: Any
    ) -> None:
        super().__init__(**wait)
        self.dag_id = dag_id
        self.run_id = run_id
        self.map_index = map_index
        self.gate = gate
        self.excused = excused
        self.last = last
        self.at_once = at_once

    def waiting_for(self) -> str:
        return f"a turn ({self.at_once} services at once)"

    def look(self) -> Reached | None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = RuntimeTaskInstance.get_task_states(
            dag_id=self.dag_id, task_ids=[self.gate, self.excused, self.last], run_ids=[self.run_id]
        ).get(self.run_id, {})
        return (
            Reached({"at_once": self.at_once})
            if may_start(
                self.map_index, states, gate=self.gate, excused=self.excused, last=self.last, at_once=self.at_once
            )
            else None
        )
