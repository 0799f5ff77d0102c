"""A proxy in front of Azurite that makes chosen requests fail as a storage account would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.storage.blob import BlobServiceClient

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, Azurite
from tests.archive.storage_policy import ImmutabilityPolicy


@dataclass
class Trouble:
    """What happens to the next requests of a kind.

    :param method: of the requests.
    :param part: what their path and query contain.
    :param status: status of the response, without a request to Azurite; 0: pass the request on, and spoil the response.
    :param code: error code that goes with the status; empty: the response has none.
    :param keeps: how much of Azurite's response comes back, 0 to 1; none at all when it is 0.
    :param count: how many requests.
    """

    method: str
    part: str = ""
    status: int = 0
    code: str = ""
    keeps: float = 0.0
    count: int = 1


class TroubledStorage:
    """The proxy.

    :param azurite: what is behind it.
    :param port: that it listens on; 0: a free one.
    """

    def __init__(self, azurite: Azurite, port: int = 0) -> None:
        self.azurite = azurite
        self.troubles: list[Trouble] = []
        self.policy: ImmutabilityPolicy | None = None
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """The endpoint of the account behind the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{ACCOUNT}"

    def client(self, retries: int = 0) -> BlobServiceClient:
        """A client of the account behind the proxy."""
        credential = {"account_name": ACCOUNT, "account_key": KEY}
        return BlobServiceClient(
            self.url,
            credential=credential,
            api_version=API_VERSION,
            retry_total=retries,
            initial_backoff=0,
            increment_base=0,
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _trouble(self, method: str, path: str) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.count and trouble.method == method and trouble.part in path:
                trouble.count -= 1
                return trouble
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                storage.requests.append(f"{self.command} {self.path}")
                trouble = storage._trouble(self.command, self.path)
                if storage.policy:
                    code = storage.policy.refuses(self.command, self.path, self.headers, storage.azurite)
                    trouble = Trouble(self.command, status=409, code=code) if code else trouble
                if trouble and trouble.status:
                    self.refuse(trouble)
                    return
                connection = HTTPConnection("127.0.0.1", storage.azurite.port, timeout=30)
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                response = connection.getresponse()
                content = response.read()
                connection.close()
                if trouble and not trouble.keeps:
                    self.close_connection = True
                    return
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "keep-alive"):
                        self.send_header(name, value)
                length = response.headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if trouble:
                    content, self.close_connection = content[: int(len(content) * trouble.keeps)], True
                self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on

            def refuse(self, trouble: Trouble) -> None:
                body = f"<?xml version='1.0'?><Error><Code>{trouble.code}</Code><Message>No.</Message></Error>".encode()
                self.send_response(trouble.status)
                if trouble.code:
                    self.send_header("x-ms-error-code", trouble.code)
                self.send_header("x-ms-request-id", "of-the-proxy")
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Nothing is logged."""

        return Handler


@contextmanager
def troubled(azurite: Azurite) -> Iterator[TroubledStorage]:
    """A proxy for the time of a test."""
    storage = TroubledStorage(azurite)
    try:
        yield storage
    finally:
        storage.stop()
