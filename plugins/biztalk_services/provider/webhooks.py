"""Delivers an alert to a webhook, in the words of the product behind it: Slack, Teams, or plain JSON.

Sources: "Sending messages using incoming webhooks", "Formatting text for app surfaces" (Slack); "Microsoft Teams
Webhook" (Power Automate) and "Create and send messages" (Teams), whose trigger also wants ``contentUrl``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from airflow.sdk import Connection

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.tls import chosen_bundle, distrust, no_tls, trusting

LONGEST_DELIVERY = 20.0
"""Seconds for all attempts together."""

_ATTEMPTS = 4
_TIMEOUT = 10.0
_LONGEST_RESPONSE = 65536
_SCHEMES = ("http", "https")
_OWN_EXTRA = ("path", "format", "ca_bundle")
_HOSTS = {
    "slack": ("hooks.slack.com", "hooks.slack-gov.com"),
    "teams": (
        "logic.azure.com",
        "logic.azure.us",
        "logic.azure.cn",
        "api.powerplatform.com",
        "powerplatform.microsoft.us",
        "webhook.office.com",
        "outlook.office.com",
        "outlook.office365.com",
    ),
}
_LONGEST = {"plain": 8000, "slack": 4000, "teams": 20_000}
"""Of the text: Slack shows 4000 characters well, Teams takes messages of 28 KB."""

_CUT = " ... (The alert is longer and was cut here; the log of the run has all of it.)"
_ERROR_CODE = re.compile(r'"code"\s*:\s*"([A-Za-z]{1,60})"|\A([a-z_]{1,40})\s*\Z')
_REFUSED_WITHIN = re.compile(r"delivery failed.*?HTTP error (\d{3})", re.DOTALL)
"""A connector of Teams says so with status 200."""


class NotDeliveredError(BackupServiceError):
    """An alert did not reach its webhook; the message says why and what to do, and has no part of the URL."""


@dataclass(frozen=True)
class Alert:
    """What people are told.

    :param subject: one sentence or its beginning.
    :param reason: why; empty when not known.
    """

    subject: str
    dag_id: str | None
    run_id: str | None
    reason: str = ""

    @property
    def text(self) -> str:
        """Everything in one line."""
        return f"{self.subject} (DAG {self.dag_id}, run {self.run_id})" + (f": {self.reason}" if self.reason else "")


def deliver(alert: Alert, connection: Connection, ca_bundle: str = "") -> None:
    """Post an alert to the webhook of a connection. What may pass is tried again, for ``LONGEST_DELIVERY`` at most.

    :param ca_bundle: of a connection that has none of its own; empty: the usual CAs.
    :raises NotDeliveredError: it was refused, or the webhook cannot be reached.
    :raises InvalidCaBundleError: the CA bundle cannot be read.
    """
    url = url_of(connection)
    kind = _format_of(connection, url)
    body = _BODIES[kind](alert)
    where = f"The webhook of connection {connection.conn_id}"
    deadline = monotonic() + LONGEST_DELIVERY
    with _client(chosen_bundle(connection.extra_dejson, connection.conn_id, ca_bundle)) as client:
        for attempt in range(_ATTEMPTS):
            pause = 2.0**attempt
            try:
                response = _post(client, url, body, deadline)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = _unreached(where, error)
                may_pass = isinstance(error, httpx.TransportError) and not (distrust(error) or no_tls(error))
            else:
                status = _status_of(response, kind)
                if 200 <= status < 300:
                    return
                failure = _refused(where, status, response, kind)
                may_pass = status == 429 or status >= 500
                pause = max(pause, response.retry_after)
            if not may_pass or attempt == _ATTEMPTS - 1 or monotonic() + pause >= deadline:
                break
            sleep(pause)
    raise NotDeliveredError(failure)


def _client(ca_bundle: str) -> httpx.Client:
    if ca_bundle:
        return httpx.Client(verify=trusting(ca_bundle))
    try:
        return httpx.Client()
    except OSError:
        raise NotDeliveredError(
            "The CAs that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read. Correct it, or set option ca_bundle of "
            "[biztalk_services]."
        ) from None


@dataclass(frozen=True)
class _Response:
    status: int
    retry_after: float
    text: str


def _post(client: httpx.Client, url: str, body: dict[str, Any], deadline: float) -> _Response:
    """One attempt. The response is read as far as it is needed; its status counts however slowly the rest arrives."""
    timeout = max(1.0, min(_TIMEOUT, deadline - monotonic()))
    with client.stream("POST", url, json=body, timeout=timeout) as response:
        retry_after = response.headers.get("Retry-After", "")
        content = b""
        with suppress(httpx.HTTPError):
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _LONGEST_RESPONSE or monotonic() > deadline:
                    break
        return _Response(
            response.status_code,
            float(retry_after) if re.fullmatch(r"\d{1,9}", retry_after) else 0.0,
            content[:_LONGEST_RESPONSE].decode("utf-8", "replace"),
        )


def url_of(connection: Connection) -> str:
    """The webhook's URL.

    The scheme is that of the host (``https://...``), else the schema, else the connection type, whichever is ``http``
    or ``https`` first, else ``https``. The path is the password, else ``path`` in the extra, else a schema that is no
    scheme: that is where Airflow puts the path of a URL. It puts the query of a URL into the extra. A password or a
    path that is a whole URL is the URL.

    :raises NotDeliveredError: there is no host, or none that could be one.
    """
    extra = connection.extra_dejson
    schema = _plain(connection.schema)
    path = _plain(connection.password) or _plain(extra.get("path")) or ("" if schema in _SCHEMES else schema)
    if re.match(r"https?://", path):
        return path
    scheme_of_host, _, host = _plain(connection.host).rpartition("://")
    host, _, folder = host.partition("/")
    if not host or re.search(r"[\s{}\"']", host):
        raise NotDeliveredError(
            f"Connection {connection.conn_id} has no usable host. Make it of the webhook's URL, or put the whole URL "
            "into its password."
        )
    scheme = next((name for name in (scheme_of_host, schema, connection.conn_type) if name in _SCHEMES), "https")
    port = f":{connection.port}" if connection.port else ""
    parts = (part.strip("/") for part in (folder, path))
    url = f"{scheme}://{host}{port}/{'/'.join(part for part in parts if part)}"
    query = {name: value for name, value in extra.items() if name not in _OWN_EXTRA and isinstance(value, str)}
    made_of_url = not (connection.password or extra.get("path")) and "?" not in url
    return f"{url}?{urlencode(query, quote_via=quote)}" if query and made_of_url else url


def _plain(value: Any) -> str:
    """A field without the blanks and quotation marks around it that come along when it is copied."""
    return str(value or "").strip("\"' \t\r\n")


def _format_of(connection: Connection, url: str) -> str:
    chosen = _plain(connection.extra_dejson.get("format")).lower()
    if chosen and chosen not in _BODIES:
        raise NotDeliveredError(
            f"The extra format of connection {connection.conn_id} is none of {', '.join(_BODIES)}; correct it, or "
            "leave it out to have it chosen by the host."
        )
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        host = ""
    for kind, hosts in _HOSTS.items():
        if not chosen and any(host == each or host.endswith(f".{each}") for each in hosts):
            return kind
    return chosen or "plain"


def _plain_body(alert: Alert) -> dict[str, Any]:
    own = {name: value for name, value in asdict(alert).items() if name != "reason"}
    return {"text": _cut(alert.text, _LONGEST["plain"], len), **own}


def _slack_body(alert: Alert) -> dict[str, Any]:
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    return {"text": escaped(_cut(alert.text, _LONGEST["slack"], lambda text: len(escaped(text))))}


def _teams_body(alert: Alert) -> dict[str, Any]:
    def block(text: str, **how: Any) -> dict[str, Any]:
        size = _LONGEST["teams"]
        return {"type": "TextBlock", "text": _cut(text, size, lambda each: len(json.dumps(each))), "wrap": True, **how}

    facts = [{"title": "DAG", "value": str(alert.dag_id)}, {"title": "Run", "value": str(alert.run_id)}]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            block(_cut(alert.subject, 1000, len), weight="Bolder"),
            *([block(alert.reason)] if alert.reason else []),
            {"type": "FactSet", "facts": facts},
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


_BODIES: dict[str, Callable[[Alert], dict[str, Any]]] = {
    "plain": _plain_body,
    "slack": _slack_body,
    "teams": _teams_body,
}
"""Format -> the JSON of an alert in it."""


def _cut(text: str, longest: int, size: Callable[[str], int]) -> str:
    if size(text) <= longest:
        return text
    while (over := size(text + _CUT) - longest) > 0:
        text = text[: -max(1, over // 12)]
    return text + _CUT


def _status_of(response: _Response, kind: str) -> int:
    within = _REFUSED_WITHIN.search(response.text) if kind == "teams" and response.status == 200 else None
    return int(within[1]) if within else response.status


def _refused(where: str, status: int, response: _Response, kind: str) -> str:
    found = _ERROR_CODE.search(response.text)
    code = f", {found[1] or found[2]}" if found else ""
    return f"{where} rejected the alert: HTTP status {status}{code}. {_remedy(status, kind)}"


def _remedy(status: int, kind: str) -> str:
    if status in (401, 403, 404, 410):
        return "Its URL is not, or no longer, valid: make a new webhook, and put its URL into the connection."
    if status == 429 or status >= 500:
        return "That may pass, and was tried several times."
    if 300 <= status < 400:
        return "It leads to another address, which is not followed: put that one into the connection."
    return f"The alert was sent in the format {kind}: set format in the extra of the connection to that of the product."


def _unreached(where: str, error: Exception) -> str:
    """In words of our own: those of the library would hold the URL, which is a secret."""
    if sentence := distrust(error):
        return f"{where} is not trusted. {sentence}"
    if sentence := no_tls(error):
        return f"{where} cannot be used. {sentence}"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"{where} has an address that is no URL. Put the URL as it was given into the connection."
    return (
        f"{where} cannot be reached: {type(error).__name__}. Check host and port in the connection, and whether this "
        "machine needs a proxy (HTTPS_PROXY)."
    )
