"""Alerts: always a line in the log, and a webhook where one is configured."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from airflow.sdk import BaseHook, BaseNotifier, Connection, Context
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact
from biztalk_services.provider.settings import Settings, ca_bundle
from biztalk_services.provider.webhooks import Alert, deliver

_LONGEST_REASON = 4000


class AlertNotifier(BaseNotifier):
    """Alerts people that something needs them.

    Writes an error to the log and, where ``[biztalk_services] alert_conn_id`` names a connection, posts it to its
    webhook (:mod:`biztalk_services.provider.webhooks`). In the callback of a failed step it has the sentence of that
    step's error. An alert that is not delivered is another error in the log, and breaks nothing.
    """

    template_fields = ("subject",)

    def __init__(self, *, subject: str, context: Context | None = None) -> None:
        super().__init__(context)
        self.subject = subject

    def notify(self, context: Context) -> None:
        self.alert(context)

    def alert(self, context: Context) -> bool:
        """Alert, and return whether that was delivered; without a webhook a line in the log is."""
        alert = self._logged(context)
        if conn_id := Settings.load().alert_conn_id:
            try:
                self._deliver(alert, BaseHook.get_connection(conn_id))
            except Exception as error:
                self._not_delivered(conn_id, error)
                return False
        return True

    async def async_notify(self, context: Context) -> None:
        alert = self._logged(context)
        if conn_id := Settings.load().alert_conn_id:
            try:
                connection = await BaseHook.aget_connection(conn_id)
                await asyncio.to_thread(self._deliver, alert, connection)
            except Exception as error:
                self._not_delivered(conn_id, error)

    @staticmethod
    def _deliver(alert: Alert, connection: Connection) -> None:
        deliver(alert, connection, ca_bundle())

    def _not_delivered(self, conn_id: str, error: Exception) -> None:
        """The words of other errors are not shown: they could hold the URL, which is a secret."""
        if isinstance(error, BackupServiceError):
            why = str(error)
        elif isinstance(error, AirflowNotFoundException):
            why = (
                f"There is no connection {conn_id}, or none that Airflow can read. Create or correct it, or correct "
                "option alert_conn_id of [biztalk_services]."
            )
        else:
            why = f"Connection {conn_id} cannot be read or used ({type(error).__name__}). Correct it."
        self.log.error("The alert was not delivered. %s", why)

    def _logged(self, context: Context) -> Alert:
        dag_id, run_id = _run_of(context)
        alert = Alert(self.subject, dag_id, run_id, _reason_of(context))
        self.log.error(alert.text)
        return alert


class OverdueNotifier(AlertNotifier):
    """Alerts that a run takes too long. A run that has ended meanwhile is ignored: Airflow fires the deadline of a
    failed run too, which was alerted when it failed."""

    async def async_notify(self, context: Context) -> None:
        run: Any = context["dag_run"]  # of a deadline: a dictionary
        if run["state"] not in ("failed", "success"):
            await super().async_notify(context)


class FirstFailureNotifier(AlertNotifier):
    """Alerts a failed task, unless the same task of the run before failed in the same hour, which was alerted.

    It reads Airflow only, and needs neither a run at a certain minute nor a run in which all other tasks succeeded.

    :param unless: errors that the task has alerted itself
    """

    def __init__(
        self, *, subject: str, unless: tuple[type[Exception], ...] = (), context: Context | None = None
    ) -> None:
        super().__init__(subject=subject, context=context)
        self.unless = unless

    def notify(self, context: Context) -> None:
        if not isinstance(context.get("exception"), self.unless) and not self._was_alerted(context):
            super().notify(context)

    @staticmethod
    def _was_alerted(context: Context) -> bool:
        now = context["dag_run"].logical_date
        if now is None:  # started by hand: no run is known to be before it
            return False
        before = context["ti"].get_previous_ti()
        return before is not None and before.state == "failed" and _hour(before.logical_date) == _hour(now)


def _hour(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(minute=0, second=0, microsecond=0)


def _run_of(context: Context) -> tuple[str | None, str | None]:
    run = context.get("dag_run")
    if isinstance(run, dict):
        return run.get("dag_id"), run.get("dag_run_id")
    if run is None:  # of a run that Airflow gave up
        return getattr(context.get("dag"), "dag_id", None), context.get("run_id")
    return run.dag_id, run.run_id


def _reason_of(context: Context) -> str:
    """The sentence of the step that failed; empty where none did, or where Airflow does not say."""
    error = context.get("exception")
    if error is None:
        return ""
    text = str(error) if isinstance(error, BackupServiceError | str) else f"{type(error).__name__}: {error}"
    return redact(text, limit=_LONGEST_REASON)
