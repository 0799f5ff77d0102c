"""Requests of every kind of nonsense, as bytes, and how to send them to an emulator."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from http.client import parse_headers
from io import BytesIO
from typing import Any

from biztalk_emulator.business.sample_fleet import sample_subscription
from hypothesis import strategies as st

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess, resource, restore_body

SERVICE = "contosoorders"
SERVICE_HOST = f"{SERVICE}.biztalk.windows.net"
NAMESPACE_HOST = f"{SERVICE}acs.accesscontrol.windows.net"
TOKEN, PROTOCOL_SETTINGS = "<token>", "<id>"
"""Stand for a token that opens the service, and for the number of its first protocol settings."""

PORTS = ("management", "data", "admin")
TIMEOUT = 20.0


@dataclass(frozen=True)
class RawRequest:
    """One request as it goes over the wire.

    :param port: one of `PORTS`.
    :param head: request line and headers, in latin-1, without the empty line behind them.
    :param body: what follows, whatever the headers state.
    """

    port: str
    method: str
    head: str
    body: bytes = b""

    def content(self, known: dict[str, str]) -> bytes:
        """The bytes to send.

        :param known: what `TOKEN` and `PROTOCOL_SETTINGS` stand for.
        """
        head = self.head
        for placeholder, text in known.items():
            head = head.replace(placeholder, text)
        return head.encode("latin-1", "replace") + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class RawAnswer:
    """What came back until the connection ended: the first answer counts, and `status` is None when that is no HTTP."""

    content: bytes

    @property
    def status(self) -> int | None:
        line = self.content.partition(b"\r\n")[0].split(b" ")
        return int(line[1]) if line[0].startswith(b"HTTP/") and len(line) > 1 and line[1].isdigit() else None

    @property
    def headers(self) -> dict[str, str]:
        return dict(parse_headers(BytesIO(self.content.partition(b"\r\n")[2])).items())

    @property
    def body(self) -> bytes:
        return self.content.partition(b"\r\n\r\n")[2][: int(self.headers.get("Content-Length", 0))]

    @property
    def is_of_the_emulator(self) -> bool:
        """Whether the emulator answered, not the HTTP server below it, whose answer to what is no HTTP is in HTML."""
        return self.status is not None and "text/html" not in self.headers.get("Content-Type", "")


def send(emulator: EmulatorProcess, port: str, content: bytes) -> RawAnswer:
    """Send bytes, end the sending side, and wait for the end of the connection."""
    url = {"management": emulator.url, "data": emulator.data_url, "admin": emulator.admin_url}[port]
    address = ("127.0.0.1", int(url.split("/")[2].rpartition(":")[2]))
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        if port == "admin":
            return _exchange(connection, content)
        context = ssl.create_default_context(cafile=str(emulator.home / "pki/ca.pem"))
        if port == "management":
            context.load_cert_chain(emulator.home / "pki/management.pem", emulator.home / "pki/management.key")
        with context.wrap_socket(connection, server_hostname="127.0.0.1", suppress_ragged_eofs=True) as secured:
            return _exchange(secured, content)


def send_without_tls(emulator: EmulatorProcess, port: str, content: bytes) -> None:
    """Send bytes to a port that expects TLS."""
    url = {"management": emulator.url, "data": emulator.data_url}[port]
    address = ("127.0.0.1", int(url.split("/")[2].rpartition(":")[2]))
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        _exchange(connection, content)


def _exchange(connection: socket.socket, content: bytes) -> RawAnswer:
    received = b""
    try:
        connection.sendall(content)
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while chunk := connection.recv(65536):
            received += chunk
    except OSError as end:
        if isinstance(end, TimeoutError):
            raise  # it may hang up, it must not hang
    return RawAnswer(received)


# What is strange.

strange_words = st.sampled_from(
    (
        *("", " ", ".", "..", "%", "%zz", "%00", "%0d%0a", "%01", "%ff", "%EF%BF%BE", "%ED%A0%80", "%F0%9F%92%BE"),
        *("\xe9", "\xff", "\t", "a" * 300, "9" * 30, "9" * 5000, "-1", "1e400", "NaN", "()", "(1)", "*", "~", "?"),
        *("'; DROP TABLE services; --", "{}", "null", "a;Initial Catalog=b", "$PartnerManagement", "biztalk", SERVICE),
    )
)
strange_texts = st.one_of(
    st.sampled_from(
        ("", "\x00", "\x01", "\ud800", "\ufffe", "\u0663", "\u00b2", "9" * 5000, "-" + "9" * 40, "x" * 70000)
    ),
    st.sampled_from(
        ("0001-01-01T00:00:00+14:00", "&amp;", "]]>", "&#0;", "../../x", ";;;", "=", "true", "850", "1 = ")
    ),
    st.text(max_size=8),
)
strange_numbers = st.sampled_from(
    (0, -1, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"))
)
strange_values = st.one_of(
    strange_numbers,
    strange_texts,
    st.sampled_from((None, True, False, [], {}, [None], [[]], {"Name": []}, {"": {}}, ["x"] * 2)),
)
strange_bodies = st.one_of(
    st.sampled_from(
        (
            b'<!DOCTYPE R [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Resource>&b;</Resource>',
            b'<!DOCTYPE R [<!ENTITY x SYSTEM "file:///etc/passwd">]><Resource>&x;</Resource>',
            b"<Resource>" * 5000,
            b"<Resource>" + b"<a>" * 3000 + b"</a>" * 3000 + b"</Resource>",
            b'<?xml version="1.0" encoding="utf-16"?><Resource/>',
            b'<?xml version="1.0" encoding="utf-7"?><Resource/>',
            b'<?xml version="1.0" encoding="no such"?><Resource/>',
            b'<Resource xmlns="x"><y:IntrinsicSettings xmlns:y="z"/></Resource>',
            b"<Resource " + b"a" * 60000 + b"='1'/>",
            b"\xef\xbb\xbf<Resource/>",
            b"<Resource>\x00\xff</Resource>",
            b"\xff\xfe{\x00}\x00",
            b"[" * 100_000,
            b'{"a": ' * 5000,
            b"\xef\xbb\xbf{}",
            b"0",
            b"",
        )
    ),
    st.binary(max_size=40),
)
strange_headers = st.tuples(
    st.sampled_from(
        (
            *("x-ms-version", "Content-Type", "If-Match", "x-ms-client-request-id", "Authorization", "Accept", "Host"),
            *("X-HTTP-Method", "Content-Length", "Transfer-Encoding", "Expect", "Connection", "Origin", "Q", ""),
        )
    ),
    st.sampled_from(
        (
            *(
                "2010-10-28",
                "9999-99-99",
                "application/xml",
                "application/json",
                "application/atom+xml",
                "*",
                "chunked",
            ),
            *("100-continue", "close", "keep-alive", "0", "-1", "1", "5000000", "9" * 20, "1,1", "MERGE", "DELETE"),
            *(
                'WRAP access_token="x"',
                "http://evil.example",
                "x" * 66000,
                SERVICE_HOST,
                NAMESPACE_HOST,
                "\xe9\xff",
                "\0",
            ),
        )
    ),
)

# What would be right.

_GROUP = f"/{SUBSCRIPTION}/cloudservices/contoso-west-us"
_RESOURCE = f"{_GROUP}/resources/biztalkservices/~/biztalk/{SERVICE}"
_STORE = "AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint=nowhere"
"""Impossible, so that no request reaches an account."""

_SETTINGS = {
    "CustomDomainUrl": "orders.example.com",
    "ServiceVersion": "1.1.0",
    "Edition": "standard",
    "UnitCount": "1",
    "TrackingStoreConnectionString": "Data Source=tcp:x;Initial Catalog=FuzzTracking;User ID=u;Password=p",
    "MonitoringStoreConnectionString": "AccountName=devstoreaccount1;AccountKey=a2V5",
    "AccessControlNamespace": "fuzzacs",
    "AccessControlKey": "key",
}
_BACKUP = {"BackupStoreConnectionString": _STORE, "BackupName": "a-backup"}
_PORTAL = "$PartnerManagement"


@dataclass(frozen=True)
class Example:
    """A request as it should be.

    :param form: how `values` become a body: ``json``, ``create``, ``restore``, ``backup``, ``group``, ``wrap``; or ""
    """

    port: str
    method: str
    path: str
    form: str = ""
    values: Any = None


@cache
def _content() -> Any:
    (content,) = (
        service["content"]
        for group in sample_subscription()["cloud_services"]
        for service in group["services"]
        if service["name"] == SERVICE
    )
    batched = next(each for each in content["agreements"] if each.get("Batches"))
    kinds = ("partners", "bridges", "assemblies", "transforms", "pipelines")
    return {"agreements": [batched]} | {kind: content[kind][:1] for kind in kinds}


@cache
def _examples() -> list[Example]:
    service, data = f"/services/{SERVICE}", f"/{SERVICE_HOST}/default/{_PORTAL}"
    actions = ("suspend", "resume", "restart", "syncacskeys")
    range_change = {"InterchangeControlNumberLowerBound": 5, "InterchangeControlNumberPrefix": ""}
    form = {"wrap_name": "owner", "wrap_password": "x", "wrap_scope": f"http://{SERVICE_HOST}/default"}
    fault = {"kind": "status", "operation": "get", "service": SERVICE, "count": 1, "status": 503, "retry_after": 1}
    fails = {"kind": "operation-fails", "http_code": 409, "code": "x", "message": "x", "extended_code": "x"}
    message = {"agreement": "Northwind X12 send", "messages": 1, "size": 100, "document_type": "810"}
    received = {"agreement": "Northwind X12 receive", "messages": 1, "size": 100, "control_number": 77}
    return [
        Example("management", "GET", f"/{SUBSCRIPTION}/cloudservices"),
        Example("management", "GET", _GROUP),
        Example("management", "PUT", f"/{SUBSCRIPTION}/cloudservices/fuzz", "group", {"Label": "x", "GeoRegion": "y"}),
        Example("management", "DELETE", f"/{SUBSCRIPTION}/cloudservices/fuzz"),
        Example("management", "GET", _RESOURCE),
        *(Example("management", "POST", f"{_RESOURCE}?comp={action}") for action in actions),
        Example("management", "POST", f"{_RESOURCE}?comp=backup", "backup", _BACKUP),
        Example("management", "POST", f"{_RESOURCE}?comp=backup", "json", _BACKUP),
        Example("management", "PUT", _RESOURCE.replace(SERVICE, "fuzzservice"), "create", _SETTINGS),
        Example("management", "PUT", _RESOURCE.replace(SERVICE, "fuzzservice"), "restore", _BACKUP | _SETTINGS),
        Example("management", "PUT", _RESOURCE, "create", {"CustomDomainUrl": "x.example.com", "UnitCount": "2"}),
        Example("management", "GET", f"{_RESOURCE}?OperationStatus/{'0' * 32}"),
        Example("management", "GET", f"/{SUBSCRIPTION}/operations/{'0' * 32}"),
        Example("management", "PUT", f"/{SUBSCRIPTION}/services?service=biztalkservices.biztalk&action=register"),
        Example("data", "POST", f"/{NAMESPACE_HOST}/WRAPv0.9/", "wrap", form),
        *(
            Example("data", "GET", f"{data}/{path}")
            for path in ("", "Agreements?$expand=ProtocolSettings", "Partners(1)")
        ),
        Example("data", "GET", f"{data}/Agreements?$top=1&$skip=1&$inlinecount=allpages"),
        Example("data", "MERGE", f"{data}/ProtocolSettings({PROTOCOL_SETTINGS})", "json", range_change),
        *(
            Example("admin", "GET", path)
            for path in ("/", "/health", "/world", "/settings", "/certificates", "/operations")
        ),
        Example("admin", "GET", f"/journal?after=1&limit=1&kind=request&service={SERVICE}"),
        Example("admin", "GET", f"{service}/duplicates"),
        Example("admin", "POST", f"{service}/actions", "json", {"action": "stop"}),
        Example("admin", "PUT", f"{service}/state", "json", {"state": "Active"}),
        *(Example("admin", "POST", f"{service}/content", "json", {kind: each}) for kind, each in _content().items()),
        Example("admin", "POST", f"{service}/messages", "json", message),
        Example("admin", "POST", f"{service}/messages", "json", received),
        Example(
            "admin", "POST", f"{service}/batches/release", "json", {"agreement": "Fabrikam X12 send", "batch": "x"}
        ),
        Example("admin", "PUT", "/world/databases/fuzz", "json", {"user": "u", "password": "p"}),
        Example("admin", "DELETE", "/world/databases/fuzz"),
        Example("admin", "PUT", "/world/namespaces/fuzz", "json", {"key": "k"}),
        Example("admin", "DELETE", "/world/namespaces/fuzz"),
        Example("admin", "PATCH", "/settings", "json", {"durations": {"suspend": 1}, "name_hold_seconds": 1}),
        Example("admin", "PATCH", "/settings", "json", {"profile": {"backup_status": "202"}, "token_seconds": 3600}),
        Example("admin", "POST", "/faults", "json", fault),
        Example("admin", "POST", "/faults", "json", fails),
        Example("admin", "DELETE", "/faults/1"),
        Example("admin", "POST", f"/operations/{'0' * 32}/release"),
        Example("admin", "POST", "/certificates", "json", {"certificate": "-----BEGIN CERTIFICATE-----"}),
        Example("admin", "DELETE", "/certificates/AB"),
    ]


def _body(form: str, values: Any) -> tuple[str, bytes]:
    """Content type and body of an example."""
    if form == "json":
        return "application/json", json.dumps(values).encode()
    if form == "wrap":
        text = "&".join(f"{name}={value}" for name, value in values.items())
        return "application/x-www-form-urlencoded", text.encode("utf-8", "surrogatepass")
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items()) if values else ""
    text = {
        "": "",
        "group": f"<CloudService>{inner}</CloudService>",
        "backup": f"<ServiceBackupSettings>{inner}</ServiceBackupSettings>",
    }.get(form)
    if text is None:
        settings = {name: value for name, value in values.items() if name not in _BACKUP}
        store, name = (values.get(each, "") for each in _BACKUP)
        text = resource(**settings) if form == "create" else restore_body(name, store, **settings)
    return "application/xml", text.encode("utf-8", "surrogatepass")


def _spots(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a document."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*at, key)
        yield from _spots(value, (*at, key))


@st.composite
def _strange_values_in(draw: st.DrawFn, values: Any) -> Any:
    """A copy in which one or two values are replaced, or left out."""
    changed = deepcopy(values)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        spots = [*_spots(changed)]
        if not spots:
            break
        *way, last = draw(st.sampled_from(spots))
        owner = changed
        for key in way:
            owner = owner[key]
        if draw(st.integers(0, 5)) == 0:
            del owner[last]
        else:
            owner[last] = draw(strange_values)
    return changed


@st.composite
def requests(draw: st.DrawFn) -> RawRequest:
    """A request that is right but for one thing, or for several."""
    example = draw(st.sampled_from(_examples()))
    method, target, version, values = example.method, example.path, "HTTP/1.1", example.values
    wrongs = draw(st.lists(st.sampled_from(_WRONGS), min_size=1, max_size=2, unique=True))
    if values and ("values" in wrongs or draw(st.booleans())):
        values = draw(_strange_values_in(values))
    content_type, body = _body(example.form, values)
    if "body" in wrongs:
        body = draw(st.one_of(strange_bodies, st.integers(0, len(body)).map(lambda end: body[:end])))
    path, mark, query = target.partition("?")
    if "path" in wrongs:
        parts = path.split("/")
        at = draw(st.integers(1, len(parts)))
        parts[at : at + draw(st.integers(0, 1))] = [draw(strange_words)]
        path = "/".join(parts)
    if "query" in wrongs:
        names = [part.partition("=")[0] for part in query.split("&")] if query else ["x"]
        query = "&".join(f"{name}={draw(strange_words)}" for name in names)
        mark = "?"
    if "method" in wrongs:
        method = draw(st.sampled_from(("GET", "PUT", "POST", "DELETE", "HEAD", "CONNECT", "get", "__init__", "\xe9")))
    if "version" in wrongs:
        version = draw(st.sampled_from(("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1.1", "HTTP/\xb2.0", "", "XYZ")))
    headers = {
        "Host": "127.0.0.1",
        "x-ms-version": "2013-04-26",
        "x-ms-client-request-id": "fuzz",
        "Authorization": f'WRAP access_token="{TOKEN}"',
        "Accept": "application/json;odata=verbose",
        "If-Match": "*",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if "headers" in wrongs:
        name, value = draw(strange_headers)
        kept = [line for line in lines if draw(st.booleans()) or not line.startswith(f"{name}:")]
        lines = [*kept, f"{name}: {value}"] if draw(st.booleans()) else [f"{name}: {value}", *kept]
    if "lines" in wrongs:
        lines += draw(
            st.sampled_from((["no colon"], [" folded"], [": no name"], ["Q: 1"] * 150, ["Q" * 70000 + ": 1"]))
        )
    head = "\r\n".join([f"{method} {path}{mark}{query} {version}".rstrip(), *lines])
    return RawRequest(example.port, method, head, body)


_WRONGS = ("values", "values", "values", "body", "path", "query", "headers", "method", "version", "lines")
