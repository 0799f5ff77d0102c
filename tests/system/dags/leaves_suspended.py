"""Only for tests: runs that suspend a service, and end without bringing it back, as those whose teardown never ran."""

from __future__ import annotations

import time

from airflow.sdk import DAG, Param, task
from biztalk_services.operators.suspend import BizTalkSuspendOperator

PARAMS = {"service": Param(type="string")}

with DAG("leaves_suspended", schedule=None, params=PARAMS):
    BizTalkSuspendOperator(task_id="suspend", service="{{ params.service }}", back_within_minutes=3)

with DAG("works_for_an_hour", schedule=None, params=PARAMS):

    @task
    def work() -> None:
        time.sleep(3600)

    BizTalkSuspendOperator(task_id="suspend", service="{{ params.service }}", back_within_minutes=3) >> work()
