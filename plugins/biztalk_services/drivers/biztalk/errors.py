"""Errors that only this kind of service has."""

from __future__ import annotations

from biztalk_services.model.errors import BackupServiceError


class AccessControlError(BackupServiceError):
    """The Access Control Service gives no token for partner management (401 and other refusals), or there is no key to
    ask it with."""


class SubscriptionDisabledError(BackupServiceError):
    """The subscription is disabled (403 ``SubscriptionDisabled``)."""


class InvalidCertificateError(BackupServiceError):
    """The management certificate or its key cannot be used; found before any request was made."""
