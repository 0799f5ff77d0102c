"""The alert for a run that ended without its report."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.base import FAILURE

_BY_ITSELF = ("success", "failed")


class UnreportedNotifier(AlertNotifier):
    """Alerts a run that ended without its report: a person marked the run or the report, or Airflow gave the run up. A
    report that ended by itself has sent the alert that was due. The callback of a DAG, for both ends of its runs.

    :param report: id of the task that reports
    """

    def __init__(self, *, subject: str, report: str = "report", context: Context | None = None) -> None:
        super().__init__(subject=subject, context=context)
        self.report = report

    def notify(self, context: Context) -> None:
        if not self._has_reported(context["dag"].dag_id, str(context["run_id"])):
            super().notify(context)

    def _has_reported(self, dag_id: str, run_id: str) -> bool:
        """Whether the report has ended by itself: then it has left its result or why it failed, which a mark does
        not."""
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[self.report], run_ids=[run_id])
        if states.get(run_id, {}).get(self.report) not in _BY_ITSELF:
            return False
        left = (
            XCom.get_one(key=key, dag_id=dag_id, task_id=self.report, run_id=run_id)
            for key in ("return_value", FAILURE)
        )
        return any(each is not None for each in left)
