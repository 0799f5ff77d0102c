"""Requests through the HTTP proxy of the environment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from biztalk_services.model.errors import UnreachableError
from biztalk_services.model.service import ServiceRef

from tests.wire.samples import REQUEST_ID
from tests.wire.scripted_server import response

ORDERS = ServiceRef("contoso-west", "orders")


class Proxy:
    """Responds to CONNECT with a status and, after 200, forwards all bytes."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(65536)
                self.requests.append(head.decode())
                client.sendall(f"HTTP/1.1 {self.status} Because\r\n\r\n".encode())
                if self.status != 200:
                    client.close()
                    continue
                host, port = head.split(b" ")[1].split(b":")
                server = socket.create_connection((host, int(port)))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(params=[200, 407])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    running = Proxy(request.param)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", running.url)
    yield running
    running.close()


def test_requests_through_the_proxy_with_client_certificate(proxy, server, connect, pauses):
    server.script = [response(202, x_ms_request_id=REQUEST_ID)]
    client = connect(server.port)
    if proxy.status == 200:
        assert client.suspend(ORDERS, client_request_id="n") == REQUEST_ID
    else:
        with pytest.raises(UnreachableError, match="407"):
            client.suspend(ORDERS, client_request_id="n")
        assert server.requests == []
    assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{server.port} ")
    assert "x-ms" not in proxy.requests[0]


def test_no_proxy_is_respected(proxy, server, connect, pauses, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.script = [response(202, x_ms_request_id=REQUEST_ID)]
    assert connect(server.port).suspend(ORDERS, client_request_id="n") == REQUEST_ID
    assert proxy.requests == []
