"""Turns an answer of the service into nothing (all well) or the error that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from biztalk_services.rest.errors import (
    AuthenticationFailed,
    BadRequest,
    BizTalkServicesError,
    OperationNotAllowed,
    OutcomeUnknown,
    PreconditionFailed,
    ServerTroubled,
    ServiceNotFound,
    SubscriptionDisabled,
    Throttled,
    UnexpectedAnswer,
)
from biztalk_services.rest.messages import parse_error
from biztalk_services.rest.redaction import redact
from biztalk_services.rest.transport import Answer

SUCCESSES = (200, 201, 202)
"""The pages say 202 where working code saw 200, and the other way round; what happened is said in the body."""


def refusal(asked: str, answer: Answer, *, change: bool, secrets: tuple[str, ...] = ()) -> BizTalkServicesError | None:
    """The error behind an answer, None when it is a success.

    :param asked: what was asked of whom, to begin the sentence with (``Asked https://host to suspend cloud/name``).
    :param answer: what came back.
    :param change: whether the request was to change something, so that a failure on the way leaves its outcome open.
    :param secrets: exact values that must not be repeated.
    """
    if answer.status in SUCCESSES:
        return None
    said = parse_error(answer.body)
    code = said.code and redact(said.code, secrets, limit=64)
    facts = {
        "status": answer.status,
        "code": code,
        "request_id": request_id(answer.headers),
        "retry_after": retry_after(answer.headers),
    }
    came = f"{asked}; it answered {answer.status}"
    came += f" {code}" if code else ""
    came += f": {redact(said.message, secrets).rstrip('.')}." if said.message else "."
    kind, advice, what_to_do = _judge(answer.status, said.code, facts["retry_after"] is not None, change)
    return kind(f"{came} {what_to_do}", advice=advice, **facts)


def _judge(
    status: int, code: str | None, says_when: bool, change: bool
) -> tuple[type[BizTalkServicesError], str | None, str]:
    folded = (code or "").lower()
    if status == 403 and folded == "subscriptiondisabled":
        return SubscriptionDisabled, None, "Enable the subscription, then run again."
    if status in (401, 403):
        return (
            AuthenticationFailed,
            None,
            "Check that the management certificate in the connection is uploaded to this subscription and not expired.",
        )
    if status == 404:
        return (
            ServiceNotFound,
            None,
            "Check subscription id, cloud service and service name; the service may have been deleted.",
        )
    if status == 409:
        return (
            OperationNotAllowed,
            None,
            "Look at the service's state and at operations that are running before asking again.",
        )
    if status == 412:
        return PreconditionFailed, None, "The service was changed meanwhile. Read it again and decide again."
    if status == 429 or (status == 503 and (says_when or folded == "serverbusy")):
        return Throttled, None, "The service is busy and did not take the request; ask again later."
    if status >= 500 and change:
        return (
            ServerTroubled,
            "look",
            "The change may have been started; look at the service's state before asking again.",
        )
    if status >= 500:
        return ServerTroubled, None, "The trouble is on the service's side; ask again later."
    if 400 <= status < 500:
        return BadRequest, None, "The service refuses this request as wrong; repeating it will not help."
    if change:
        return (
            OutcomeUnknown,
            None,
            "Nobody can say whether the change was carried out; look at the service's state first.",
        )
    return UnexpectedAnswer, None, "This is not how the management API answers; check host, port and proxies."


def request_id(headers: Mapping[str, str]) -> str | None:
    """The ``x-ms-request-id`` of an answer, cleaned for printing; None when absent."""
    return redact(headers.get("x-ms-request-id", ""), limit=64) or None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the ``Retry-After`` of an answer asks to wait, given in seconds or as a date (RFC 9110).

    None when it is absent or not understood.

    :param now: aware time for the date form; default is the present.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
