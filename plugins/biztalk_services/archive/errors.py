"""Errors of the archive. This module imports no storage library, so that a DAG file may import it."""

from __future__ import annotations

from typing import ClassVar

from biztalk_services.model.errors import Advice, BackupServiceError


class StorageError(BackupServiceError):
    """Base of every error of the storage account. Which refusal is which: :mod:`biztalk_services.archive.refusals`."""

    of_account: ClassVar[bool] = False
    """Whether the whole account is concerned, and not the one blob or container of the request."""


class StorageConnectionError(StorageError):
    """What was given leads to no storage account: no connection, no address, no key. No request was sent."""

    of_account = True


class StorageKeyMissingError(StorageError):
    """The connection has no account key, which a service needs to write its backup."""


class StorageAuthenticationError(StorageError):
    """The account does not accept the key (401, 403)."""

    of_account = True


class StorageForbiddenError(StorageAuthenticationError):
    """A setting of the account refuses the request, whatever the key: firewall, key access, disabled account (403)."""


class StorageUnreachableError(StorageError):
    """The account cannot be reached, or its response did not arrive whole."""

    default_advice: ClassVar[Advice] = "retry"
    of_account = True


class StorageNotTrustedError(StorageUnreachableError):
    """The certificate of the storage account is not trusted, or there is no TLS; nothing was sent."""

    default_advice = "stop"


class StorageUnavailableError(StorageError):
    """The account is busy or out of order (429, 5xx)."""

    default_advice = "retry"
    of_account = True


class StorageFullError(StorageError):
    """The account takes no more data."""

    of_account = True


class StorageNotFoundError(StorageError):
    """No such container or blob (404)."""


class StorageNotReadyError(StorageError):
    """A container or an account is being created or deleted (409)."""

    default_advice = "retry"


class ContainerExistsError(StorageError):
    """A container of this name exists already (409)."""


class BlobExistsError(StorageError):
    """A blob of this name exists already (409)."""


class StorageChangedError(StorageError):
    """The blob was changed since it was read (412)."""

    default_advice = "check"


class StorageLeasedError(StorageError):
    """Somebody else has a lease on the blob or container (409, 412)."""

    default_advice = "retry"


class StorageImmutableError(StorageError):
    """An immutability policy or a legal hold forbids to change or delete the blob or container (409)."""


class BlobArchivedError(StorageError):
    """The blob is in the archive tier, or still on its way out of it, and cannot be read (409)."""


class StorageRefusedError(StorageError):
    """The account refuses the request for another reason."""


class NotInCatalogError(BackupServiceError):
    """The catalog has no such reference or inventory."""


class AmbiguousServiceError(BackupServiceError):
    """The catalog has backups of several services of this name."""


class AlreadyPublishedError(BackupServiceError):
    """The catalog has another reference or inventory under this name; nothing in it is overwritten."""


class IndexContendedError(BackupServiceError):
    """Others have replaced the index of the catalog each time when it was to be replaced."""

    default_advice: ClassVar[Advice] = "retry"


class RecordNotWrittenError(BackupServiceError):
    """A record has a name that another record has already; that one stays, and this one was not written."""


class ServiceLockedError(BackupServiceError):
    """Another run holds the lock of the service; nothing was changed."""


class WrongAccountError(BackupServiceError):
    """The backup is in another storage account than the one that was read."""


class BackupArchivedError(BackupServiceError):
    """Blobs of the backup are in the archive tier, where they can neither be read nor restored."""


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
