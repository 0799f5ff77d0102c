"""HTTPS requests to one server, with retries and domain errors.

A read is repeated after temporary failures. A change is sent once; it is repeated only when the connection failed, so
that nothing was sent.
"""

from __future__ import annotations

import logging
import ssl
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TypeVar
from urllib.parse import quote

from biztalk_services.drivers.biztalk.wire.messages import UnreadableError
from biztalk_services.drivers.biztalk.wire.responses import MANAGEMENT, ErrorMapping, error_of, request_id
from biztalk_services.drivers.biztalk.wire.transport import (
    MAX_RESPONSE_BYTES,
    CertificateRejectedError,
    Method,
    NotConnectedError,
    Response,
    ResponseLostError,
    TooLargeError,
    Transport,
)
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    OutcomeUnknownError,
    ServerNotTrustedError,
    UnexpectedResponseError,
    UnreachableError,
)

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
MAX_RETRY_PAUSE = 30.0
"""Longest Retry-After in seconds that is waited here; a longer one is raised and left to the caller."""

_PRINTABLE = string.punctuation + " "

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    :param action: verb phrase for messages (``suspend service cloud/name``).
    :param secrets: exact values to redact from errors.
    :param max_bytes: limit of the response's body.
    """

    method: Method
    target: str
    action: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    mapping: ErrorMapping = MANAGEMENT
    max_bytes: int = MAX_RESPONSE_BYTES


class Server:
    """One HTTPS server; parameters as :class:`Transport`.

    :param handshake: reason -> clause for the error when the server rejects the client certificate: cause and remedy.
    """

    def __init__(
        self,
        origin: str,
        context: ssl.SSLContext,
        timeout: tuple[float, float],
        *,
        handshake: Callable[[str], str],
        tls_names: tuple[str, ...] = (),
    ) -> None:
        self.origin = origin
        self._handshake = handshake
        self._transport = Transport(origin, context, timeout, tls_names)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._transport.close()

    def read(self, request: Request, parse: Callable[[Response], T]) -> T:
        """The response as parsed (which may raise UnreadableError); up to ``MAX_ATTEMPTS`` attempts.

        :raises BackupServiceError: the request was rejected, the server is unreachable or the response unreadable.
        """

        def attempt() -> T:
            response = self._send(request, change=False)
            try:
                return parse(response)
            except UnreadableError as error:
                raise UnexpectedResponseError(
                    f"{self.describe(request.action)} failed: HTTP {response.status}, but {error}. Retry later; if the "
                    "error persists, check host, port and proxies.",
                    status=response.status,
                    request_id=request_id(response.headers),
                ) from None

        return _retry(attempt, BackupServiceError)

    def change(self, request: Request) -> Response:
        """The response to an accepted change.

        :raises OutcomeUnknownError: the request was sent, but its response was lost or is not HTTP.
        :raises BackupServiceError: the request was rejected, or the server is unreachable.
        """
        return _retry(lambda: self._send(request, change=True), UnreachableError)

    def describe(self, action: str) -> str:
        """Subject of a message about a request."""
        return f"Request to {self.origin} to {action}"

    def _send(self, request: Request, *, change: bool) -> Response:
        start = monotonic()
        outcome: Response | BackupServiceError
        try:
            outcome = self._transport.exchange(
                request.method, request.target, request.headers, request.body, request.max_bytes
            )
        except (NotConnectedError, CertificateRejectedError, ResponseLostError, TooLargeError) as error:
            outcome = self._failure(request, error, change)
        else:
            subject, secrets = self.describe(request.action), request.secrets
            outcome = error_of(subject, outcome, change=change, secrets=secrets, mapping=request.mapping) or outcome
        summary = f"{outcome.status} {request_id(outcome.headers)}" if isinstance(outcome, Response) else outcome
        log.debug("%s %s: %s in %.3f s", request.method, request.target, summary, monotonic() - start)
        if isinstance(outcome, BackupServiceError):
            raise outcome
        return outcome

    def _failure(self, request: Request, error: Exception, change: bool) -> BackupServiceError:
        if isinstance(error, NotConnectedError):
            failed = f"Could not connect to {self.origin} to {request.action} ({error})."
            if error.distrust:
                return ServerNotTrustedError(f"{failed} {error.distrust}")
            remedy = error.no_tls or "Check host, port and network; the server may be temporarily down."
            return UnreachableError(f"{failed} Nothing was sent. {remedy}")
        failed = f"{self.describe(request.action)} failed:"
        if isinstance(error, CertificateRejectedError):
            return AuthenticationError(f"{failed} {self._handshake(str(error))}")
        failed += f" {error}." if isinstance(error, TooLargeError) else f" no complete response ({error})."
        if change:
            return OutcomeUnknownError(
                f"{failed} The outcome of the change is unknown. {request.mapping.recheck} before retrying."
            )
        if isinstance(error, TooLargeError):
            return UnexpectedResponseError(
                f"{failed} Trying again does not help; check that host and port are those of the service.",
                advice="stop",
            )
        return UnexpectedResponseError(f"{failed} Retry later.")


def _retry(attempt: Callable[[], T], retryable: type[BackupServiceError]) -> T:
    for number in range(1, MAX_ATTEMPTS):
        try:
            return attempt()
        except retryable as error:
            if error.advice != "retry" or (error.retry_after or 0) > MAX_RETRY_PAUSE:
                raise
            pause(number, MAX_ATTEMPTS, error)
    return attempt()


def header_value(text: str) -> str:
    """A text as header value; control and non-ASCII characters are percent-encoded."""
    return quote(text, safe=_PRINTABLE)


def pause(attempt: int, attempts: int, error: BackupServiceError) -> None:
    """Wait before the next attempt: ``retry_after`` of the error, else exponential backoff from 0.25 s."""
    seconds = error.retry_after if error.retry_after is not None else 0.25 * 4 ** (attempt - 1)
    log.info("Attempt %s of %s failed, retrying in %.2f s: %s", attempt, attempts, seconds, error)
    sleep(seconds)
