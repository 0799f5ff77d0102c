"""Only for tests: finds services, and checks that a backup is allowed, by the connections that a run names."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Param, task
from biztalk_services.provider.operators.backup import CheckBackupOperator, RecheckBatchesOperator
from biztalk_services.provider.operators.find import FindServicesOperator

PARAMS = {
    "management": Param([], type="array", items={"type": "string"}, description="Connections to subscriptions."),
    "storage": Param([], type="array", items={"type": "string"}, description="Connections to storage accounts."),
    "queries": Param([], type="array", items={"type": "string"}, description="Drain queries."),
    "service": Param("", type="string", description="Address of a service."),
}


class RecheckByQueryOperator(RecheckBatchesOperator):
    """Checks the batches with a drain query of its own, which is the option of its process alone."""

    template_fields = (*RecheckBatchesOperator.template_fields, "query")

    def __init__(self, *, query: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.query = query

    def run_step(self, context: Any) -> dict[str, Any]:
        os.environ["AIRFLOW__BIZTALK_SERVICES__DRAIN_QUERY"] = self.query
        return super().run_step(context)


with DAG("other_connections", schedule=None, params=PARAMS, render_template_as_native_obj=True, max_active_tasks=64):

    @task
    def named(which: str, params: dict) -> list[str]:
        return params[which]

    @task
    def archives(params: dict) -> list[str]:
        return [f"{conn_id}/biztalk-backup-catalog" for conn_id in params["storage"]]

    FindServicesOperator.partial(task_id="find", services=[], retries=0).expand(
        conn_id=named.override(task_id="management")("management")
    )
    CheckBackupOperator.partial(
        task_id="check", service="{{ params.service }}", backup_name="never-taken", retries=0
    ).expand(archive=archives())
    RecheckByQueryOperator.partial(task_id="recheck", service="{{ params.service }}", retries=2).expand(
        query=named.override(task_id="queries")("queries")
    )
