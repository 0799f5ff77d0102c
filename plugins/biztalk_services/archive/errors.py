"""Errors of the archive. This module imports no storage library, so that a DAG file may import it."""

from __future__ import annotations

from biztalk_services.model.errors import BackupServiceError


class StorageError(BackupServiceError):
    """Base of every error of the storage account."""


class StorageKeyMissingError(StorageError):
    """The connection has no account key, which a service needs to write its backup."""


class StorageAuthenticationError(StorageError):
    """The account does not accept the key, or not from this network (401, 403)."""


class StorageUnreachableError(StorageError):
    """The account cannot be reached, or its response did not arrive whole."""

    default_advice = "retry"


class StorageUnavailableError(StorageError):
    """The account is busy or out of order (429, 5xx)."""

    default_advice = "retry"


class StorageNotFoundError(StorageError):
    """No such container or blob (404)."""


class ContainerExistsError(StorageError):
    """A container of this name exists already, or is still being deleted (409)."""


class StorageRefusedError(StorageError):
    """The account refuses the request for another reason."""


class NotInCatalogError(BackupServiceError):
    """The catalog has no such reference or inventory."""


class AlreadyPublishedError(BackupServiceError):
    """The catalog has another reference or inventory under this name; nothing in it is overwritten."""


class ServiceLockedError(BackupServiceError):
    """Another run holds the lock of the service; nothing was changed."""


class WrongAccountError(BackupServiceError):
    """The backup is in another storage account than the one that was read."""


class BackupDamagedError(BackupServiceError):
    """What was read back is not the backup that it should be; the message lists every disagreement.

    :param subject: ``account/container``.
    :param disagreements: at least one.
    """

    def __init__(self, subject: str, disagreements: list[str]) -> None:
        self.subject = subject
        self.disagreements = tuple(disagreements)
        super().__init__(
            f"Backup {subject} is damaged: {'; '.join(disagreements)}. "
            "Do not rely on it; take another one under a new name."
        )

    def __reduce__(self) -> tuple[type[BackupDamagedError], tuple[str, list[str]]]:
        return type(self), (self.subject, list(self.disagreements))
