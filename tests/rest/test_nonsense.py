"""The client against a server that answers nonsense, or nothing."""

from __future__ import annotations

import gzip
import socket
import threading
import time

import pytest
from biztalk_services.drivers.biztalk.wire.messages import LARGEST_ANSWER
from biztalk_services.drivers.biztalk.wire.server import TRIES
from biztalk_services.model.errors import (
    BackupServiceError,
    OutcomeUnknownError,
    ServerError,
    ThrottledError,
    UnexpectedResponseError,
    UnreachableError,
)
from biztalk_services.model.service import ServiceRef

from tests.rest.samples import REQUEST_ID, cloud_service, error, fleet, resource
from tests.rest.scripted_server import answer, drip, reset, silence

ORDERS = ServiceRef("contoso-west", "orders")
GOOD = answer(200, fleet(cloud_service(resource())))
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><CloudServices>&c;</CloudServices>'
)
EXTERNAL = b'<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/passwd">]><CloudServices><CloudService>&x;</CloudService></CloudServices>'

NONSENSE = {
    "html": answer(200, "<!DOCTYPE html><html><body>Sign in</body></html>", Content_Type="text/html"),
    "empty": answer(200),
    "blank": answer(200, b" \r\n "),
    "cut xml": answer(200, fleet(cloud_service(resource()))[:-40]),
    "not xml": answer(200, b"\x00\xff\xfe garbage"),
    "json": answer(200, b'{"CloudServices": []}'),
    "entity bomb": answer(200, BOMB),
    "external entity": answer(200, EXTERNAL),
    "other root": answer(200, "<Operation><Status>Succeeded</Status></Operation>"),
    "no state": answer(200, fleet(cloud_service(resource(state="", sub_state="")))),
    "no name": answer(200, fleet(cloud_service(resource(name="")))),
    "path as name": answer(200, fleet(cloud_service(resource(name="../../x")))),
    "too large": answer(200, b"<a>" + b"x" * LARGEST_ANSWER + b"</a>"),
    "gzip bomb": answer(200, gzip.compress(b" " * (LARGEST_ANSWER * 4)), Content_Encoding="gzip"),
    "broken gzip": answer(200, b"no gzip", Content_Encoding="gzip"),
    "redirect": answer(302, Location="https://127.0.0.1:1/elsewhere"),
    "permanent redirect": answer(307, Location="/elsewhere"),
    "no content": answer(204),
    "truncated": GOOD[:-100],
    "no http": b"220 smtp.example ESMTP\r\n\r\n",
    "unknown encoding": answer(200, b'<?xml version="1.0" encoding="x-none"?><CloudServices/>'),
}


def hang_up_after(content: bytes):
    """Announced, where it is an answer: else the next request may still go into the connection that is given up."""
    last = content.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if content.startswith(b"HTTP/") else content

    def step(connection: socket.socket) -> None:
        connection.sendall(last)

    return step


@pytest.mark.parametrize("name", NONSENSE)
def test_a_read_of_nonsense_is_tried_again_and_then_told(client, server, pauses, name):
    server.script = [hang_up_after(NONSENSE[name])]
    with pytest.raises(UnexpectedResponseError) as caught:
        client.list_services()
    assert caught.value.advice == "retry"
    assert "list the services" in str(caught.value)
    assert len(server.asked) == TRIES
    assert pauses == [0.25, 1.0]


@pytest.mark.parametrize("name", [name for name in NONSENSE if name not in ("no state", "no name", "path as name")])
def test_a_change_answered_with_nonsense_is_sent_once_and_its_outcome_unknown(client, server, name):
    server.script = [hang_up_after(NONSENSE[name])]
    with pytest.raises(OutcomeUnknownError) as caught:
        client.suspend(ORDERS, client_request_id="n")
    assert caught.value.advice == "look"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "step", [reset, silence(0), silence(1.5), drip(GOOD, 0.05)], ids=["reset", "hang up", "slow", "drip"]
)
def test_a_change_whose_answer_is_lost_is_sent_once(connect, server, pauses, step):
    server.script = [step]
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError) as caught:
        connect(server.port, timeout=(0.5, 0.5)).resume(ORDERS, client_request_id="n")
    assert caught.value.advice == "look"
    assert "resume service contoso-west/orders" in str(caught.value)
    assert len(server.asked) == 1
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "trouble",
    [reset, *(answer(status) for status in (429, 500, 502, 503, 504)), answer(503, error("ServerBusy")), silence(0)],
)
def test_a_read_survives_passing_trouble(client, server, pauses, trouble):
    server.script = [trouble, trouble, GOOD]
    assert len(client.list_services()) == 1
    assert len(server.asked) == TRIES


