"""Looks at the batches again once the service stands still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from biztalk_services.drivers.biztalk.tracking import DEFAULT_DRAIN_QUERY
from biztalk_services.hooks.tracking import DrainUnknownError, read_batches
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.step import BizTalkStep

if TYPE_CHECKING:
    from airflow.sdk import Context

RECORD, FAIL = "record", "fail"
"""What to do when a message slipped into a batch before the service stood still."""


class BatchesRefilledError(BackupServiceError):
    """Between the last look and the suspension messages went into a batch, and the run does not accept that."""


class BizTalkLookAgainOperator(BizTalkStep):
    """
    Looks whether messages slipped into a batch while the service was being suspended.

    XCom: the batch report; *unknown* when there is no answer within the ``execution_timeout``, so that a database that
    hangs does not keep the service suspended. **Idempotency:** only reads.

    :param tracking_conn_id: SQL connection to the service's tracking database
    :param query: drain query; empty: the one for the emulator's tracking schema
    :param when_slipped_in: ``record`` the possible loss in the backup reference, or ``fail``
    """

    template_fields = (*BizTalkStep.template_fields, "tracking_conn_id", "query", "when_slipped_in")

    def __init__(self, *, tracking_conn_id: str, query: str = "", when_slipped_in: str = RECORD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tracking_conn_id = tracking_conn_id
        self.query = query
        self.when_slipped_in = when_slipped_in

    def run_step(self, context: Context) -> dict[str, Any]:
        try:
            report = read_batches(
                self.tracking_conn_id, self.query or DEFAULT_DRAIN_QUERY, ServiceRef.parse(self.service).name
            )
        except DrainUnknownError as unknown:
            report = unknown.report
        except AirflowTaskTimeout:
            report = DrainStatus(
                answer="unknown",
                source=f"tracking database of connection {self.tracking_conn_id}",
                reason=f"It did not answer within {self.execution_timeout}",
                checked_at=datetime.now(UTC),
            )
        self.log.info(report.sentence())
        if report.answer == "active" and self.when_slipped_in == FAIL:
            raise BatchesRefilledError(
                f"While {self.service} was being suspended, messages slipped into a batch, which this run does not "
                f"accept: {report.sentence()} The backup does not count; run it again."
            )
        return report.to_dict()
