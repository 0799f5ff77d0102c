"""Moments from which deadlines count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference


class RunCreated(BaseDeadlineReference):
    """The moment at which a run is created.

    Airflow's own ``DAGRUN_QUEUED_AT`` keeps people from clearing or marking any step of the run (apache/airflow#70368,
    3.3.0 and later), and ``DAGRUN_LOGICAL_DATE`` keeps runs without a logical date from being created.
    """

    def _evaluate_with(self, **kwargs: Any) -> datetime:
        return datetime.now(UTC)
