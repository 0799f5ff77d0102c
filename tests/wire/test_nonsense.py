"""The client against a server that returns malformed responses, or none."""

from __future__ import annotations

import gzip
import socket
import threading
import time

import pytest
from biztalk_services.drivers.biztalk.wire import client as client_module
from biztalk_services.drivers.biztalk.wire.server import MAX_ATTEMPTS
from biztalk_services.drivers.biztalk.wire.transport import MAX_RESPONSE_BYTES
from biztalk_services.model.errors import (
    BackupServiceError,
    OutcomeUnknownError,
    ServerError,
    ThrottledError,
    UnexpectedResponseError,
    UnreachableError,
)
from biztalk_services.model.service import ServiceRef

from tests.wire.samples import REQUEST_ID, cloud_service, error, fleet, resource
from tests.wire.scripted_server import drip, reset, response, silence

ORDERS = ServiceRef("contoso-west", "orders")
GOOD = response(200, fleet(cloud_service(resource())))
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><CloudServices>&c;</CloudServices>'
)
EXTERNAL = b'<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/passwd">]><CloudServices><CloudService>&x;</CloudService></CloudServices>'

MALFORMED = {
    "html": response(200, "<!DOCTYPE html><html><body>Sign in</body></html>", Content_Type="text/html"),
    "empty": response(200),
    "blank": response(200, b" \r\n "),
    "cut xml": response(200, fleet(cloud_service(resource()))[:-40]),
    "not xml": response(200, b"\x00\xff\xfe garbage"),
    "json": response(200, b'{"CloudServices": []}'),
    "entity bomb": response(200, BOMB),
    "external entity": response(200, EXTERNAL),
    "other root": response(200, "<Operation><Status>Succeeded</Status></Operation>"),
    "broken gzip": response(200, b"no gzip", Content_Encoding="gzip"),
    "redirect": response(302, Location="https://127.0.0.1:1/elsewhere"),
    "permanent redirect": response(307, Location="/elsewhere"),
    "no content": response(204),
    "truncated": GOOD[:-100],
    "no http": b"220 smtp.example ESMTP\r\n\r\n",
    "unknown encoding": response(200, b'<?xml version="1.0" encoding="x-none"?><CloudServices/>'),
}


def hang_up_after(content: bytes):
    """Send and close; with ``Connection: close``, so that the client does not reuse the connection."""
    last = content.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if content.startswith(b"HTTP/") else content

    def step(connection: socket.socket) -> None:
        connection.sendall(last)

    return step


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_response_to_a_read_is_retried(client, server, pauses, name):
    server.script = [hang_up_after(MALFORMED[name])]
    with pytest.raises(UnexpectedResponseError) as caught:
        client.list_services()
    assert caught.value.advice == "retry"
    assert "list the services" in str(caught.value)
    assert len(server.requests) == MAX_ATTEMPTS
    assert pauses == [0.25, 1.0]


TOO_LARGE = {
    "too large": response(200, b"<a>" + b"x" * MAX_RESPONSE_BYTES + b"</a>"),
    "gzip bomb": response(200, gzip.compress(b" " * (MAX_RESPONSE_BYTES * 4)), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_large_response_to_a_read_is_not_requested_again(client, server, monkeypatch, name):
    monkeypatch.setattr(client_module, "MAX_LIST_BYTES", MAX_RESPONSE_BYTES)
    server.script = [hang_up_after(TOO_LARGE[name])]
    for read in (client.list_services, lambda: client.get_service(ORDERS)):
        with pytest.raises(
            UnexpectedResponseError, match=r"larger than \d+ bytes\. Trying again does not help"
        ) as caught:
            read()
        assert caught.value.advice == "stop"
    assert len(server.requests) == 2


def test_list_of_3000_services_is_read(client, server):
    services = [cloud_service(resource(f"service{n}"), name=f"group{n}") for n in range(3000)]
    server.script = [response(200, fleet(*services))]
    assert len(server.script[0]) > MAX_RESPONSE_BYTES
    assert len(client.list_services(pytest.fail)) == 3000


@pytest.mark.parametrize("name", [*MALFORMED, *TOO_LARGE])
def test_malformed_response_to_a_change_is_not_retried(client, server, name):
    server.script = [hang_up_after((MALFORMED | TOO_LARGE)[name])]
    with pytest.raises(OutcomeUnknownError) as caught:
        client.suspend(ORDERS, client_request_id="n")
    assert caught.value.advice == "check"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "step", [reset, silence(0), silence(1.5), drip(GOOD, 0.05)], ids=["reset", "hang up", "slow", "drip"]
)
def test_change_with_a_lost_response_is_sent_once(connect, server, pauses, step):
    server.script = [step]
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(server.port, timeout=(0.5, 0.5)).resume(ORDERS, client_request_id="n")
    assert caught.value.advice == "check"
    assert "resume service contoso-west/orders" in str(caught.value)
    assert len(server.requests) == 1
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "failure",
    [reset, *map(response, (429, 500, 502, 503, 504)), response(503, error("ServerBusy")), silence(0)],
)
def test_read_is_retried_after_temporary_failures(client, server, pauses, failure):
    server.script = [failure, failure, GOOD]
    assert len(client.list_services()) == 1
    assert len(server.requests) == MAX_ATTEMPTS


