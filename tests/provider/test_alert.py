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
from airflow.sdk.exceptions import AirflowNotFoundException
from biztalk_services.provider.alerts import AlertNotifier, OverdueNotifier, _url

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
    ],
)
def test_every_way_to_write_the_url(fields, url, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", fields if isinstance(fields, str) else json.dumps(fields))
    assert _url(BaseHook.get_connection("chat")) == url


def test_a_webhook_that_rejects_is_logged(alert, webhook, capfd):
    webhook.status = 410
    alert()
    printed = "".join(capfd.readouterr())
    assert "The webhook of connection chat rejected the alert: HTTP status 410." in printed
    assert "canary" not in printed


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1", "ConnectError"), ("no host\n", "InvalidURL")])
def test_a_webhook_that_cannot_be_reached_is_logged(host, why, alert, webhook, connect, capfd):
    connect("chat", connection(free_port(), host=host))
    alert()
    printed = "".join(capfd.readouterr())
    assert MESSAGE["text"] in printed
    assert f"The webhook of connection chat cannot be reached: {why}." in printed
    assert "canary" not in printed


def test_a_missing_connection_is_named(alert, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID", "no_such_connection")
    with pytest.raises(AirflowNotFoundException, match="no_such_connection"):
        alert()
    assert MESSAGE["text"] in "".join(capfd.readouterr())


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_has_ended_is_not_overdue(state, webhook):
    asyncio.run(OverdueNotifier(subject=SUBJECT).async_notify(of_a_deadline(state)))
    assert webhook.received == []


def test_the_subject_is_a_template():
    assert "subject" in AlertNotifier.template_fields
