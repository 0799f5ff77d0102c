"""Alerts at servers with the rules of Slack, of Teams and of a plain webhook; over TLS, and in their troubles."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.sdk import Connection
from biztalk_services.provider import webhooks
from biztalk_services.provider.webhooks import Alert, NotDeliveredError, deliver, url_of

from tests.wire.pki import DAY, identity

SECRET = "canarysecret"
ALERT = Alert("The nightly backup failed", "nightly", "manual__1", "contosoorders: it is <busy> & away.")
Answer = tuple[int, str, dict[str, str]]


def slack(body: Any) -> Answer:
    """As Slack: a text has to be there, of no more than 40,000 characters, with three characters escaped."""
    if set(body) - {"text", "blocks", "attachments"}:
        return 400, "invalid_payload", {}
    text = body.get("text", "")
    if not text:
        return 400, "no_text", {}
    if len(text) > 40_000 or "<" in text or "& " in text:
        return 400, "invalid_payload", {}
    return 200, "ok", {}


def teams(body: Any) -> Answer:
    """As the trigger "When a Teams webhook request is received" and the step that posts its cards."""

    def mismatch(what: str) -> Answer:
        return 400, json.dumps({"error": {"code": "TriggerInputSchemaMismatch", "message": what}}), {}

    if len(json.dumps(body)) > 28 * 1024:
        return 413, "", {}
    if body.get("type") != "message" or not isinstance(body.get("attachments"), list):
        return mismatch("attachments")
    for each in body["attachments"]:
        if set(each) != {"contentType", "contentUrl", "content"} or each["contentUrl"] is not None:
            return mismatch("Required properties are missing from object: contentUrl.")
        card = each["content"]
        if each["contentType"] != "application/vnd.microsoft.card.adaptive" or card["type"] != "AdaptiveCard":
            return mismatch("content")
        if card["version"] not in ("1.0", "1.2", "1.3", "1.4") or not card["body"]:
            return mismatch("version")
        for element in card["body"]:
            if element["type"] == "TextBlock" and not (element["wrap"] and element["text"]):
                return mismatch("body")
    return 202, "", {}


def plain(body: Any) -> Answer:
    whole = set(body) == {"text", "subject", "dag_id", "run_id"} and len(body["text"]) <= 8000
    return (204 if whole else 422), "", {}


class Product:
    """A server with the rules of a product; ``script`` are responses that come before those."""

    def __init__(self, rules: Callable[[Any], Answer], context: ssl.SSLContext | None = None) -> None:
        self.script: list[Answer] = []
        self.received: list[Any] = []
        product = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                product.received.append(body)
                status, text, headers = product.script.pop(0) if product.script else rules(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme, self.host = "https" if context else "http", "127.0.0.1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def connection(self, **extra: Any) -> Connection:
        return Connection(
            conn_id="chat",
            conn_type="http",
            host=f"{self.scheme}://{self.host}",
            port=self.server.server_port,
            password=SECRET,
            extra=json.dumps(extra),
        )


@pytest.fixture
def product() -> Iterator[Callable[..., Product]]:
    running: list[Product] = []

    def start(*how: Any) -> Product:
        running.append(Product(*how))
        return running[-1]

    yield start
    for each in running:
        each.server.shutdown()
        each.server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(webhooks, "sleep", taken.append)
    return taken


def refused(product: Product, **extra: Any) -> str:
    with pytest.raises(NotDeliveredError) as error:
        deliver(ALERT, product.connection(**extra))
    assert SECRET not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("rules", [slack, teams, plain])
@pytest.mark.parametrize(
    "alert",
    [
        ALERT,
        Alert("Short", None, None),
        Alert("Long", "d", "r", "<&\u00e9\U0001f600 " * 20_000),
        Alert("L" * 50_000, "d", "r"),
    ],
    ids=["usual", "no run", "long", "long subject"],
)
def test_each_product_takes_its_format(rules, alert, product):
    server = product(rules)
    deliver(alert, server.connection(format=rules.__name__))
    text = json.dumps(server.received[0])
    assert len(server.received) == 1
    assert ("was cut here" in text) is (len(alert.text) > 10_000)
    assert alert.subject[:900] in text


@pytest.mark.parametrize(
    ("rules", "wrong", "code"),
    [
        (slack, "plain", "invalid_payload"),
        (slack, "teams", "invalid_payload"),
        (teams, "plain", "TriggerInputSchemaMismatch"),
        (teams, "slack", "TriggerInputSchemaMismatch"),
    ],
)
def test_another_format_is_refused_and_named(rules, wrong, code, product):
    sentence = refused(product(rules), format=wrong)
    assert f"rejected the alert: HTTP status 400, {code}." in sentence
    assert f"in the format {wrong}: set format in the extra" in sentence


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://hooks.slack.com/services/T0/B0/X", "slack"),
        ("https://prod-12.westeurope.logic.azure.com:443/workflows/a/triggers/manual/paths/invoke?sig=b", "teams"),
        ("https://default0.1.environment.api.powerplatform.com:443/powerautomate/x?sig=b", "teams"),
        ("https://contoso.webhook.office.com/webhookb2/x", "teams"),
        ("https://hooks.example.com/x", "plain"),
        ("https://hooks.slack.com.example.org/x", "plain"),
        ("https://notlogic.azure.com.example/x", "plain"),
        ("https://hooks.slack.com/services/T0?format=plain", "plain"),
    ],
)
def test_the_host_decides_the_format(url, kind):
    connection = Connection.from_uri(url, conn_id="chat")
    assert webhooks._format_of(connection, url_of(connection)) == kind


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 302, 422])
def test_a_refusal_is_not_repeated(status, product, pauses):
    server = product(plain)
    server.script = [(status, f"token {SECRET} is wrong", {"Location": "/other"})]
    assert f"HTTP status {status}." in refused(server)
    assert (len(server.received), pauses) == (1, [])


def test_a_connector_that_refuses_with_200_is_refused(product):
    server = product(teams)
    text = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 403 with ContextId"
    server.script = [(200, text, {})]
    assert "HTTP status 403" in refused(server, format="teams")


@pytest.mark.parametrize("trouble", [(429, "", {"Retry-After": "5"}), (429, "no", {}), (500, "", {}), (503, "", {})])
def test_what_may_pass_is_repeated(trouble, product, pauses):
    server = product(plain)
    server.script = [trouble, trouble]
    deliver(ALERT, server.connection())
    wait = float(trouble[2].get("Retry-After", 0))
    assert pauses == [max(1.0, wait), max(2.0, wait)]
    assert len(server.received) == 3


@pytest.mark.parametrize(("wait", "attempts"), [("1", 4), ("3600", 1), ("soon", 4), ("-1", 4)])
def test_it_is_not_repeated_for_ever(wait, attempts, product, pauses):
    server = product(plain)
    server.script = [(503, "", {"Retry-After": wait})] * 9
    assert "HTTP status 503. That may pass" in refused(server)
    assert len(server.received) == attempts
    assert sum(pauses) < webhooks.LONGEST_DELIVERY


def test_a_webhook_that_is_silent_ends(product, monkeypatch):
    gate = threading.Event()
    server = product(lambda body: (gate.wait(5), (200, "", {}))[1])
    monkeypatch.setattr(webhooks, "LONGEST_DELIVERY", 0.2)
    assert "cannot be reached: ReadTimeout" in refused(server)
    gate.set()


@pytest.fixture
def tls(tmp_path) -> Callable[..., tuple[ssl.SSLContext, str]]:
    """A server's context, and the CA that signed its certificate."""

    def make(**certificate: Any) -> tuple[ssl.SSLContext, str]:
        ca = identity("Corporate CA")
        own = identity("server", ca, **certificate)
        files = {"ca.pem": ca.certificate_pem, "server.pem": own.certificate_pem + own.key_pem}
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        return context, str(tmp_path / "ca.pem")

    return make


