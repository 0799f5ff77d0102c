"""Turns an answer of the service into nothing (all well) or the error that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from biztalk_services.drivers.biztalk.errors import SubscriptionDisabledError
from biztalk_services.drivers.biztalk.wire.messages import ErrorBody, parse_error
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    BadRequestError,
    OperationNotAllowedError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
    UnexpectedResponseError,
)
from biztalk_services.model.redaction import redact

SUCCESSES = (200, 201, 202)
"""The pages say 202 where working code saw 200, and the other way round; what happened is said in the body."""


def _no_other_words(status: int, said: str) -> str | None:
    return None


@dataclass(frozen=True)
class Refusals:
    """How one API, or one request of it, refuses; the defaults are those of the management API.

    :param api: what answers, for an answer that is not in its language.
    :param look: what tells whether a change was carried out, as an order.
    :param successes: statuses that are no refusal.
    :param said: reads code and message of an error body, without the given exact secrets.
    :param kinds: status -> error, where it is not the usual one.
    :param words: (status, message that came with it) -> what to do, None for the usual sentence.
    """

    api: str = "the management API"
    look: str = "Look at the service's state"
    successes: tuple[int, ...] = SUCCESSES
    said: Callable[[bytes, tuple[str, ...]], ErrorBody] = parse_error
    kinds: Mapping[int, type[BackupServiceError]] = field(default_factory=dict)
    words: Callable[[int, str], str | None] = _no_other_words


MANAGEMENT = Refusals()


def refusal(
    asked: str, answer: Response, *, change: bool, secrets: tuple[str, ...] = (), refusals: Refusals = MANAGEMENT
) -> BackupServiceError | None:
    """The error behind an answer, None when it is a success.

    :param asked: what was asked of whom, to begin the sentence with (``Asked https://host to suspend cloud/name``).
    :param answer: what came back.
    :param change: whether the request was to change something, so that a failure on the way leaves its outcome open.
    :param secrets: exact values that must not be repeated.
    :param refusals: how the one that was asked refuses.
    """
    if answer.status in refusals.successes:
        return None
    said = refusals.said(answer.body, secrets)
    facts = {
        "status": answer.status,
        "code": said.code,
        "request_id": request_id(answer.headers),
        "retry_after": retry_after(answer.headers),
    }
    came = f"{asked}; it answered {answer.status}"
    came += f" {said.code}" if said.code else ""
    came += f": {said.message.rstrip('.')}." if said.message else "."
    kind, advice, what_to_do = _judge(answer.status, said.code, facts["retry_after"] is not None, change, refusals)
    kind = refusals.kinds.get(answer.status, kind)
    what_to_do = refusals.words(answer.status, said.message or "") or what_to_do
    return kind(f"{came} {what_to_do}", advice=advice, **facts)


def _judge(
    status: int, code: str | None, says_when: bool, change: bool, refusals: Refusals
) -> tuple[type[BackupServiceError], str | None, str]:
    folded = (code or "").lower()
    if status == 403 and folded == "subscriptiondisabled":
        return SubscriptionDisabledError, None, "Enable the subscription, then run again."
    if status in (401, 403):
        return (
            AuthenticationError,
            None,
            "Check that the management certificate in the connection is uploaded to this subscription and not expired.",
        )
    if status == 404:
        return (
            ServiceNotFoundError,
            None,
            "Check subscription id, cloud service and service name; the service may have been deleted.",
        )
    if status == 409:
        return (
            OperationNotAllowedError,
            None,
            "Look at the service's state and at operations that are running before asking again.",
        )
    if status == 412:
        return PreconditionFailedError, None, "The service was changed meanwhile. Read it again and decide again."
    if status == 429 or (status == 503 and (says_when or folded == "serverbusy")):
        return ThrottledError, None, "The service is busy and did not take the request; ask again later."
    if status >= 500 and change:
        return (
            ServerError,
            "look",
            f"The change may have been started. {refusals.look} before asking again.",
        )
    if status >= 500:
        return ServerError, None, "The trouble is on the service's side; ask again later."
    if 400 <= status < 500:
        return BadRequestError, None, "The service refuses this request as wrong; repeating it will not help."
    if change:
        return (
            OutcomeUnknownError,
            None,
            f"Nobody can say whether the change was carried out. {refusals.look} first.",
        )
    return UnexpectedResponseError, None, f"This is not how {refusals.api} answers; check host, port and proxies."


def request_id(headers: Mapping[str, str]) -> str | None:
    """The ``x-ms-request-id`` of an answer, cleaned for printing; None when absent."""
    return redact(headers.get("x-ms-request-id", ""), limit=64) or None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the ``Retry-After`` of an answer asks to wait, given in seconds or as a date (RFC 9110).

    None when it is absent or not understood.

    :param now: aware time for the date form; default is the ``Date`` of the answer, which the same clock told, or else
        the present.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    at = _instant(text)
    if at is None:
        return None
    return max(0.0, (at - (now or _instant(headers.get("Date", "")) or datetime.now(UTC))).total_seconds())


def _instant(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
