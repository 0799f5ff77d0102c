"""Which Airflow this is: what tells its runs from those of another one, which may have the same ids."""

from __future__ import annotations

import secrets
from functools import cache

from airflow.sdk import Variable

VARIABLE = "biztalk_airflow_id"
"""The Airflow variable that holds the id. A copy of Airflow's database has it too: delete it in the copy."""


@cache
def airflow_id() -> str:
    """The id of this Airflow: 8 hex digits, made at random by the first step that needs it, or what a person put into
    the variable. It is read once a process."""
    stored = Variable.get(VARIABLE, default=None)
    if not stored:
        about = "Which Airflow this is, in the records of the backups. No other Airflow may have the same."
        Variable.set(VARIABLE, secrets.token_hex(4), description=about)
        stored = Variable.get(VARIABLE)  # of two steps that made one, the later counts for both
    return str(stored)
