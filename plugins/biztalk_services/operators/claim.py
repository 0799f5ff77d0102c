"""Keeps two runs from working on one service."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from biztalk_services.hooks.runs import has_ended, run_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def claim(
    context: Context, service: str, *, purpose: str, hold: timedelta, storage_conn_id: str, catalog_container: str
) -> None:
    """
    Take a service for this run; the same run may take it again.

    :param service: name of the service
    :param purpose: ``backup`` or ``restore``
    :param hold: how long the claim lasts, should nobody give it up
    :raises ServiceLockedError: another run that has not ended works on it
    """
    from biztalk_services.archive.locks import Locks
    from biztalk_services.model.records import Lock

    ti = context["ti"]
    claims = Locks(storage_account(storage_conn_id).client, catalog_container)
    until = datetime.now(UTC) + hold
    claims.take(Lock(service, run_of(ti), purpose, until), has_ended=lambda run: has_ended(ti, run))


def give_up(context: Context, services: Collection[str], *, storage_conn_id: str, catalog_container: str) -> None:
    """
    End the claims of this run. One that cannot be given up ends by itself, because its run has ended; the log says so.

    :param services: names of the services
    """
    from biztalk_services.archive.locks import Locks

    if not services:
        return
    try:
        claims = Locks(storage_account(storage_conn_id).client, catalog_container)
        for service in services:
            claims.give_up(service, run_of(context["ti"]))
    except BackupServiceError as error:
        log.warning("%s", error)
