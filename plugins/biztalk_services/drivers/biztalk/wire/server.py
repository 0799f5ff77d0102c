"""One HTTPS server, spoken to in domain errors.

A read is repeated a few times when the trouble looks passing. A change is sent once: again only when no connection came
about, so that nothing can have arrived.
"""

from __future__ import annotations

import logging
import ssl
import string
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import TypeVar
from urllib.parse import quote

from biztalk_services.drivers.biztalk.wire.messages import UnreadableError
from biztalk_services.drivers.biztalk.wire.responses import MANAGEMENT, Refusals, refusal, request_id
from biztalk_services.drivers.biztalk.wire.transport import (
    CertificateRefusedError,
    Method,
    NotConnectedError,
    Response,
    ResponseLostError,
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

TRIES = 3
LONGEST_PAUSE = 30.0
"""Seconds of Retry-After that a call waits itself; when asked for more it raises, and the caller may wait."""

_PRINTABLE = string.punctuation + " "

T = TypeVar("T")


class Server:
    """Reads and changes at one server under one TLS context.

    :param origin: ``https://host:port``.
    :param context: presents our certificate, if any, and decides whom to trust.
    :param timeout: seconds to connect, seconds until the whole answer is there.
    :param handshake: a sentence's end for the day when the server breaks the TLS handshake off because of us: what it
        refused and what to do.
    """

    def __init__(
        self, origin: str, context: ssl.SSLContext, timeout: tuple[float, float], *, handshake: Callable[[str], str]
    ) -> None:
        self.origin = origin
        self._handshake = handshake
        self._transport = Transport(origin, context, timeout)

    def close(self) -> None:
        """Close the connections; the next exchange opens new ones."""
        self._transport.close()

    def read(
        self,
        target: str,
        asked: str,
        headers: Mapping[str, str],
        parse: Callable[[Response], T],
        *,
        method: Method = "GET",
        body: bytes | None = None,
        secrets: tuple[str, ...] = (),
        refusals: Refusals = MANAGEMENT,
    ) -> T:
        """What the answer says; asked up to ``TRIES`` times.

        :param target: path and query, encoded.
        :param asked: what is asked, to stand behind "Asked https://host to".
        :param parse: reads an answer; raises Unreadable when it cannot.
        :param method: POST for what only reads all the same.
        :param secrets: exact values that no error may repeat.
        :raises BackupServiceError: the server refused, or could not be reached or understood.
        """
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._exchange(
                    method, target, asked, headers, body, change=False, secrets=secrets, refusals=refusals
                )
                try:
                    return parse(answer)
                except UnreadableError as error:
                    raise UnexpectedResponseError(
                        f"Asked {self.origin} to {asked}; it answered {answer.status}, but {error}. "
                        "Ask again later; if it stays so, check host, port and proxies.",
                        status=answer.status,
                        request_id=request_id(answer.headers),
                    ) from None
            except BackupServiceError as error:
                if error.advice != "retry" or attempt == TRIES or (error.retry_after or 0) > LONGEST_PAUSE:
                    raise
                pause(attempt, TRIES, error)
        raise AssertionError("unreachable")

    def change(
        self,
        method: Method,
        target: str,
        asked: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        secrets: tuple[str, ...] = (),
        refusals: Refusals = MANAGEMENT,
    ) -> Response:
        """The answer to a change that was accepted; parameters as :meth:`read`.

        :raises OutcomeUnknownError: sent, but the answer was lost or is none.
        :raises BackupServiceError: refused, or not reached.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._exchange(
                    method, target, asked, headers, body, change=True, secrets=secrets, refusals=refusals
                )
            except UnreachableError as error:
                if error.advice != "retry" or attempt == TRIES:
                    raise
                pause(attempt, TRIES, error)
        raise AssertionError("unreachable")

    def _exchange(
        self,
        method: Method,
        target: str,
        asked: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        change: bool,
        secrets: tuple[str, ...],
        refusals: Refusals,
    ) -> Response:
        """One request; its answer if it is a success, else the error that it means."""
        began = monotonic()
        failure: BackupServiceError | None = None
        try:
            answer = self._transport.exchange(method, target, headers, body)
        except NotConnectedError as error:
            kind = ServerNotTrustedError if error.untrusted else UnreachableError
            what_to_do = (
                "Its certificate is not one that we trust: it must name this host, be within its dates and lead to a "
                "CA that we know; set ca_bundle in the connection to the CA that signed it."
                if error.untrusted
                else "Nothing was sent. Check host, port and network; it may be down for the moment."
            )
            failure = kind(f"Could not connect to {self.origin} to {asked} ({error.reason}). {what_to_do}")
        except CertificateRefusedError as error:
            failure = AuthenticationError(f"Asked {self.origin} to {asked}; {self._handshake(str(error))}")
        except ResponseLostError as error:
            what_to_do = f"{refusals.look} before asking again." if change else "Ask again later."
            failure = (OutcomeUnknownError if change else UnexpectedResponseError)(
                f"Asked {self.origin} to {asked}; no whole answer came back ({error.reason}). {what_to_do}"
            )
        else:
            failure = refusal(
                f"Asked {self.origin} to {asked}", answer, change=change, secrets=secrets, refusals=refusals
            )
        log.debug(
            "%s %s: %s in %.3f s", method, target, failure or f"{answer.status} {request_id(answer.headers)}",
            monotonic() - began,
        )  # fmt: skip
        if failure:
            raise failure
        return answer


def header_value(text: str) -> str:
    """A text as it may stand in a header: what could end or break it is percent-encoded."""
    return quote(text, safe=_PRINTABLE)


def pause(attempt: int, tries: int, error: BackupServiceError) -> None:
    """Wait before the next try, as long as the error asks for or a little longer each time."""
    seconds = error.retry_after if error.retry_after is not None else 0.25 * 4 ** (attempt - 1)
    log.info("Try %s of %s failed, next in %.2f s: %s", attempt, tries, seconds, error)
    sleep(seconds)
