"""Alerts: in the log always, to a webhook where there is one, and never a secret."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseHook
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.provider import webhooks
from biztalk_services.provider.alerts import AlertNotifier, OverdueNotifier
from biztalk_services.provider.webhooks import url_of

from tests.archive.azurite import free_port

SUBJECT = "The nightly backup failed"
MESSAGE = {
    "text": f"{SUBJECT} (DAG nightly, run manual__1)", "subject": SUBJECT, "dag_id": "nightly", "run_id": "manual__1"
}  # fmt: skip
ON_A_WORKER = {"dag_run": SimpleNamespace(dag_id="nightly", run_id="manual__1")}


def of_a_deadline(state: str) -> dict[str, Any]:
    """The context of a deadline's callback, which is plain JSON."""
    return {"dag_run": {"dag_id": "nightly", "dag_run_id": "manual__1", "state": state}}


class Webhook:
    def __init__(self) -> None:
        self.status = 200
        self.received: list[tuple[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.received.append((self.path, json.loads(body)))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    taken: list[float] = []
    monkeypatch.setattr(webhooks, "sleep", taken.append)
    return taken


@pytest.fixture
def webhook(connect, monkeypatch) -> Iterator[Webhook]:
    hook = Webhook()
    threading.Thread(target=hook.server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID", "chat")
    connect("chat", connection(hook.server.server_port))
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def connection(port: int, **changes: Any) -> dict[str, Any]:
    fields = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port, "password": "/hooks/canary"}
    return fields | changes


@pytest.fixture(params=["worker", "triggerer"])
def alert(request):
    """Alerts as a worker does, or as the triggerer does."""
    if request.param == "worker":
        return lambda: AlertNotifier(subject=SUBJECT).notify(ON_A_WORKER)
    return lambda: asyncio.run(OverdueNotifier(subject=SUBJECT).async_notify(of_a_deadline("running")))


def test_without_a_webhook_there_is_a_line_in_the_log(alert, capfd):
    alert()
    assert MESSAGE["text"] in "".join(capfd.readouterr())


def test_a_webhook_gets_the_message(alert, webhook, capfd):
    alert()
    assert webhook.received == [("/hooks/canary", MESSAGE)]
    printed = "".join(capfd.readouterr())
    assert MESSAGE["text"] in printed
    assert "canary" not in printed


def test_the_path_may_stand_in_the_extra(alert, webhook, connect):
    connect("chat", connection(webhook.server.server_port, password=None, extra={"path": "hooks/other"}))
    alert()
    assert webhook.received == [("/hooks/other", MESSAGE)]


@pytest.mark.parametrize("folder", ["hooks", "hooks/a/b"])
def test_the_connection_may_be_made_of_the_url(folder, alert, webhook, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", f"http://127.0.0.1:{webhook.server.server_port}/{folder}")
    alert()
    assert webhook.received == [(f"/{folder}", MESSAGE)]


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ("https://hooks.example.com/services/T0/B0/X", "https://hooks.example.com/services/T0/B0/X"),
        ("http://h:9000/alert", "http://h:9000/alert"),
        ("http://h/https", "https://h/"),
        ({"conn_type": "http", "host": "h"}, "http://h/"),
        ({"conn_type": "http", "host": "h", "schema": "https", "password": "a?b=c"}, "https://h/a?b=c"),
        ({"conn_type": "generic", "host": "h", "password": "/a/b"}, "https://h/a/b"),
        ({"conn_type": "generic", "host": "h", "schema": "a/b"}, "https://h/a/b"),
        ({"conn_type": "http", "host": "h", "schema": "a", "extra": {"path": "b"}}, "http://h/b"),
        ({"conn_type": "http", "host": "https://h", "password": "a"}, "https://h/a"),
        ({"conn_type": "http", "host": "https://h/a/", "port": 444, "password": "/b"}, "https://h:444/a/b"),
        ({"conn_type": "http", "host": "https://h:444/a", "schema": "http"}, "https://h:444/a"),
        ({"conn_type": "http", "host": " 'https://h/a' "}, "https://h/a"),
        ({"conn_type": "http", "host": "https://h/a?sig=b%2B", "extra": {"c": "d"}}, "https://h/a?sig=b%2B"),
        ({"conn_type": "slackwebhook", "host": "https://h/", "password": '"https://i/T0/B0/X"'}, "https://i/T0/B0/X"),
        ({"conn_type": "http", "extra": {"path": "https://i/T0", "format": "slack"}}, "https://i/T0"),
        ("https://h/w/invoke?sp=%2Ft%2Frun&sig=a%2Bb-_&format=teams", "https://h/w/invoke?sp=%2Ft%2Frun&sig=a%2Bb-_"),
    ],
)
def test_every_way_to_write_the_url(fields, url, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", fields if isinstance(fields, str) else json.dumps(fields))
    assert url_of(BaseHook.get_connection("chat")) == url


def test_a_webhook_that_rejects_is_logged(alert, webhook, capfd):
    webhook.status = 410
    alert()
    printed = "".join(capfd.readouterr())
    assert "The webhook of connection chat rejected the alert: HTTP status 410." in printed
    assert "canary" not in printed


@pytest.mark.parametrize(
    ("changes", "why", "attempts"),
    [
        ({"host": "127.0.0.1"}, "The webhook of connection chat cannot be reached: ConnectError. Check host", 4),
        ({"host": "{no} host"}, "Connection chat has no usable host", 0),
        ({"host": "h:x"}, "has an address that is no URL", 1),
        ({"host": ""}, "Connection chat has no usable host", 0),
        ({"extra": {"format": "discord"}}, "The extra format of connection chat is none of plain, slack, teams", 0),
        ({"extra": {"ca_bundle": "/no/such.pem"}}, "bundle /no/such.pem (extra ca_bundle of connection chat)", 0),
    ],
)  # fmt: skip
def test_an_alert_that_is_not_sent_is_told(changes, why, attempts, alert, webhook, connect, pauses, capfd):
    connect("chat", connection(free_port(), **changes))
    alert()
    printed = "".join(capfd.readouterr())
    assert MESSAGE["text"] in printed
    assert "The alert was not delivered. " in printed
    assert why in printed
    assert "canary" not in printed
    assert len(pauses) == max(0, attempts - 1)


def test_whether_it_was_delivered_is_returned(webhook, monkeypatch):
    assert AlertNotifier(subject=SUBJECT).alert(ON_A_WORKER)
    webhook.status = 410
    assert not AlertNotifier(subject=SUBJECT).alert(ON_A_WORKER)
    monkeypatch.delenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID")
    assert AlertNotifier(subject=SUBJECT).alert(ON_A_WORKER)


def test_a_missing_connection_is_told(alert, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID", "no_such_connection")
    alert()
    printed = "".join(capfd.readouterr())
    assert MESSAGE["text"] in printed
    assert "There is no connection no_such_connection, or none that Airflow can read. Create or correct it" in printed


@pytest.mark.parametrize("broken", ["{", "http://[canary", '{"conn_type": "http", "port": "canary"}'])
def test_a_connection_that_cannot_be_read_breaks_nothing(broken, alert, webhook, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", broken)
    alert()
    printed = "".join(capfd.readouterr())
    assert "The alert was not delivered. There is no connection chat, or none that Airflow can read." in printed
    assert "canary" not in printed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BackupServiceError("Service a/b cannot be suspended."), "Service a/b cannot be suspended."),
        (ValueError("Server=x;Password=two canary"), "ValueError: Server=x;Password=***"),
        ("Airflow's own words", "Airflow's own words"),
    ],
)
def test_the_alert_of_a_failed_step_has_its_reason(error, reason, webhook, capfd):
    AlertNotifier(subject=SUBJECT).notify({**ON_A_WORKER, "exception": error})
    assert webhook.received == [("/hooks/canary", {**MESSAGE, "text": f"{MESSAGE['text']}: {reason}"})]
    assert "canary" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_has_ended_is_not_overdue(state, webhook):
    asyncio.run(OverdueNotifier(subject=SUBJECT).async_notify(of_a_deadline(state)))
    assert webhook.received == []


def test_the_subject_is_a_template():
    assert "subject" in AlertNotifier.template_fields
