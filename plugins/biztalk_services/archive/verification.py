"""Reads a backup back from the storage account and compares it with what was recorded when it was taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from azure.storage.blob import ContainerClient

from biztalk_services.archive.errors import BackupDamagedError, StorageNotFoundError, WrongAccountError
from biztalk_services.archive.storage import StorageAccount, storage_errors
from biztalk_services.model.backup import BackupReference, StoredBlob


def verify_against_reference(account: StorageAccount, reference: BackupReference) -> str:
    """Read every blob of a backup and compare it with its reference.

    :returns: one sentence on what was read.
    :raises BackupDamagedError: a blob is missing, changed or too much, or there is no container.
    :raises WrongAccountError: the backup is in another account.
    :raises StorageError: the account was not reached or refused.
    """
    if reference.account != account.name:
        raise WrongAccountError(
            f"Backup {reference.place} is in account {reference.account}, and the credentials are those of "
            f"{account.name}. Use those of the backup's account."
        )
    container = account.client.get_container_client(reference.container)
    request = f"read back backup {reference.container} from storage account {account.name}"
    try:
        with storage_errors(request):
            names = list(container.list_blob_names())
    except StorageNotFoundError:
        raise BackupDamagedError(reference.place, [f"container {reference.container} does not exist"]) from None
    with storage_errors(request):
        stored = {name: read_blob(container, name) for name in names}
    recorded = {blob.name: blob for blob in reference.blobs}
    if disagreements := list(blob_differences(recorded, stored, "in its reference")):
        raise BackupDamagedError(reference.place, disagreements)
    return f"All {len(stored)} blobs ({reference.size} bytes) were read back and are what was recorded."


def read_blob(container: ContainerClient, name: str) -> StoredBlob:
    """Size and hash of a blob, read piece by piece. Raises as Azure's library does."""
    digest, size = sha256(), 0
    for chunk in container.download_blob(name).chunks():
        digest.update(chunk)
        size += len(chunk)
    return StoredBlob(name, size, digest.hexdigest())


def blob_differences(
    expected: Mapping[str, StoredBlob], stored: Mapping[str, StoredBlob], listed: str
) -> Iterator[str]:
    """One clause for each blob that is missing, changed or too much.

    :param listed: where the expected blobs are listed.
    """
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
