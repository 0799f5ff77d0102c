"""What can go wrong between us and a BizTalk service, and what the caller should do about it.

Every error carries ``advice``:

- ``retry``: passing trouble; the same read may be repeated, and a change was certainly not started.
- ``look``: read the state of the service or operation before deciding; a change may have been started.
- ``stop``: repeating will not help; a person has to change something.

HTTP statuses and error codes: "Service Management Status and Error Codes" (ee460801); the state chart's "Operation not
allowed".
"""

from __future__ import annotations

from typing import ClassVar, Literal

Advice = Literal["retry", "look", "stop"]


class BackupServiceError(Exception):
    """Base of every domain error of this library.

    :param message: full sentences: what was asked of which service, what came back, what to do. Never holds a secret.
    :param status: HTTP status of the answer, None when there was none.
    :param code: error code of the answer (``ConflictError``, ...), None when there was none.
    :param request_id: ``x-ms-request-id`` of the answer, to quote to the service's operators.
    :param retry_after: seconds that the answer asked us to wait, None when it did not.
    :param advice: replaces the advice of the class where the circumstances change it.
    """

    default_advice: ClassVar[Advice] = "stop"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        advice: Advice | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.advice: Advice = advice or self.default_advice


class AuthenticationError(BackupServiceError):
    """The management certificate was not accepted (403 ``AuthenticationFailed``, 401, or refused in the TLS
    handshake), or partner management did not accept a token that was just issued."""


class ServiceNotFoundError(BackupServiceError):
    """No such subscription, cloud service or BizTalk service (404)."""


class OperationNotFoundError(BackupServiceError):
    """Neither poll address knows the operation (404 on both); it may have ended long ago or never have started."""

    default_advice = "look"


class OperationNotAllowedError(BackupServiceError):
    """The service's state does not allow the operation, or another operation is running (409 ``ConflictError``)."""

    default_advice = "look"


class PreconditionFailedError(BackupServiceError):
    """The service was changed since its ETag was read (412)."""


class BadRequestError(BackupServiceError):
    """The service refused the request as wrong (400 and other 4xx)."""


class ThrottledError(BackupServiceError):
    """The service is busy and did not take the request (429, or 503 with ``ServerBusy`` or Retry-After)."""

    default_advice = "retry"


class ServerError(BackupServiceError):
    """The service answered 5xx. To a read: retry. To a change: ``advice`` is ``look``, it may have been started."""

    default_advice = "retry"


class UnreachableError(BackupServiceError):
    """No connection came about (DNS, refused, timeout or TLS); nothing was sent."""

    default_advice = "retry"


class ServerNotTrustedError(UnreachableError):
    """The server's certificate does not lead to a CA that we trust, or names another host; nothing was sent."""

    default_advice = "stop"


class OutcomeUnknownError(BackupServiceError):
    """The answer to a change was lost or cannot be read: it may have been carried out or not."""

    default_advice = "look"


class UnexpectedResponseError(BackupServiceError):
    """The answer to a read is not one of this API: HTML, malformed or hostile XML, empty, too large, a redirect."""

    default_advice = "retry"


class InvalidAddressError(BackupServiceError, ValueError):
    """A host, subscription, service or operation cannot be what it is given as; found before any request was made."""


class InvalidRequestError(BackupServiceError, ValueError):
    """What should be sent cannot be sent as it is given; found before any request was made."""


NOT_TAKEN = (OperationNotAllowedError, ThrottledError, UnreachableError)
"""Errors of a change that was certainly not begun, and may be asked for again."""
