"""What an Airflow is configured to work with, for the commands that look at it: by name, because it needs Airflow."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from biztalk_services.flows.check_queries import Configured
from biztalk_services.model.errors import BackupServiceError

CONFIGURED = "biztalk_services.provider.configured"
"""The module with :func:`configured_for_a_shell`."""


class AirflowMissingError(BackupServiceError):
    """The command reads the connections and options of Airflow, and there is none."""


def configured() -> Configured:
    """The connections and options of the Airflow that is installed here.

    :raises AirflowMissingError: none is.
    """
    try:
        module = import_module(CONFIGURED)
    except ImportError as error:
        raise AirflowMissingError(
            f"This command reads Airflow's connections and options, and Airflow cannot be imported here ({error.name} "
            "is missing). Run it where Airflow's tasks run: in a worker's container or virtual environment, with its "
            "variables; or start the DAG biztalk_check_connections."
        ) from None
    return cast("Configured", module.configured_for_a_shell())
