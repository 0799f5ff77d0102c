"""Alerts: always a line in the log, and a webhook where one is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from airflow.sdk import BaseHook, BaseNotifier, Connection, Context

from biztalk_services.provider.settings import Settings

_TIMEOUT_SECONDS = 10
_SCHEMES = ("http", "https")


class AlertNotifier(BaseNotifier):
    """Alerts people that something needs them.

    Writes an error to the log and, where ``[biztalk_services] alert_conn_id`` names a connection, posts JSON to its
    URL: ``text`` (what most chat webhooks show), ``subject``, ``dag_id``, ``run_id``. A webhook that cannot be reached
    is logged.

    The connection is of the type HTTP, or made of the webhook's URL. The scheme is that of the host (``https://...``),
    else the schema, else the connection type, whichever is ``http`` or ``https`` first, else ``https``. The path, which
    is often the secret of a webhook, is the password, else ``path`` in the extra, else a schema that is no scheme:
    that is where Airflow puts the path of a URL.
    """

    template_fields = ("subject",)

    def __init__(self, *, subject: str, context: Context | None = None) -> None:
        super().__init__(context)
        self.subject = subject

    def notify(self, context: Context) -> None:
        message = self._message(context)
        if conn_id := Settings.load().alert_conn_id:
            with self._delivery(conn_id), httpx.Client(timeout=_TIMEOUT_SECONDS) as client:
                client.post(_url(BaseHook.get_connection(conn_id)), json=message).raise_for_status()

    async def async_notify(self, context: Context) -> None:
        message = self._message(context)
        if conn_id := Settings.load().alert_conn_id:
            url = _url(await BaseHook.aget_connection(conn_id))
            with self._delivery(conn_id):
                async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
                    (await client.post(url, json=message)).raise_for_status()

    @contextmanager
    def _delivery(self, conn_id: str) -> Iterator[None]:
        """Logs an error of the webhook in words of its own: the library's would hold its URL, which is a secret."""
        try:
            yield
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            self.log.error("The webhook of connection %s rejected the alert: HTTP status %s.", conn_id, status)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.log.error("The webhook of connection %s cannot be reached: %s.", conn_id, type(error).__name__)

    def _message(self, context: Context) -> dict[str, Any]:
        dag_id, run_id = _run_of(context)
        text = f"{self.subject} (DAG {dag_id}, run {run_id})"
        self.log.error(text)
        return {"text": text, "subject": self.subject, "dag_id": dag_id, "run_id": run_id}


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
    """

    def notify(self, context: Context) -> None:
        if not self._was_alerted(context):
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
    return getattr(run, "dag_id", None), getattr(run, "run_id", None)


def _url(connection: Connection) -> str:
    scheme_of_host, _, host = (connection.host or "").rpartition("://")
    host, _, folder = host.partition("/")
    schema = connection.schema or ""
    scheme = next((name for name in (scheme_of_host, schema, connection.conn_type) if name in _SCHEMES), "https")
    port = f":{connection.port}" if connection.port else ""
    path = connection.password or connection.extra_dejson.get("path") or ("" if schema in _SCHEMES else schema)
    parts = (part.strip("/") for part in (folder, path))
    return f"{scheme}://{host}{port}/{'/'.join(part for part in parts if part)}"
