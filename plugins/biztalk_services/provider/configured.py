"""What this Airflow is configured to work with, for the checks of it; by name, for the command line, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.flows.check_queries import Configured
from biztalk_services.model.options import CHECK
from biztalk_services.provider.connections import AirflowConnections, open_archive
from biztalk_services.provider.hook import DEFAULT_CONN_ID, driver_for
from biztalk_services.provider.settings import Settings


def configured() -> Configured:
    """The connections and options of this Airflow, each looked up when it is needed; in a task."""
    settings = Settings.load()
    return Configured(
        subscriptions={conn_id: partial(driver_for, conn_id) for conn_id in settings.conn_ids},
        includes=settings.includes,
        archive=partial(open_archive, settings.archive),
        alerts=partial(_alerts, settings.alert_conn_id),
        problems=settings.problems_of(CHECK),
    )


def configured_for_a_shell() -> Configured:
    """As :func:`configured`, in a process that Airflow does not run. It reads connections as Airflow's own command line
    does: secrets backends, variables ``AIRFLOW_CONN_...``, Airflow's database."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    return replace(configured(), notes=tuple(_unreadable_database()))


def _unreadable_database() -> Iterator[str]:
    """A sentence where Airflow's database cannot be read: the connections in it would just not be there."""
    from airflow.secrets.metastore import MetastoreBackend

    try:
        MetastoreBackend().get_connection(DEFAULT_CONN_ID)
    except Exception as error:
        yield (
            f"Airflow's database cannot be read ({type(error).__name__}): only those connections are seen that a "
            "secrets backend or a variable AIRFLOW_CONN_... has. Run it with the variables of Airflow's own processes."
        )


def _alerts(conn_id: str) -> str:
    from biztalk_services.provider.webhooks import url_of

    if not conn_id:
        return "Alerts are only logged: option alert_conn_id is empty."
    connection = AirflowConnections().get(conn_id)
    if connection is None:
        raise ConnectionNotFoundError(
            f"There is no connection {conn_id}, which option alert_conn_id names, so that no alert is delivered. "
            "Create it, or correct the option."
        )
    url_of(connection)
    return f"Alerts go to the webhook of connection {conn_id}; nothing was sent to it."
