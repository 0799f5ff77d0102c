"""Only for tests: runs that suspend a service, and end without resuming it, or before that."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.sdk import DAG, Param, task
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator

PARAMS = {"service": Param(type="string")}
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=2)}

with DAG("leaves_suspended", schedule=None, params=PARAMS, default_args=RETRIES):
    SuspendServiceOperator(task_id="suspend", service="{{ params.service }}", resume_within_minutes=3)

with DAG("is_paused", schedule=None, params=PARAMS, default_args=RETRIES):

    @task
    def pause() -> None:
        time.sleep(20)

    suspend = SuspendServiceOperator(task_id="suspend", service="{{ params.service }}", resume_within_minutes=1)
    resume = ResumeServiceOperator(
        task_id="resume", service="{{ params.service }}", suspension=suspend.output, deadline_minutes=5
    )
    suspend >> pause() >> resume

with DAG("works_for_an_hour", schedule=None, params=PARAMS, default_args=RETRIES):

    @task
    def work() -> None:
        time.sleep(3600)

    SuspendServiceOperator(task_id="suspend", service="{{ params.service }}", resume_within_minutes=3) >> work()
