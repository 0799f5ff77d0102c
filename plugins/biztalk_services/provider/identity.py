"""Which Airflow this is: what tells its runs from those of another one, which may have the same ids."""

from __future__ import annotations

import secrets
from functools import cache

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError

from biztalk_services.model.errors import BackupServiceError

VARIABLE = "biztalk_airflow_id"
"""The Airflow variable that holds the id. A copy of Airflow's database has it too: delete it in the copy."""


class AirflowIdError(BackupServiceError):
    """The id of this Airflow cannot be read now."""

    default_advice = "retry"


@cache
def airflow_id() -> str:
    """The id of this Airflow: 8 hex digits, made at random by the first step that needs it, or what a person put into
    the variable. It is read once a process.

    :raises AirflowIdError: Airflow does not tell it now.
    """
    stored = Variable.get(VARIABLE, default=None)
    if stored is None:
        _require_missing()
    if not stored:
        about = "Which Airflow this is, in the records of the backups. No other Airflow may have the same."
        Variable.set(VARIABLE, secrets.token_hex(4), description=about)
        stored = Variable.get(VARIABLE)  # of two steps that made one, the later counts for both
    return str(stored)


def _require_missing() -> None:
    """Airflow's ``get`` gives the default also when no answer came; the names of the variables tell the two apart."""
    try:
        is_missing = VARIABLE not in Variable.keys(prefix=VARIABLE)
    except AirflowRuntimeError as error:
        raise AirflowIdError(f"Variable {VARIABLE} cannot be read: {error}") from None
    if not is_missing:
        raise AirflowIdError(f"Variable {VARIABLE} exists and cannot be read now.")
