"""Keeps two runs from working on one service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from biztalk_services.hooks.runs import has_ended
from biztalk_services.hooks.storage import storage_account

if TYPE_CHECKING:
    from airflow.sdk import Context


def claim(
    context: Context, service: str, *, purpose: str, hold: timedelta, storage_conn_id: str, catalog_container: str
) -> None:
    """
    Take a service for this run; the same run may take it again.

    :param service: name of the service
    :param purpose: ``backup`` or ``restore``
    :param hold: how long the claim lasts, should nobody give it up
    :raises ServiceClaimed: another run that has not ended works on it
    """
    from biztalk_services.catalog.claims import Claim, Claims
    from biztalk_services.catalog.reference import Run

    ti = context["ti"]
    claims = Claims(storage_account(storage_conn_id).client, catalog_container)
    until = datetime.now(UTC) + hold
    claims.take(Claim(service, Run(ti.dag_id, ti.run_id), purpose, until), has_ended=lambda run: has_ended(ti, run))


def give_up(context: Context, service: str, *, storage_conn_id: str, catalog_container: str) -> None:
    """End the claim of this run on a service."""
    from biztalk_services.catalog.claims import Claims
    from biztalk_services.catalog.reference import Run

    ti: Any = context["ti"]
    claims = Claims(storage_account(storage_conn_id).client, catalog_container)
    claims.give_up(service, Run(ti.dag_id, ti.run_id))
