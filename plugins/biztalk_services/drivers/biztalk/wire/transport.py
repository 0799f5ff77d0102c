"""One HTTPS exchange: connect, send, read a bounded response. Distinguishes unsent requests from lost responses."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from biztalk_services.model.tls import causes, distrust, no_tls

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Largest response that is read, where a request names no other limit."""

_CHUNK = 65536


class NotConnectedError(Exception):
    """The connection failed; nothing was sent.

    :param distrust: sentences on the server certificate, where that was rejected; else empty.
    :param no_tls: sentences on why TLS could not be agreed; else empty.
    """

    def __init__(self, reason: str, *, distrust: str = "", no_tls: str = "") -> None:
        super().__init__(reason)
        self.distrust, self.no_tls = distrust, no_tls


class CertificateRejectedError(Exception):
    """The server rejected the client certificate in the TLS handshake; the request was not processed."""


class ResponseLostError(Exception):
    """The request may have arrived; its response is missing or incomplete."""


class TooLargeError(Exception):
    """The response is larger than the limit of the request."""


@dataclass(frozen=True)
class Response:
    """An HTTP response: status, headers (case-insensitive), complete body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Socket(ssl.SSLSocket):
    """Limits the total response time; the timeout of urllib3 applies to each read only."""

    response_deadline: float | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.response_deadline is not None and time.monotonic() > self.response_deadline:
            raise TimeoutError
        return super().recv_into(*args, **kwargs)


class _Connection(HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            if rejection := _certificate_rejection(error):
                raise rejection from None
            raise NotConnectedError(
                _root_cause(error), distrust=distrust(error) or "", no_tls=no_tls(error) or ""
            ) from None

    def getresponse(self) -> Any:
        if isinstance(self.sock, _Socket) and self.timeout:
            self.sock.response_deadline = time.monotonic() + self.timeout
        return super().getresponse()


class _ConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _Connection


_POOL_CLASSES = {"http": HTTPConnectionPool, "https": _ConnectionPool}


class _Adapter(HTTPAdapter):
    """Uses one TLS context unchanged; requests would add its own CAs to it.

    :param tls_name: host name that the server certificate has to be for; empty: that of the origin.
    """

    def __init__(self, context: ssl.SSLContext, tls_name: str) -> None:
        context.sslsocket_class = _Socket
        self._context, self._tls_name = context, tls_name or None
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, server_hostname=self._tls_name, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOL_CLASSES

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, server_hostname=self._tls_name, **kwargs)
        manager.pool_classes_by_scheme = _POOL_CLASSES
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


Method = Literal["GET", "POST", "PUT", "DELETE", "MERGE"]


class Transport:
    """HTTPS exchanges with one server under one TLS context.

    :param origin: ``https://host:port``.
    :param context: TLS context with the client certificate, if any, and the trusted CAs.
    :param timeout: connect timeout and total response timeout, seconds.
    :param tls_names: host names, one of which the server certificate has to be for; empty: that of the origin.
    """

    def __init__(
        self, origin: str, context: ssl.SSLContext, timeout: tuple[float, float], tls_names: tuple[str, ...] = ()
    ) -> None:
        self._origin = origin
        self._timeout = timeout
        self._sessions = [self._session(context, name) for name in tls_names or ("",)]

    def _session(self, context: ssl.SSLContext, tls_name: str) -> requests.Session:
        session = requests.Session()
        # Ignores .netrc and REQUESTS_CA_BUNDLE; only the proxies are taken from the environment.
        session.trust_env = False
        session.proxies = get_environ_proxies(self._origin)
        session.mount("https://", _Adapter(context, tls_name))
        return session

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def exchange(
        self,
        method: Method,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """One request and its response; sent at most once, redirects are not followed.

        :param target: path and query, encoded.
        :param max_bytes: limit of the response's body, decoded.
        :raises NotConnectedError: nothing was sent.
        :raises CertificateRejectedError: the server rejected the client certificate in the handshake.
        :raises ResponseLostError: the request may have been sent, but no complete response arrived in time.
        :raises TooLargeError: the response is larger than the limit.
        """
        for session in self._sessions[:-1]:
            try:
                return self._exchange(session, method, target, headers, body, max_bytes)
            except NotConnectedError as error:
                if not error.distrust:
                    raise
        return self._exchange(self._sessions[-1], method, target, headers, body, max_bytes)

    def _exchange(
        self,
        session: requests.Session,
        method: Method,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        max_bytes: int,
    ) -> Response:
        if method != "GET":
            # A kept-alive connection may be dead; a change sent over it has an unknown outcome.
            session.get_adapter(self._origin).close()
        try:
            response = session.request(
                method,
                self._origin + target,
                headers=dict(headers),
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                return Response(response.status_code, response.headers, _read(response, max_bytes))
        except (NotConnectedError, CertificateRejectedError, requests.RequestException, HTTPError, OSError) as error:
            failure = _translate(error)
        raise failure


def _read(response: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(f"the response is larger than {max_bytes} bytes")
    return bytes(body)


def _translate(error: Exception) -> Exception:
    for cause in causes(error):
        if isinstance(cause, NotConnectedError | CertificateRejectedError):
            return cause
    return _certificate_rejection(error) or ResponseLostError(_root_cause(error))


def _root_cause(error: BaseException) -> str:
    found = causes(error)
    for cause in reversed(found):
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or 'connection closed'}"
        if isinstance(cause, TimeoutError):
            return "timed out"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror
    if any("timed out" in str(cause).lower() for cause in found):
        return "timed out"
    return str(found[-1]) or type(found[-1]).__name__


def _certificate_rejection(error: BaseException) -> CertificateRejectedError | None:
    """With TLS 1.3 the rejection of the client certificate arrives after the handshake, in place of the response."""
    for cause in causes(error):
        reason = (cause.reason or "").upper() if isinstance(cause, ssl.SSLError) else ""
        if "ALERT" in reason and any(
            word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT")
        ):
            return CertificateRejectedError(reason)
    return None
