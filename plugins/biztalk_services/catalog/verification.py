"""Reads a backup back from the storage account: is it there, is it whole?

A backup is a container of its name, with a descriptor ``<name>.txt`` ("BizTalk Services: Backup and Restore"). The
format of the descriptor is not documented; where it is the JSON that lists all other blobs (docs/architecture.md), they
are all compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from azure.storage.blob import BlobServiceClient, ContainerClient

from biztalk_services.catalog.storage import StorageNotFound, storage_errors
from biztalk_services.rest.errors import BizTalkServicesError
from biztalk_services.rest.redaction import looks_secret, redact

if TYPE_CHECKING:
    from biztalk_services.catalog.reference import BackupReference

Level = Literal["matched", "read"]
"""``matched``: every blob was read and is what the descriptor lists. ``read``: the same without a list to compare."""

LARGEST_DESCRIPTOR = 16 * 1024 * 1024
_DESCRIPTOR_TEXTS = ("service", "edition", "product_version", "region", "created_at")


class BackupNotWhole(BizTalkServicesError):
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

    def __reduce__(self) -> tuple[type[BackupNotWhole], tuple[str, list[str]]]:
        return type(self), (self.subject, list(self.disagreements))


class BackupElsewhere(BizTalkServicesError):
    """The backup lies in another storage account than the one that was asked."""


@dataclass(frozen=True, order=True)
class StoredBlob:
    """A blob as it was read.

    :param name: inside its container.
    :param size: bytes.
    :param sha256: of the content, lower-case hex.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class VerifiedBackup:
    """A backup that was read back whole.

    :param container: where it is.
    :param blobs: all of them, the descriptor too, by name.
    :param items: how many of each kind are in it; None where the descriptor does not count.
    :param level: how far it was checked.
    :param descriptor: what the descriptor says of service, edition, version, region and creation, where it is readable.
    """

    container: str
    blobs: tuple[StoredBlob, ...]
    items: dict[str, int | None]
    level: Level
    descriptor: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


def read_back(
    client: BlobServiceClient, container: str, backup_name: str, *, service_name: str | None = None
) -> VerifiedBackup:
    """Read every blob of a backup and compare it with the descriptor.

    :param client: of the storage account.
    :param container: where the backup is.
    :param backup_name: its name, which its descriptor bears.
    :param service_name: the service that the descriptor must be about, if it says so; None: any.
    :raises BackupNotWhole: a blob is missing, changed or too much; or the descriptor is missing, empty, torn or about
        another service.
    :raises StorageError: the account was not reached or refused.
    """
    account = client.account_name
    with storage_errors(f"read back backup {container} from storage account {account}"):
        return _read_back(client.get_container_client(container), backup_name, service_name, f"{account}/{container}")


def compare_with_reference(client: BlobServiceClient, reference: BackupReference) -> str:
    """Read every blob of a backup and compare it with what was recorded when it was taken.

    :param client: of the storage account.
    :returns: one sentence on what was read.
    :raises BackupNotWhole: a blob is missing, changed or too much, or nothing is there at all.
    :raises BackupElsewhere: the backup lies in another account.
    :raises StorageError: the account was not reached or refused.
    """
    if reference.account != client.account_name:
        raise BackupElsewhere(
            f"Backup {reference.place} lies in account {reference.account}, and the credentials are those of "
            f"{client.account_name}. Use those of the backup's account."
        )
    container = client.get_container_client(reference.container)
    asked = f"read back backup {reference.container} from storage account {client.account_name}"
    try:
        with storage_errors(asked):
            names = [blob.name for blob in container.list_blobs()]
    except StorageNotFound:
        raise BackupNotWhole(reference.place, [f"there is no container {reference.container} any more"]) from None
    with storage_errors(asked):
        stored = {name: _read(container, name) for name in names}
    recorded = {blob.name: blob for blob in reference.blobs}
    if disagreements := list(_differences(recorded, stored, "in its reference")):
        raise BackupNotWhole(reference.place, disagreements)
    return f"All {len(stored)} blobs ({reference.size} bytes) were read back and are what was recorded."


