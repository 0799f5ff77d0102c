"""Errors of this library and the action that each of them requires.

Every error carries ``advice``:

- ``retry``: temporary failure; a read can be repeated, and a change was not started.
- ``check``: read the state of the service or operation before deciding; a change may have been started.
- ``stop``: retrying does not help; an operator has to change something.

HTTP statuses and error codes: "Service Management Status and Error Codes" (ee460801); the state chart's "Operation not
allowed".
"""

from __future__ import annotations

from typing import ClassVar, Literal

Advice = Literal["retry", "check", "stop"]


class BackupServiceError(Exception):
    """Base class of all domain errors.

    :param message: full sentences: the request and its service, the response, the remedy. Contains no secrets.
    :param status: HTTP status of the response, None without response.
    :param code: error code of the response (``ConflictError``, ...), None when absent.
    :param request_id: ``x-ms-request-id`` of the response, for support requests; None when absent.
    :param retry_after: seconds to wait according to the response, None when not specified.
    :param advice: overrides ``default_advice`` of the class.
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
    """The management certificate was rejected (403 ``AuthenticationFailed``, 401, or in the TLS handshake), or partner
    management rejected a newly issued token."""


class ServiceNotFoundError(BackupServiceError):
    """The subscription, the scope or the service does not exist (404)."""


class OperationNotFoundError(BackupServiceError):
    """Both poll addresses returned 404 for the operation; it may have ended long ago or never have started."""

    default_advice = "check"


class OperationNotAllowedError(BackupServiceError):
    """The service's state does not allow the operation, or another operation is running (409 ``ConflictError``)."""

    default_advice = "check"


class PreconditionFailedError(BackupServiceError):
    """The service has changed since its ETag was read (412)."""


class BadRequestError(BackupServiceError):
    """The service rejected the request as a client error (400 and other 4xx)."""


class ThrottledError(BackupServiceError):
    """The service is busy and did not process the request (429, or 503 with ``ServerBusy`` or Retry-After)."""

    default_advice = "retry"


class ServerError(BackupServiceError):
    """The service returned 5xx. Advice for a read: ``retry``; for a change: ``check``, as it may have been started."""

    default_advice = "retry"


class UnreachableError(BackupServiceError):
    """The connection failed (DNS, refused, timeout or TLS); nothing was sent."""

    default_advice: ClassVar[Advice] = "retry"


class ServerNotTrustedError(UnreachableError):
    """The server certificate is not signed by a trusted CA, has expired or names another host; nothing was sent."""

    default_advice = "stop"


class OutcomeUnknownError(BackupServiceError):
    """The response to a change was lost or is unreadable: the change may or may not have been executed."""

    default_advice = "check"


class UnexpectedResponseError(BackupServiceError):
    """The response to a read does not follow this API: HTML, malformed or hostile XML, empty, too large, a redirect."""

    default_advice = "retry"


class InvalidAddressError(BackupServiceError, ValueError):
    """A host, subscription, service or operation is invalid; raised before any request."""


class InvalidRequestError(BackupServiceError, ValueError):
    """A value of a request is invalid; raised before any request."""


NOT_STARTED = (OperationNotAllowedError, ThrottledError, UnreachableError)
"""Errors of a change that was not started and can be requested again."""
