"""Only for tests: a run that suspends a service and ends without bringing it back, as one whose teardown never ran."""

from __future__ import annotations

from airflow.sdk import DAG, Param
from biztalk_services.operators.suspend import BizTalkSuspendOperator

with DAG("leaves_suspended", schedule=None, params={"service": Param(type="string")}):
    BizTalkSuspendOperator(task_id="suspend", service="{{ params.service }}")