def _read_back(container: ContainerClient, backup_name: str, service_name: str | None, subject: str) -> VerifiedBackup:
    descriptor_name = f"{backup_name}.txt"
    listed = {blob.name: blob.size for blob in container.list_blobs()}
    if descriptor_name not in listed:
        there = ", ".join(sorted(listed)[:20]) or "nothing"
        raise BackupNotWhole(subject, [f"the descriptor {descriptor_name} is missing (there is: {there})"])
    if listed[descriptor_name] > LARGEST_DESCRIPTOR:
        raise BackupNotWhole(subject, [f"the descriptor {descriptor_name} has {listed[descriptor_name]} bytes"])
    disagreements: list[str] = []
    content = container.download_blob(descriptor_name).readall()
    if not content.strip():
        raise BackupNotWhole(subject, [f"the descriptor {descriptor_name} is empty"])
    stored = [StoredBlob(descriptor_name, len(content), sha256(content).hexdigest())]
    for name in sorted(listed.keys() - {descriptor_name}):
        blob = _read(container, name)
        if blob.size != listed[name]:
            disagreements.append(f"{name} is listed with {listed[name]} bytes, but {blob.size} were read")
        stored.append(blob)
    document = _document(content, descriptor_name, disagreements)
    expected = _blob_list(document, disagreements)
    if expected is not None:
        disagreements += [f"the descriptor {descriptor_name} lists itself"] if descriptor_name in expected else []
        others = {name: blob for name, blob in expected.items() if name != descriptor_name}
        disagreements += _differences(others, {blob.name: blob for blob in stored[1:]}, "in the descriptor's list")
    said = document.get("service")
    if service_name and isinstance(said, str) and said.lower() != service_name.lower():
        disagreements.append(f"the descriptor is about service {redact(said, limit=64)}, not {service_name}")
    if disagreements:
        raise BackupNotWhole(subject, disagreements)
    return VerifiedBackup(
        container=container.container_name,
        blobs=tuple(sorted(stored)),
        items=_items(document),
        level="read" if expected is None else "matched",
        descriptor=_told(document),
    )


def _read(container: ContainerClient, name: str) -> StoredBlob:
    digest, size = sha256(), 0
    for chunk in container.download_blob(name).chunks():
        digest.update(chunk)
        size += len(chunk)
    return StoredBlob(name, size, digest.hexdigest())


def _document(content: bytes, name: str, disagreements: list[str]) -> dict[str, Any]:
    """The descriptor as JSON object, empty when its format is an unknown one; what begins like JSON has to be it."""
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            disagreements.append(f"the descriptor {name} begins like JSON, but is torn or damaged")
        return {}
    return document if isinstance(document, dict) else {}


def _blob_list(document: dict[str, Any], disagreements: list[str]) -> dict[str, StoredBlob] | None:
    """The blobs that the descriptor lists; None when it has no list."""
    entries = document.get("blobs")
    if entries is None:
        return None
    expected: dict[str, StoredBlob] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        blob = _entry(entry)
        if blob is None or blob.name in expected:
            disagreements.append(
                f"the descriptor's list of blobs has an unusable entry ({redact(str(entry), limit=80)})"
            )
        else:
            expected[blob.name] = blob
    return expected


def _entry(entry: Any) -> StoredBlob | None:
    try:
        name, size, digest = entry["name"], entry["size"], entry["sha256"]
    except (KeyError, TypeError):
        return None
    usable = isinstance(name, str) and type(size) is int and isinstance(digest, str)
    return StoredBlob(name, size, digest.lower()) if usable and re.fullmatch(r"[0-9a-fA-F]{64}", digest) else None


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


def _items(document: dict[str, Any]) -> dict[str, int | None]:
    items = document.get("items")
    if not isinstance(items, dict):
        return {}
    return {
        redact(str(kind), limit=100): count if type(count) is int and count >= 0 else None
        for kind, count in items.items()
    }


def _told(document: dict[str, Any]) -> dict[str, str]:
    texts = {name: document[name] for name in _DESCRIPTOR_TEXTS if isinstance(document.get(name), str)}
    return {name: text for name, text in texts.items() if len(text) <= 200 and not looks_secret(text)}