@pytest.mark.parametrize("how", ["option", "extra", "environment"])
def test_a_corporate_ca_is_trusted(how, tls, product, monkeypatch):
    context, ca = tls()
    server = product(plain, context)
    if how == "environment":
        monkeypatch.setenv("SSL_CERT_FILE", ca)
    extra = {"ca_bundle": ca} if how == "extra" else {}
    deliver(ALERT, server.connection(**extra), ca if how == "option" else "")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("certificate", "host", "verdict"),
    [
        (None, "127.0.0.1", "is not signed by a CA that is trusted here"),
        ({"begins": -2 * DAY, "ends": -DAY}, "127.0.0.1", "has expired"),
        ({"begins": DAY, "ends": 2 * DAY}, "127.0.0.1", "is not yet valid"),
        ({}, "localhost", "is for another host"),
    ],
)
def test_what_is_not_trusted_is_no_network_failure(certificate, host, verdict, tls, product, pauses):
    context, ca = tls(**(certificate or {}))
    server = product(plain, context)
    server.host = host
    sentence = refused(server, **({} if certificate is None else {"ca_bundle": ca}))
    assert f"The webhook of connection chat is not trusted. The certificate of the server {verdict}" in sentence
    assert "ca_bundle names the PEM file" in sentence
    assert "reached" not in sentence
    assert pauses == []


def test_a_plain_server_at_https_is_told(product):
    server = product(plain)
    server.scheme = "https"
    assert "TLS could not be agreed with the server (" in refused(server)


def test_a_missing_ca_of_the_environment_is_told(product, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    assert "The CAs that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read" in refused(product(plain))
