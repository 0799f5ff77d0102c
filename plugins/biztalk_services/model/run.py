"""A run of Airflow, as the records name it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Run:
    """A run of a DAG in one Airflow: in two Airflows a scheduled run has the same ids.

    :param airflow: id of that Airflow; empty in records of versions that did not store it.
    """

    dag_id: str
    run_id: str
    airflow: str = ""

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.dag_id}" + (f" in Airflow {self.airflow}" if self.airflow else "")

    def digest(self, subscription_id: str) -> str:
        """12 hex digits that stand, in the name of a blob, for what the run does in a subscription."""
        parts: tuple[str, ...] = (self.dag_id, self.run_id)
        if self.airflow:  # otherwise an earlier version wrote the record, and named it so
            parts += (self.airflow, subscription_id.lower())
        return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


class RunState(StrEnum):
    """What is known of a run."""

    ACTIVE = "active"
    """The run has not ended."""
    ENDED = "ended"
    """The run has ended; nothing in it will change a service any more."""
    UNKNOWN = "unknown"
    """This Airflow does not know the run: it is another Airflow's, or it was deleted."""
