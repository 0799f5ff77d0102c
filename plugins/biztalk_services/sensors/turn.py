"""Sensor that lets a few services go at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_services.sensors.wait import WaitSensor
from biztalk_services.triggers.turn import TurnTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkTurnSensor(WaitSensor):
    """
    Waits, inside a mapped task group, until few enough of the mapped services are being backed up.

    :param excused: id of the task during which a service takes up no turn, because it waits for its batches
    :param last: id of the task with which a service gives up its turn
    :param at_once: how many services may be at it
    """

    def __init__(self, *, excused: str, last: str, at_once: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.excused = excused
        self.last = last
        self.at_once = at_once

    def build_trigger(self, context: Context, **wait: Any) -> TurnTrigger:
        ti = context["ti"]
        return TurnTrigger(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            map_index=ti.map_index,
            gate=ti.task_id,
            excused=self.excused,
            last=self.last,
            at_once=self.at_once,
            **wait,
        )
