"""Only for tests: finds services, and checks that a backup is allowed, by the connections that a run names."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task
from biztalk_services.provider.operators.backup import CheckBackupOperator, RecheckBatchesOperator
from biztalk_services.provider.operators.find import FindServicesOperator

PARAMS = {
    "management": Param([], type="array", items={"type": "string"}, description="Connections to subscriptions."),
    "storage": Param([], type="array", items={"type": "string"}, description="Connections to storage accounts."),
    "queries": Param([], type="array", items={"type": "string"}, description="Drain queries."),
    "service": Param("", type="string", description="Address of a service."),
}

with DAG("other_connections", schedule=None, params=PARAMS, render_template_as_native_obj=True, max_active_tasks=64):

    @task
    def named(which: str, params: dict) -> list[str]:
        return params[which]

    FindServicesOperator.partial(task_id="find", services=[], retries=0).expand(
        conn_id=named.override(task_id="management")("management")
    )
    CheckBackupOperator.partial(
        task_id="check", service="{{ params.service }}", backup_name="never-taken", retries=0
    ).expand(storage_conn_id=named.override(task_id="storage")("storage"))
    RecheckBatchesOperator.partial(
        task_id="look",
        service="{{ params.service }}",
        tracking_conn_id="biztalk_tracking_{{ params.service.rpartition('/')[2].lower() }}",
        retries=0,
    ).expand(query=named.override(task_id="queries")("queries"))
