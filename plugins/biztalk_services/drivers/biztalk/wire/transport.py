"""One HTTPS exchange: connect, send, read a bounded answer. Tells apart what never left from what may have arrived."""

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

from biztalk_services.drivers.biztalk.wire.messages import LARGEST_ANSWER

_CHUNK = 65536


class NotConnectedError(Exception):
    """No connection came about, so nothing was sent. ``reason`` says why; ``untrusted`` when the server's
    certificate was refused."""

    def __init__(self, reason: str, *, untrusted: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.untrusted = untrusted


class CertificateRefusedError(Exception):
    """The server broke off the TLS handshake because of our certificate; the request was not looked at."""


class ResponseLostError(Exception):
    """The request may have arrived; its answer did not, or not whole. ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Response:
    """An HTTP answer: status, headers (any case), whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Socket(ssl.SSLSocket):
    """Gives up on an answer that comes drop by drop, which never meets the timeout of a single read."""

    answer_due: float | None = None

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.answer_due is not None and time.monotonic() > self.answer_due:
            raise TimeoutError
        return super().recv_into(*args, **kwargs)


class _Connection(HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            if refused := _refusal_of_ours(error):
                raise refused from None
            raise NotConnectedError(_innermost(error), untrusted=_is_distrust(error)) from None

    def getresponse(self) -> Any:
        if isinstance(self.sock, _Socket) and self.timeout:
            self.sock.answer_due = time.monotonic() + self.timeout
        return super().getresponse()


class _ConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    """Uses one TLS context as it is; requests would add its own CAs to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        context.sslsocket_class = _Socket
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _ConnectionPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _ConnectionPool}
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


Method = Literal["GET", "POST", "PUT", "DELETE", "MERGE"]


class Transport:
    """HTTPS exchanges with one server under one TLS context.

    :param origin: ``https://host:port``.
    :param context: presents our certificate, if any, and decides whom to trust.
    :param timeout: seconds to connect, seconds until the whole answer is there.
    """

    def __init__(self, origin: str, context: ssl.SSLContext, timeout: tuple[float, float]) -> None:
        self._origin = origin
        self._timeout = timeout
        self._session = requests.Session()
        # No .netrc and no REQUESTS_CA_BUNDLE; of the environment only the proxies count.
        self._session.trust_env = False
        self._session.proxies = get_environ_proxies(origin)
        self._session.mount("https://", _Adapter(context))

    def close(self) -> None:
        self._session.close()

    def exchange(self, method: Method, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        """One request, one answer; sent at most once, redirects not followed.

        :param target: path and query, encoded.
        :raises NotConnectedError: nothing was sent.
        :raises CertificateRefusedError: the server refused our certificate in the handshake.
        :raises ResponseLostError: sent, or perhaps sent, but no whole answer within the read timeout.
        """
        if method != "GET":
            # A kept connection may be dead, and nobody would know what arrived.
            self._session.get_adapter(self._origin).close()
        try:
            response = self._session.request(
                method,
                self._origin + target,
                headers=dict(headers),
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                return Response(response.status_code, response.headers, _read(response))
        except (NotConnectedError, CertificateRefusedError, requests.RequestException, HTTPError, OSError) as error:
            failure = _translate(error)
        raise failure


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise requests.RequestException(f"the answer is larger than {LARGEST_ANSWER} bytes")
    return bytes(body)


def _translate(error: Exception) -> Exception:
    for cause in _chain(error):
        if isinstance(cause, NotConnectedError | CertificateRefusedError):
            return cause
    return _refusal_of_ours(error) or ResponseLostError(_innermost(error))


def _chain(error: BaseException) -> list[BaseException]:
    """The error and everything it was made of, outermost first."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
    return found


def _innermost(error: BaseException) -> str:
    chain = _chain(error)
    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or 'broken off'}"
        if isinstance(cause, TimeoutError):
            return "timed out"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror
    if any("timed out" in str(cause).lower() for cause in chain):
        return "timed out"
    return str(chain[-1]) or type(chain[-1]).__name__


def _is_distrust(error: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _chain(error))


def _refusal_of_ours(error: BaseException) -> CertificateRefusedError | None:
    """With TLS 1.3 the server refuses our certificate only after the handshake, in place of an answer."""
    for cause in _chain(error):
        reason = (cause.reason or "").upper() if isinstance(cause, ssl.SSLError) else ""
        if "ALERT" in reason and any(
            word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT")
        ):
            return CertificateRefusedError(reason)
    return None
