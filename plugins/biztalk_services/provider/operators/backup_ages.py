"""The operator of the watchdog over missing backups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import BaseOperator, Context

from biztalk_services.flows.backup_ages import AgeCheck, BackupsOverdueError, alert_when_due, keep_index
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.base import failure_pushed, run_of
from biztalk_services.provider.connections import DEFAULT_ARCHIVE, open_archive
from biztalk_services.provider.hook import DEFAULT_CONN_ID, driver_for
from biztalk_services.provider.metrics import gauge_backup_ages
from biztalk_services.provider.offered import offer
from biztalk_services.provider.settings import Settings


class CheckBackupAgesOperator(BaseOperator):
    """Checks that every service of every subscription has a verified backup that is recent enough.

    XCom: a list of :class:`biztalk_services.model.steps.BackupAge`, pushed before the task is failed.

    Fails, after all services were checked, when one is overdue, or when it is not known whether it is; that is alerted
    at first, once a day, and when it is over. Metrics: :mod:`biztalk_services.provider.metrics`.

    **Idempotency:** only reads the services and the backups. What it writes is written once.

    :param conn_ids: a connection to each subscription
    :param archive: as of every operator
    :param expected_hours: how old a backup may be, as the option ``expected_backup_hours``
    :param problems: sentences about options that are bad, so that their defaults are used
    """

    template_fields: Sequence[str] = ("conn_ids", "archive")

    def __init__(
        self,
        *,
        conn_ids: Sequence[str] = (DEFAULT_CONN_ID,),
        archive: str = DEFAULT_ARCHIVE,
        expected_hours: str = "30",
        problems: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_ids = list(conn_ids)
        self.archive = archive
        self.expected_hours = expected_hours
        self.problems = list(problems)

    def execute(self, context: Context) -> None:
        with failure_pushed(context):
            self._check(context)

    def _check(self, context: Context) -> None:
        ti, now, archive = context["ti"], datetime.now(UTC), open_archive(self.archive)
        found = AgeCheck(
            {conn_id: partial(driver_for, conn_id) for conn_id in self.conn_ids},
            archive,
            ExpectedBackups.parse(self.expected_hours),
            Settings.load().includes,
            now,
        ).findings()
        for number, sentence in enumerate(self.problems):
            found.add_problem(f"option {number}", sentence)
        ti.xcom_push(key="return_value", value=[age.to_xcom() for age in found.ages])
        gauge_backup_ages(found)
        alert_when_due(
            found,
            archive.backup_ages,
            airflow=run_of(ti).airflow,
            now=now,
            send=lambda sentence: AlertNotifier(subject=sentence).alert(context),
        )
        for sentence in found.sentences:
            self.log.error("%s", sentence)
        keep_index(archive.catalog)
        offer(lambda: archive)
        if found.names:
            raise BackupsOverdueError(found.summary())
        self.log.info("The newest verified backup of each of %d services is recent enough.", len(found.ages))
