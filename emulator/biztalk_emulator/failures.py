"""Why an operation fails, in the terms in which both forms of operation status report it."""

from __future__ import annotations

from typing import Any


class OperationFailure(Exception):
    """Something outside the emulator failed an operation.

    :param http_code: 4xx or 5xx.
    :param code: error code of the management API, e.g. ``BadRequest``.
    :param extended_code: a word for programs.
    :param message: one sentence without secrets.
    """

    def __init__(self, http_code: int, code: str, extended_code: str, message: str) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {
            "http_code": http_code,
            "code": code,
            "message": message,
            "extended_code": extended_code,
        }
