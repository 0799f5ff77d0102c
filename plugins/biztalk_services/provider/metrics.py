"""Metrics, where Airflow is configured to send any (section ``[metrics]``).

- ``biztalk.backup_age_seconds``: how old the newest verified backup of a service is; tags ``service``, ``scope``,
  ``subscription``. The oldest is sent last, so that it is what remains where tags are not sent.
- ``biztalk.backups_overdue``: how many services have no backup that is recent enough.
- ``biztalk.backup_age_problems``: how much could not be read, so that it is not known.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from biztalk_services.flows.backup_ages import Findings

log = logging.getLogger(__name__)


def gauge_backup_ages(found: Findings) -> None:
    """Send what a check of the backup ages has found. A metric that cannot be sent is logged, and fails nothing."""
    try:
        for age in sorted(found.ages, key=lambda age: age.age_seconds):
            scope, _, name = age.service.partition("/")
            tags = {"service": name, "scope": scope, "subscription": age.subscription_id}
            stats.gauge("biztalk.backup_age_seconds", age.age_seconds, tags=tags)
        stats.gauge("biztalk.backups_overdue", len(found.overdue))
        stats.gauge("biztalk.backup_age_problems", sum(map(len, found.problems.values())))
    except Exception as error:
        log.warning("The metrics of the backup ages cannot be sent: %s.", type(error).__name__)
