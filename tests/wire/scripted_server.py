"""A loopback HTTPS server with scripted raw responses; records its requests."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import parse_headers
from io import BytesIO
from pathlib import Path

from tests.wire.pki import Identity

Step = bytes | Callable[[socket.socket], None]


@dataclass(frozen=True)
class RecordedRequest:
    """One request as received."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def response(status: int, body: bytes | str = b"", **headers: str) -> bytes:
    """A complete HTTP response; header names with underscores for dashes."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reset(connection: socket.socket) -> None:
    """Reset the connection, as a crashing machine does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silence(seconds: float) -> Callable[[socket.socket], None]:
    """Send nothing for some seconds, then close."""
    return lambda connection: time.sleep(seconds)


def drip(content: bytes, pause: float) -> Callable[[socket.socket], None]:
    """Send the response byte by byte."""

    def step(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for value in content:
                connection.sendall(bytes([value]))
                time.sleep(pause)

    return step


@dataclass
class ScriptedServer:
    """Responds with the steps of ``script``, one per request; the last step is repeated."""

    server: Identity
    ca_file: Path
    folder: Path
    tls13: bool = True
    client_certificate: bool = True
    requests: list[RecordedRequest] = field(default_factory=list)
    script: list[Step] = field(default_factory=list)

    def __enter__(self) -> ScriptedServer:
        certificate, key = self.server.write(self.folder, "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if self.client_certificate else ssl.CERT_NONE
        if not self.tls13:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def present(self, other: Identity) -> None:
        """Use another certificate from the next connection on."""
        self._context.load_cert_chain(*other.write(self.folder, "another-server"))

    def targets(self, method: str) -> list[str]:
        return [request.target for request in self.requests if request.method == method]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as connection,
        ):
            try:
                connection.do_handshake()
            except ssl.SSLError:
                socket.socket.shutdown(connection, socket.SHUT_WR)
                while socket.socket.recv(connection, 65536):
                    pass  # an immediate close would reset the connection, and the alert with the reason could be lost
                return
            while request := self._request(connection):
                self.requests.append(request)
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if callable(step):
                    step(connection)
                    return
                connection.sendall(step)

    @staticmethod
    def _request(connection: socket.socket) -> RecordedRequest | None:
        content = b""
        while b"\r\n\r\n" not in content:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            content += chunk
        head, _, body = content.partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        headers = {name.lower(): value for name, value in parse_headers(BytesIO(rest + b"\r\n\r\n")).items()}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, target, _ = line.decode().split(" ")
        return RecordedRequest(method, target, headers, body)
