"""The HTTP server by itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from biztalk_emulator.http_server import HttpServer, Response


@contextmanager
def serving(response: Response) -> Iterator[int]:
    """A plain server that answers everything with `response`; gives its port."""
    server = HttpServer("127.0.0.1", 0, lambda request: response)
    server.start()
    yield server.port
    server.stop()
    server.server_close()


def test_a_large_answer_reaches_a_slow_reader_whole():
    body = b"0123456789" * 2_000_000
    with serving(Response(200, body)) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)
        with client.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            while answer.readline() != b"\r\n":
                pass
            assert answer.read() == body