def test_a_change_is_not_risked_on_a_kept_connection(client, server):
    def answer_once_then_die(connection: socket.socket) -> None:
        connection.sendall(GOOD)
        if connection.recv(65536):
            reset(connection)

    server.script = [answer_once_then_die, answer(202, x_ms_request_id=REQUEST_ID)]
    client.list_services()
    assert client.suspend(ORDERS, client_request_id="n") == REQUEST_ID
    assert len(server.asked) == 2


@pytest.mark.parametrize(("status", "code"), [(429, ""), (503, "ServerBusy"), (503, "")])
def test_retry_after_is_honoured(client, server, pauses, status, code):
    server.script = [answer(status, error(code), Retry_After="7"), GOOD]
    assert len(client.list_services()) == 1
    assert pauses == [7.0]


def test_a_long_retry_after_is_left_to_the_caller(client, server, pauses):
    server.script = [answer(503, Retry_After="120")]
    with pytest.raises(ThrottledError) as caught:
        client.list_services()
    assert caught.value.retry_after == 120.0
    assert (len(server.asked), pauses) == (1, [])


def test_a_throttled_change_is_not_repeated_here(client, server, pauses):
    server.script = [answer(429, Retry_After="1"), answer(202, x_ms_request_id=REQUEST_ID)]
    with pytest.raises(ThrottledError) as caught:
        client.suspend(ORDERS, client_request_id="n")
    assert caught.value.retry_after == 1.0
    assert (len(server.asked), pauses) == (1, [])


def test_a_troubled_server_is_told_after_the_last_try(client, server):
    server.script = [answer(500, error("InternalError", "sorry"))]
    with pytest.raises(ServerError, match="500 InternalError: sorry") as caught:
        client.list_services()
    assert caught.value.advice == "retry"
    assert len(server.asked) == TRIES


@pytest.mark.parametrize("request_id", ["", "not-an-id"])
def test_a_change_without_usable_operation_id_has_an_unknown_outcome(client, server, request_id):
    server.script = [answer(202, x_ms_request_id=request_id)]
    with pytest.raises(OutcomeUnknownError, match="x-ms-request-id"):
        client.suspend(ORDERS, client_request_id="n")
    assert len(server.asked) == 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("change", [True, False])
def test_a_refused_connection_is_tried_again_because_nothing_was_sent(connect, pauses, change):
    client = connect(free_port())
    with pytest.raises(UnreachableError, match="Connection refused") as caught:
        client.suspend(ORDERS, client_request_id="n") if change else client.list_services()
    assert caught.value.advice == "retry"
    assert len(pauses) == TRIES - 1


def test_an_unknown_host(credentials, pauses):
    from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient

    with BizTalkServicesClient("sub", credentials, host="nowhere.invalid") as client, pytest.raises(UnreachableError):
        client.list_services()


def test_a_change_to_something_that_speaks_no_tls_was_not_sent(connect, pauses):
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(TRIES):
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


def test_a_connection_that_dies_in_the_handshake_sent_nothing(connect, pauses):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(TRIES):
                connection, _ = listener.accept()
                connection.recv(65536)
                reset(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(UnreachableError):
            connect(listener.getsockname()[1]).suspend(ORDERS, client_request_id="n")
        thread.join(5)
    assert len(pauses) == TRIES - 1


def test_every_trouble_is_a_domain_error_with_a_sentence(client, server):
    for step in [*NONSENSE.values(), answer(418), answer(999), answer(100)]:
        server.script = [hang_up_after(step)]
        with pytest.raises(BackupServiceError) as caught:
            client.get_service(ORDERS)
        assert str(caught.value).endswith(".")
