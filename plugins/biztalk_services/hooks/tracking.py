"""Reads a service's tracking database through any SQL connection of Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.drivers.biztalk.tracking import DEFAULT_CONTROL_NUMBER_QUERY
from biztalk_services.model import control_number_use
from biztalk_services.model.control_number_use import UseReport, since_text
from biztalk_services.model.drain import DrainStatus, from_rows
from biztalk_services.model.errors import Advice, BackupServiceError
from biztalk_services.model.redaction import redact
from biztalk_services.settings import Settings


class DrainUnknownError(BackupServiceError):
    """Nobody can say whether batches hold messages; ``report`` says why. Advice ``stop``: nor will anybody later."""

    default_advice = "retry"

    def __init__(self, report: DrainStatus, *, advice: Advice | None = None) -> None:
        super().__init__(report.sentence(), advice=advice)
        self.report = report


def read_batches(conn_id: str, query: str, service: str) -> DrainStatus:
    """
    Which batches of a service hold messages now: *empty* or *active*.

    :param conn_id: SQL connection to the tracking database
    :param query: the drain query: columns agreement, batch, messages, oldest; may use a parameter named ``service``
    :param service: name of the service
    :raises DrainUnknownError: the connection does not exist, the database does not answer, the query or its answer is
        wrong
    """
    source = f"tracking database of connection {conn_id}"

    def unknown(reason: str) -> DrainStatus:
        return DrainStatus(answer="unknown", source=source, reason=reason, checked_at=datetime.now(UTC))

    try:
        columns, rows = _asked(conn_id, query, {"service": service})
    except AirflowNotFoundException:
        raise DrainUnknownError(unknown(f"There is no connection {conn_id}."), advice="stop") from None
    except Exception as error:
        reason = f"The {source} cannot be asked: {type(error).__name__}: {redact(str(error), limit=200)}."
        raise DrainUnknownError(unknown(reason)) from None
    report = from_rows(columns, rows, source=source, checked_at=datetime.now(UTC))
    if report.answer == "unknown":
        raise DrainUnknownError(report)
    return report


def read_control_numbers(conn_id: str, query: str, service: str, since: datetime) -> UseReport:
    """
    Which control numbers a service has given out since a moment; a report with ``trouble`` when nobody can say.

    :param conn_id: SQL connection to the tracking database
    :param query: the control number query: columns agreement, kind, highest, latest, used, last_used; uses a parameter
        named ``since``, and may use one named ``service``
    :param service: name of the service
    :param since: aware
    """
    source, checked_at = f"tracking database of connection {conn_id}", datetime.now(UTC)
    try:
        columns, rows = _asked(conn_id, query, {"service": service, "since": since_text(since)})
    except AirflowNotFoundException:
        trouble = f"There is no connection {conn_id}."
    except Exception as error:
        trouble = f"The {source} cannot be asked: {type(error).__name__}: {redact(str(error), limit=200)}."
    else:
        return control_number_use.from_rows(columns, rows, source=source, since=since, checked_at=checked_at)
    return UseReport(source=source, trouble=trouble, since=since, checked_at=checked_at)


def used_since(service: str, since: datetime, settings: Settings) -> UseReport:
    """Which control numbers a service has given out since a moment.

    :param service: its name.
    :param since: aware.
    :param settings: how its tracking database is found.
    """
    query = settings.control_number_query or DEFAULT_CONTROL_NUMBER_QUERY
    return read_control_numbers(settings.tracking_conn_id_of(service), query, service, since)


def _asked(conn_id: str, query: str, offered: dict[str, str]) -> tuple[list[str], list[Any]]:
    """Columns and rows that a query answers; of the offered parameters it gets those that it names."""
    named = {name: value for name, value in offered.items() if f":{name}" in query or f"%({name})s" in query}
    description, rows = (
        BaseHook.get_connection(conn_id)
        .get_hook()
        .run(query, parameters=named or None, handler=lambda cursor: (cursor.description, cursor.fetchall()))
    )
    return [column[0] for column in description], rows
