"""HTTP/1.1 servers, plain and with TLS, that pass each request to a function and can break an answer on purpose.

TLS is done by pyOpenSSL because Python's ``ssl`` ends the handshake when it cannot verify a client certificate, while
the management API answers such a caller with 403.
"""

from __future__ import annotations

import io
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from OpenSSL import SSL

MAX_BODY = 4 * 1024 * 1024
IDLE_SECONDS = 60
DISCARD_SECONDS = 2
DISCARD_BYTES = 16 * MAX_BODY


class Delivery(Enum):
    """How an answer is sent."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    TWICE = "twice"
    RESET = "reset"


@dataclass(frozen=True)
class UnreadBody:
    """A body that was refused before it was read.

    :param status: 400, 411 or 413.
    :param sentence: what was refused and what to do.
    """

    status: HTTPStatus
    sentence: str


@dataclass(frozen=True)
class Request:
    """One request as received.

    :param path: without query, percent-decoded.
    :param query: raw text after the question mark.
    :param headers: names in lower case.
    :param client_certificate: what the caller presented in the TLS handshake, not verified yet.
    :param unread: why the body was not read, with the status to answer; the connection ends with the answer.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    client_certificate: x509.Certificate | None = None
    unread: UnreadBody | None = None


@dataclass
class Response:
    """One answer.

    :param delay: seconds to wait before it is sent.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE
    delay: float = 0.0


Application = Callable[[Request], Response]


class _TlsStream(io.RawIOBase):
    """A byte stream over a TLS connection."""

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._connection.recv_into(buffer)
        except SSL.ZeroReturnError:
            return 0
        except SSL.WantReadError:
            raise TimeoutError("The client sent nothing for too long.") from None
        except (SSL.SysCallError, SSL.Error) as error:
            raise ConnectionResetError("The client closed the connection.") from error

    def write(self, data: Any) -> int:
        try:
            self._connection.sendall(bytes(data))
        except (SSL.WantWriteError, SSL.WantReadError):
            raise TimeoutError("The client read nothing for too long.") from None
        except (SSL.SysCallError, SSL.Error) as error:
            raise ConnectionResetError("The client closed the connection.") from error
        return len(data)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HttpServer
    tls: SSL.Connection | None = None
    certificate: x509.Certificate | None = None

    def setup(self) -> None:
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if self.server.tls_context is None:
            self._limit_idle(IDLE_SECONDS)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            return
        self.tls = SSL.Connection(self.server.tls_context, self.connection)
        self._limit_idle(IDLE_SECONDS)
        self.tls.set_accept_state()
        stream = _TlsStream(self.tls)
        self.rfile, self.wfile = io.BufferedReader(stream), stream

    def handle(self) -> None:
        try:
            if self.tls is not None:
                self.tls.do_handshake()
                self.certificate = self.tls.get_peer_certificate(as_cryptography=True)
            super().handle()
        except (SSL.Error, ConnectionError, TimeoutError):
            self.close_connection = True

    def finish(self) -> None:
        if self.tls is not None:
            with suppress(SSL.Error):
                self.tls.shutdown()

    def answer(self) -> None:
        unread = self._refusal_of_body()
        body = b"" if unread else self._body()
        self.close_connection = self.close_connection or unread is not None
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(path), query, headers, body, self.certificate, unread)
        response = self.server.application(request)
        if response.delay and self.server.stopping.wait(response.delay):
            response.delivery = Delivery.RESET
        self._deliver(response)
        if unread and response.delivery is not Delivery.RESET:
            self._discard()

    def __getattr__(self, name: str) -> Any:
        """Answer every verb: the application decides which are valid."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def _refusal_of_body(self) -> UnreadBody | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            return UnreadBody(
                HTTPStatus.LENGTH_REQUIRED, "Chunked bodies are not accepted; send the header Content-Length."
            )
        if not (length.isascii() and length.isdigit()):
            return UnreadBody(
                HTTPStatus.BAD_REQUEST, "The header Content-Length must be the number of bytes of the body."
            )
        if len(length) > 18 or int(length) > MAX_BODY:
            return UnreadBody(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes; send a smaller one."
            )
        return None

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("The body ended early.")
        return body

    def _discard(self) -> None:
        """Read what a client still sends: closing before that could reset the connection and lose the answer."""
        self._limit_idle(DISCARD_SECONDS)
        with suppress(ConnectionError, TimeoutError):
            left = DISCARD_BYTES
            while left > 0 and (chunk := self.rfile.read1(65536)):
                left -= len(chunk)

    def _limit_idle(self, seconds: int) -> None:
        if self.tls is None:
            self.connection.settimeout(seconds)
            return
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))

    def _deliver(self, response: Response) -> None:
        if response.delivery is Delivery.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection, self.tls = True, None
            self.connection.close()
            return
        body, length = response.body, len(response.body)
        if response.delivery is Delivery.TRUNCATED:
            body, length = body[: length // 2], max(length, 1)
            self.close_connection = True
        reason = HTTPStatus(response.status).phrase if response.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {response.status} {reason}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines.append(f"Content-Length: {length}")
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        answer = head if self.command == "HEAD" else head + body
        self.wfile.write(answer * 2 if response.delivery is Delivery.TWICE else answer)
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        """Log nothing: the journal records every request."""


class HttpServer(ThreadingHTTPServer):
    """Serves `application` from threads of its own.

    :param tls_context: None for plain HTTP.
    :raises OSError: when the address is taken.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, application: Application, tls_context: SSL.Context | None = None) -> None:
        self.application = application
        self.tls_context = tls_context
        self.stopping = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server_address[1]

    def server_bind(self) -> None:
        """Bind without a name server request for the own name, as ``HTTPServer`` would."""
        TCPServer.server_bind(self)

    def start(self) -> None:
        """Start to serve requests."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        """Stop: no new request is accepted."""
        self.stopping.set()
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Name the kind of an unexpected error on stderr."""
        kind = sys.exc_info()[0]
        print(f"{time.strftime('%H:%M:%S')} a connection ended with {kind and kind.__name__}", file=sys.stderr)


def tls_context(certificate_chain: Path, private_key: Path, *, request_certificate: bool = True) -> SSL.Context:
    """Make a TLS 1.2+ server context.

    :param request_certificate: request a client certificate, and accept every one in the handshake.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(certificate_chain))
    context.use_privatekey_file(str(private_key))
    if request_certificate:
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context
