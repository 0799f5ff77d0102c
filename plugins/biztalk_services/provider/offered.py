"""The newest backups, for the form of a restore: kept in a variable of Airflow, so that no form reads the catalog."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.sdk import Variable, get_parsing_context

from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

VARIABLE = "biztalk_newest_backups"

log = logging.getLogger(__name__)


def offer(archive: Callable[[], Archive]) -> None:
    """Note which backups are the newest; nothing where that cannot be found out."""
    from biztalk_services.flows.offered import newest_backups

    try:
        newest = newest_backups(archive())
    except BackupServiceError as error:
        log.warning("The form of a restore does not offer the newest backups. %s", error)
        return
    if newest == _noted():
        return
    about = "What the form of a restore offers. Written by nights and age checks."
    try:
        Variable.set(VARIABLE, json.dumps(newest), description=about)
    except Exception as error:  # whatever Airflow answers, it is no reason to stop a report or a check
        log.warning("The form of a restore does not offer the newest backups (%s).", type(error).__name__)


def offered() -> list[str]:
    """What the form offers: the newest backup of each service, as they were noted last; none for a task, which shows no
    form, and where Airflow cannot be asked."""
    return [] if get_parsing_context().task_id else _noted()


def _noted() -> list[str]:
    try:
        noted = json.loads(Variable.get(VARIABLE, default="[]"))
    except Exception as error:  # a DAG file is read also where there is no database
        log.info("The newest backups are not known here (%s).", type(error).__name__)
        return []
    return [each for each in noted if isinstance(each, str)] if isinstance(noted, list) else []