def test_change_uses_a_new_connection(client, server):
    def respond_once_then_reset(connection: socket.socket) -> None:
        connection.sendall(GOOD)
        if connection.recv(65536):
            reset(connection)

    server.script = [respond_once_then_reset, response(202, x_ms_request_id=REQUEST_ID)]
    client.list_services()
    assert client.suspend(ORDERS, client_request_id="n") == REQUEST_ID
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "code"), [(429, ""), (503, "ServerBusy"), (503, "")])
def test_retry_after_is_respected(client, server, pauses, status, code):
    server.script = [response(status, error(code), Retry_After="7"), GOOD]
    assert len(client.list_services()) == 1
    assert pauses == [7.0]


def test_long_retry_after_is_left_to_the_caller(client, server, pauses):
    server.script = [response(503, Retry_After="120")]
    with pytest.raises(ThrottledError) as caught:
        client.list_services()
    assert caught.value.retry_after == 120.0
    assert (len(server.requests), pauses) == (1, [])


def test_throttled_change_is_not_retried(client, server, pauses):
    server.script = [response(429, Retry_After="1"), response(202, x_ms_request_id=REQUEST_ID)]
    with pytest.raises(ThrottledError) as caught:
        client.suspend(ORDERS, client_request_id="n")
    assert caught.value.retry_after == 1.0
    assert (len(server.requests), pauses) == (1, [])


def test_server_error_is_raised_after_the_last_attempt(client, server):
    server.script = [response(500, error("InternalError", "sorry"))]
    with pytest.raises(ServerError, match="500 InternalError: sorry") as caught:
        client.list_services()
    assert caught.value.advice == "retry"
    assert len(server.requests) == MAX_ATTEMPTS


@pytest.mark.parametrize("request_id", ["", "not-an-id"])
def test_change_without_valid_operation_id(client, server, request_id):
    server.script = [response(202, x_ms_request_id=request_id)]
    with pytest.raises(OutcomeUnknownError, match="x-ms-request-id"):
        client.suspend(ORDERS, client_request_id="n")
    assert len(server.requests) == 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("change", [True, False])
def test_refused_connection_is_retried(connect, pauses, change):
    client = connect(free_port())
    with pytest.raises(UnreachableError, match="Connection refused") as caught:
        client.suspend(ORDERS, client_request_id="n") if change else client.list_services()
    assert caught.value.advice == "retry"
    assert len(pauses) == MAX_ATTEMPTS - 1


def test_unknown_host(credentials, pauses):
    from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient

    with BizTalkServicesClient("sub", credentials, host="nowhere.invalid") as client, pytest.raises(UnreachableError):
        client.list_services()


def test_change_is_not_sent_to_a_server_without_tls(connect, pauses):
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(MAX_ATTEMPTS):
                connection, _ = listener.accept()
                with connection:
                    received.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(UnreachableError) as caught:
            connect(listener.getsockname()[1]).suspend(ORDERS, client_request_id="n")
        thread.join(5)
    assert caught.value.advice == "retry"
    assert not any(b"POST" in content for content in received)


def test_connection_reset_during_the_handshake(connect, pauses):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(MAX_ATTEMPTS):
                connection, _ = listener.accept()
                connection.recv(65536)
                reset(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(UnreachableError):
            connect(listener.getsockname()[1]).suspend(ORDERS, client_request_id="n")
        thread.join(5)
    assert len(pauses) == MAX_ATTEMPTS - 1


def test_every_failure_is_a_domain_error_with_a_sentence(client, server):
    for step in [*MALFORMED.values(), response(418), response(999), response(100)]:
        server.script = [hang_up_after(step)]
        with pytest.raises(BackupServiceError) as caught:
            client.get_service(ORDERS)
        assert str(caught.value).endswith(".")
