"""Reads a backup back from the storage account: is it there, is it whole?

A backup is a container of its name, with a descriptor ``<name>.txt`` ("BizTalk Services: Backup and Restore"). The
format of the descriptor is not documented; where it is the JSON that lists all other blobs (docs/architecture.md), they
are all compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from azure.storage.blob import BlobServiceClient, ContainerClient

from biztalk_services.archive.storage import StorageNotFoundError, storage_errors
from biztalk_services.model.backup import StoredBlob
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.model.backup import BackupReference


class BackupDamagedError(BackupServiceError):
    """What was read back is not the backup that it should be; the message lists every disagreement.

    :param disagreements: at least one.
    """

    def __init__(self, subject: str, disagreements: list[str]) -> None:
        self.subject = subject
        self.disagreements = tuple(disagreements)
        super().__init__(
            f"Backup {subject} is not whole: {'; '.join(disagreements)}. "
            "Do not rely on it; take another one under a new name."
        )

    def __reduce__(self) -> tuple[type[BackupDamagedError], tuple[str, list[str]]]:
        return type(self), (self.subject, list(self.disagreements))


class WrongAccountError(BackupServiceError):
    """The backup lies in another storage account than the one that was asked."""


def compare_with_reference(client: BlobServiceClient, reference: BackupReference) -> str:
    """Read every blob of a backup and compare it with what was recorded when it was taken.

    :param client: of the storage account.
    :returns: one sentence on what was read.
    :raises BackupDamagedError: a blob is missing, changed or too much, or nothing is there at all.
    :raises WrongAccountError: the backup lies in another account.
    :raises StorageError: the account was not reached or refused.
    """
    if reference.account != client.account_name:
        raise WrongAccountError(
            f"Backup {reference.place} lies in account {reference.account}, and the credentials are those of "
            f"{client.account_name}. Use those of the backup's account."
        )
    container = client.get_container_client(reference.container)
    asked = f"read back backup {reference.container} from storage account {client.account_name}"
    try:
        with storage_errors(asked):
            names = [blob.name for blob in container.list_blobs()]
    except StorageNotFoundError:
        raise BackupDamagedError(reference.place, [f"there is no container {reference.container} any more"]) from None
    with storage_errors(asked):
        stored = {name: _read(container, name) for name in names}
    recorded = {blob.name: blob for blob in reference.blobs}
    if disagreements := list(_differences(recorded, stored, "in its reference")):
        raise BackupDamagedError(reference.place, disagreements)
    return f"All {len(stored)} blobs ({reference.size} bytes) were read back and are what was recorded."


def _read(container: ContainerClient, name: str) -> StoredBlob:
    digest, size = sha256(), 0
    for chunk in container.download_blob(name).chunks():
        digest.update(chunk)
        size += len(chunk)
    return StoredBlob(name, size, digest.hexdigest())


def _differences(expected: dict[str, StoredBlob], stored: dict[str, StoredBlob], listed: str) -> Iterator[str]:
    """:param listed: where the expected blobs are listed."""
    for name in sorted(expected.keys() | stored.keys()):
        wanted, found = expected.get(name), stored.get(name)
        if wanted is None:
            yield f"{name} is not {listed}"
        elif found is None:
            yield f"{name} is missing"
        elif found.size != wanted.size:
            yield f"{name} has {found.size} bytes instead of {wanted.size}"
        elif found.sha256 != wanted.sha256:
            digests = f"SHA-256 {found.sha256[:12]}... instead of {wanted.sha256[:12]}..."
            yield f"{name} has another content than when it was written ({digests})"
