"""Maps HTTP responses to domain errors."""

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
"""The documents state 202 where working clients received 200, and vice versa; only the body is significant."""

_REJECTED_CERTIFICATE = (
    AuthenticationError,
    "Check that the management certificate in the connection is uploaded to this subscription and has not expired.",
)
_BY_STATUS: Mapping[int, tuple[type[BackupServiceError], str]] = {
    401: _REJECTED_CERTIFICATE,
    403: _REJECTED_CERTIFICATE,
    404: (
        ServiceNotFoundError,
        "Check subscription id, cloud service and service name; the service may have been deleted.",
    ),
    409: (OperationNotAllowedError, "Check the service's state and its running operations before retrying."),
    412: (PreconditionFailedError, "The service has changed since its ETag was read. Read it again and decide again."),
}


@dataclass(frozen=True)
class ErrorMapping:
    """The errors of one API or one of its requests; defaults: management API.

    :param api: name of the API, for unexpected responses.
    :param recheck: instruction (without period) for finding out whether a change was executed.
    :param parse: (body, secrets to redact) -> code and message of the error.
    :param kinds: status -> error class, overrides the default class.
    :param remedy: (status, message of the response) -> remedy; None: default remedy.
    """

    api: str = "the management API"
    recheck: str = "Check the service's state"
    successes: tuple[int, ...] = SUCCESSES
    parse: Callable[[bytes, tuple[str, ...]], ErrorBody] = parse_error
    kinds: Mapping[int, type[BackupServiceError]] = field(default_factory=dict)
    remedy: Callable[[int, str], str | None] = lambda status, message: None


MANAGEMENT = ErrorMapping()


def error_of(
    request: str, response: Response, *, change: bool, secrets: tuple[str, ...] = (), mapping: ErrorMapping = MANAGEMENT
) -> BackupServiceError | None:
    """The error of a response, None for a success.

    :param request: subject of the message (``Request to https://host to suspend service cloud/name``).
    :param change: whether the request changes something; the outcome of a failed change can be unknown.
    """
    if response.status in mapping.successes:
        return None
    body = mapping.parse(response.body, secrets)
    wait = retry_after(response.headers)
    kind, remedy = _classify(response.status, body.code, wait, change, mapping)
    code = f" {body.code}" if body.code else ""
    message = f": {body.message.rstrip('.')}" if body.message else ""
    return mapping.kinds.get(response.status, kind)(
        f"{request} failed: HTTP {response.status}{code}{message}. "
        + (mapping.remedy(response.status, body.message or "") or remedy),
        status=response.status,
        code=body.code,
        request_id=request_id(response.headers),
        retry_after=wait,
        advice="check" if change and kind is ServerError else None,
    )


def _classify(
    status: int, code: str | None, wait: float | None, change: bool, mapping: ErrorMapping
) -> tuple[type[BackupServiceError], str]:
    code = (code or "").lower()
    if status == 403 and code == "subscriptiondisabled":
        return SubscriptionDisabledError, "Enable the subscription, then run again."
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 429 or (status == 503 and (wait is not None or code == "serverbusy")):
        return ThrottledError, "The service is busy and did not process the request; retry later."
    if status >= 500:
        if change:
            return ServerError, f"The change may have been started. {mapping.recheck} before retrying."
        return ServerError, "The error is on the server side; retry later."
    if status >= 400:
        return BadRequestError, "The service rejected the request (client error); retrying does not help."
    if change:
        return OutcomeUnknownError, f"The outcome of the change is unknown. {mapping.recheck} first."
    return UnexpectedResponseError, f"Unexpected response from {mapping.api}; check host, port and proxies."


def request_id(headers: Mapping[str, str]) -> str | None:
    """The ``x-ms-request-id`` of a response, redacted; None when absent."""
    return redact(headers.get("x-ms-request-id", ""), limit=64) or None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """``Retry-After`` of a response in seconds, from either form (seconds or date, RFC 9110).

    None when it is absent or invalid.

    :param now: aware time for the date form; default: the ``Date`` of the response (same clock), else the current time.
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
