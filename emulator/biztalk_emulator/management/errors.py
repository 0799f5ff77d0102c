"""Refusals of the management API (REST reference, section 1.4)."""

from __future__ import annotations

from biztalk_emulator.http_server import UnreadBody


class ManagementError(Exception):
    """A request that is refused.

    :param status: HTTP status.
    :param code: error code, e.g. ``ResourceNotFound``.
    :param message: what the caller reads.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> ManagementError:
    """A parameter was incorrect."""
    return ManagementError(400, "BadRequest", message)


def invalid_xml(message: str) -> ManagementError:
    """The body is not the XML that the operation needs."""
    return ManagementError(400, "InvalidXmlRequest", message)


def invalid_query(message: str) -> ManagementError:
    """A query parameter is missing or wrong."""
    return ManagementError(400, "MissingOrInvalidRequiredQueryParameter", message)


def invalid_verb(method: str) -> ManagementError:
    """The verb does not fit the resource."""
    return ManagementError(400, "InvalidHttpVerb", f"The HTTP verb {method} is not valid for this resource.")


def version_header(message: str) -> ManagementError:
    """The header x-ms-version is missing or wrong."""
    return ManagementError(400, "MissingOrIncorrectVersionHeader", message)


def authentication_failed() -> ManagementError:
    """No certificate, or one that the subscription does not trust."""
    return ManagementError(
        403,
        "AuthenticationFailed",
        "The server failed to authenticate the request. Verify that the certificate is valid and is associated with "
        "this subscription.",
    )


def not_found(what: str) -> ManagementError:
    """There is no such thing."""
    return ManagementError(404, "ResourceNotFound", f"{what} does not exist.")


def conflict(message: str) -> ManagementError:
    """A conflict prevented the operation."""
    return ManagementError(409, "ConflictError", message)


def not_allowed() -> ManagementError:
    """The state chart forbids it; the text is the chart's."""
    return conflict("Operation not allowed")


def unread_body(unread: UnreadBody) -> ManagementError:
    """The body was refused before it was read."""
    return ManagementError(unread.status, "BadRequest", unread.sentence)


def precondition_failed() -> ManagementError:
    """The ETag differs."""
    return ManagementError(
        412, "PreconditionFailed", "The ETag in the If-Match header is not the ETag of the resource."
    )
