"""Errors that only BizTalk Services raises."""

from __future__ import annotations

from biztalk_services.model.errors import BackupServiceError


class AccessControlError(BackupServiceError):
    """The Access Control Service issued no token for partner management (401 and other 4xx), or the connection has no
    key for it."""


class SubscriptionDisabledError(BackupServiceError):
    """The subscription is disabled (403 ``SubscriptionDisabled``)."""


class InvalidCertificateError(BackupServiceError):
    """The management certificate or its key is unusable; raised before any request."""
