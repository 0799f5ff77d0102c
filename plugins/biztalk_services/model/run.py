"""A run of Airflow, as the records name it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Run:
    """A run of a DAG."""

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.dag_id}"

    @property
    def digest(self) -> str:
        """12 hex digits that stand for the run in the name of a blob."""
        return hashlib.sha256(f"{self.dag_id}/{self.run_id}".encode()).hexdigest()[:12]


class RunState(StrEnum):
    """What is known of a run."""

    ACTIVE = "active"
    """The run has not ended."""
    ENDED = "ended"
    """The run has ended; nothing in it will change a service any more."""
    UNKNOWN = "unknown"
    """This Airflow does not know the run: it was deleted, or it is another Airflow's."""
