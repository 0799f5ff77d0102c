"""Suspension tickets, by Airflow's connections and runs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from biztalk_services.hooks.runs import run_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.archive.suspensions import SuspensionRecords
    from biztalk_services.model.records import SuspensionRecord
    from biztalk_services.model.run import Run

log = logging.getLogger(__name__)


def tickets_of(storage_conn_id: str, catalog_container: str) -> SuspensionRecords:
    """
    The tickets beside a catalog.

    :param storage_conn_id: connection to the storage account
    :param catalog_container: container of the catalog
    """
    from biztalk_services.archive.suspensions import SuspensionRecords

    return SuspensionRecords(storage_account(storage_conn_id).client, catalog_container)


def new_ticket(
    context: Context, service: str, *, subscription_id: str, reason: str, within: timedelta
) -> SuspensionRecord:
    """
    A ticket of the run that is under way, not written yet.

    :param within: how soon the service has to be back
    """
    from biztalk_services.model.records import SuspensionRecord

    now = datetime.now(UTC)
    return SuspensionRecord(
        service, subscription_id, run_of(context["ti"]), reason, opened_at=now, back_by=now + within
    )


def close_tickets(service: str, run: Run, *, how: str, storage_conn_id: str, catalog_container: str) -> None:
    """
    Close the tickets that a run has on a service. One that cannot be closed is left to the watchdog; the log says so.

    :param service: address of the service
    :param how: why, in words (``seen Active``)
    """
    try:
        tickets_of(storage_conn_id, catalog_container).close_all(service, by=str(run), how=how, run=run)
    except BackupServiceError as error:
        log.warning("%s", error)
