"""Errors of a query that a user wrote."""

from __future__ import annotations

from biztalk_services.model.errors import BackupServiceError


class QueryRefusedError(BackupServiceError):
    """The query cannot be asked as it and its connection are configured; the message names the rule and the remedy."""


class QueryTimeoutError(BackupServiceError):
    """The database did not answer within the time that a query has."""

    default_advice = "retry"
