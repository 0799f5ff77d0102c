"""Reads a service's tracking database through any SQL connection of Airflow."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.rest.errors import Advice, BizTalkServicesError
from biztalk_services.rest.redaction import redact
from biztalk_services.rules.batches import BatchReport, from_rows


class BatchesUnknown(BizTalkServicesError):
    """Nobody can say whether batches hold messages; ``report`` says why. Advice ``stop``: nor will anybody later."""

    default_advice = "retry"

    def __init__(self, report: BatchReport, *, advice: Advice | None = None) -> None:
        super().__init__(report.sentence(), advice=advice)
        self.report = report


def read_batches(conn_id: str, query: str, service: str) -> BatchReport:
    """
    Which batches of a service hold messages now: *empty* or *active*.

    :param conn_id: SQL connection to the tracking database
    :param query: the drain query: columns agreement, batch, messages, oldest; may use a parameter named ``service``
    :param service: name of the service
    :raises BatchesUnknown: the connection does not exist, the database does not answer, the query or its answer is
        wrong
    """
    source = f"tracking database of connection {conn_id}"

    def unknown(reason: str) -> BatchReport:
        return BatchReport(answer="unknown", source=source, reason=reason, checked_at=datetime.now(UTC))

    parameters = {"service": service} if ":service" in query or "%(service)s" in query else None
    try:
        columns, rows = (
            BaseHook.get_connection(conn_id)
            .get_hook()
            .run(query, parameters=parameters, handler=lambda cursor: (cursor.description, cursor.fetchall()))
        )
    except AirflowNotFoundException:
        raise BatchesUnknown(unknown(f"There is no connection {conn_id}."), advice="stop") from None
    except Exception as error:
        reason = f"The {source} cannot be asked: {type(error).__name__}: {redact(str(error), limit=200)}."
        raise BatchesUnknown(unknown(reason)) from None
    report = from_rows([column[0] for column in columns], rows, source=source, checked_at=datetime.now(UTC))
    if report.answer == "unknown":
        raise BatchesUnknown(report)
    return report
