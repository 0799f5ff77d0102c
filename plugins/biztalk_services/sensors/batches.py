"""Sensor that waits until batches are drained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.tracking import DEFAULT_DRAIN_QUERY
from biztalk_services.model.service import ServiceRef
from biztalk_services.sensors.wait import WaitSensor
from biztalk_services.triggers.batches import REFUSE, BatchDrainTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkBatchDrainSensor(WaitSensor):
    """
    Waits until no batch of a service holds messages: a backup never contains them.

    XCom: the batch report (``answer``: *empty*, or *unknown* where the run accepts that). Fails, before anything is
    suspended, when batches still hold messages at the deadline, naming them, and when nobody can say.

    :param tracking_conn_id: SQL connection to the service's tracking database
    :param query: drain query; empty: the one for the emulator's tracking schema
    :param when_unknown: ``refuse`` or ``proceed``, when the database has no answer
    :param batches_are_empty: a person says so for this run; counts where the database has no answer
    """

    template_fields = (*WaitSensor.template_fields, "tracking_conn_id", "query", "when_unknown", "batches_are_empty")

    def __init__(
        self,
        *,
        tracking_conn_id: str,
        query: str = "",
        when_unknown: str = REFUSE,
        batches_are_empty: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tracking_conn_id = tracking_conn_id
        self.query = query
        self.when_unknown = when_unknown
        self.batches_are_empty = batches_are_empty

    def build_trigger(self, context: Context, **wait: Any) -> BatchDrainTrigger:
        said = str(self.batches_are_empty).lower() == "true"
        return BatchDrainTrigger(
            service=ServiceRef.parse(self.service).name,
            tracking_conn_id=self.tracking_conn_id,
            query=self.query or DEFAULT_DRAIN_QUERY,
            when_unknown=self.when_unknown,
            word=(context["dag_run"].triggering_user_name or "somebody") if said else None,
            **wait,
        )
