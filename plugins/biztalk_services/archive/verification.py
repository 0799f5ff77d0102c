"""Reads a backup back from the storage account and compares it with what was recorded when it was taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from hashlib import sha256
from threading import Event
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobProperties, ContainerClient, StorageStreamDownloader

from biztalk_services.archive.errors import (
    BackupArchivedError,
    BackupDamagedError,
    StorageNotFoundError,
    WrongAccountError,
)
from biztalk_services.archive.parallel import in_parallel
from biztalk_services.archive.storage import CONTAINER_NOT_FOUND, StorageAccount, storage_errors
from biztalk_services.model.backup import BackupReference, StoredBlob

AT_ONCE = 3
"""How many blobs are read at once."""

PIECE = 11 * 2**20
"""Bytes that one request reads. Azure's library holds a piece twice for a moment, so reading takes up to twice
``AT_ONCE`` pieces of memory, however many blobs there are and however large."""

_PART = 2**20
_MOST_NAMED = 10
_BEYOND_THE_END = 416


def verify_against_reference(account: StorageAccount, reference: BackupReference) -> str:
    """Read every blob of a backup and compare it with its reference.

    :returns: one sentence on what was read.
    :raises BackupDamagedError: a blob is missing, changed or too much, or there is no container.
    :raises BackupArchivedError: a blob is in the archive tier.
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
            listed = list_blobs(container)
    except StorageNotFoundError as error:
        if error.code != CONTAINER_NOT_FOUND:
            raise
        raise BackupDamagedError(reference.place, [f"container {reference.container} does not exist"]) from None
    refuse_archived(listed, reference.place)
    stored = {blob.name: blob for blob in read_blobs(container, [blob.name for blob in listed], request)}
    recorded = {blob.name: blob for blob in reference.blobs}
    if disagreements := list(blob_differences(recorded, stored, "in its reference")):
        raise BackupDamagedError(reference.place, disagreements)
    return f"All {len(stored)} blobs ({reference.size} bytes) were read back and are what was recorded."


def list_blobs(container: ContainerClient) -> list[BlobProperties]:
    """The blobs of a container, without the folders that an account with a hierarchical namespace lists among them.
    Raises as Azure's library does."""
    return [
        blob
        for blob in container.list_blobs(include=["metadata"])
        if blob.size or (blob.metadata or {}).get("hdi_isfolder", "").lower() != "true"
    ]


def refuse_archived(blobs: Sequence[BlobProperties], subject: str) -> None:
    """Nothing when every blob can be read.

    :param subject: ``account/container`` of the backup.
    :raises BackupArchivedError: a blob is in the archive tier; the message names it.
    """
    archived = sorted(blob.name for blob in blobs if blob.blob_tier == "Archive")
    if not archived:
        return
    more = len(archived) - _MOST_NAMED
    named = ", ".join(archived[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    coming = sum(bool(blob.archive_status) for blob in blobs)
    under_way = f" {coming} of them are being rehydrated." if coming else ""
    raise BackupArchivedError(
        f"Backup {subject} cannot be read, because blobs of it are in the archive tier: {named}.{under_way} They have "
        "to be rehydrated before it can be verified or restored: set their tier to Hot or Cool, and wait until that is "
        "done (up to 15 hours)."
    )


def read_blobs(
    container: ContainerClient, names: Iterable[str], request: str, *, at_once: int = AT_ONCE
) -> Iterator[StoredBlob]:
    """Size and hash of each blob as it is stored, in the order of the names, several at once.

    When the first error is raised, or nobody takes more, what is under way ends with its present piece.

    :param request: what is requested of which account, to complete the sentence "Could not ...".
    :raises StorageError: a blob was not read; the message names it.
    """
    ended = Event()

    def read(name: str) -> StoredBlob:
        with storage_errors(f"{request}: blob {name}"):
            return read_blob(container, name, ended)

    yield from in_parallel(read, names, threads=at_once, ended=ended)


def read_blob(container: ContainerClient, name: str, ended: Event) -> StoredBlob:
    """Size and hash of a blob as it is stored, read piece by piece, all of one version. Raises as Azure's library does.

    :raises CancelledError: ``ended`` was set before the end of the blob.
    """
    digest, size = sha256(), 0
    blob = container.get_blob_client(name)
    same_version: dict[str, Any] = {}
    while not ended.is_set():
        if piece := _begin_piece(blob, size, same_version):
            # Whatever holds a piece as well, or the one before, multiplies the memory.
            while part := piece.read(_PART):
                digest.update(part)
            size += piece.size
            same_version = {"etag": piece.properties.etag, "match_condition": MatchConditions.IfNotModified}
        if not piece or piece.size < PIECE:
            return StoredBlob(name, size, digest.hexdigest())
        del piece
    raise CancelledError


def _begin_piece(
    blob: BlobClient, offset: int, same_version: Mapping[str, Any]
) -> StorageStreamDownloader[bytes] | None:
    """The piece that begins there, None at the end of the blob."""
    try:
        # Without decompress=False a blob that is labelled as compressed would be decompressed.
        return blob.download_blob(offset, PIECE, decompress=False, **same_version)
    except HttpResponseError as error:
        if error.status_code != _BEYOND_THE_END:
            raise
        return None


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
