"""Reads a backup back and compares it with its descriptor."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

from azure.storage.blob import BlobServiceClient, ContainerClient

from biztalk_services.archive.storage import storage_errors
from biztalk_services.archive.verification import BackupDamagedError, _differences, _read
from biztalk_services.model.backup import StoredBlob, VerifiedBackup
from biztalk_services.model.redaction import looks_secret, redact

LARGEST_DESCRIPTOR = 16 * 1024 * 1024


_DESCRIPTOR_TEXTS = ("service", "edition", "product_version", "region", "created_at")


def read_back(
    client: BlobServiceClient, container: str, backup_name: str, *, service_name: str | None = None
) -> VerifiedBackup:
    """Read every blob of a backup and compare it with the descriptor.

    :param client: of the storage account.
    :param container: where the backup is.
    :param backup_name: its name, which its descriptor bears.
    :param service_name: the service that the descriptor must be about, if it says so; None: any.
    :raises BackupDamagedError: a blob is missing, changed or too much; or the descriptor is missing, empty, torn or about
        another service.
    :raises StorageError: the account was not reached or refused.
    """
    account = client.account_name
    with storage_errors(f"read back backup {container} from storage account {account}"):
        return _read_back(client.get_container_client(container), backup_name, service_name, f"{account}/{container}")


def _read_back(container: ContainerClient, backup_name: str, service_name: str | None, subject: str) -> VerifiedBackup:
    descriptor_name = f"{backup_name}.txt"
    listed = {blob.name: blob.size for blob in container.list_blobs()}
    if descriptor_name not in listed:
        there = ", ".join(sorted(listed)[:20]) or "nothing"
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} is missing (there is: {there})"])
    if listed[descriptor_name] > LARGEST_DESCRIPTOR:
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} has {listed[descriptor_name]} bytes"])
    disagreements: list[str] = []
    content = container.download_blob(descriptor_name).readall()
    if not content.strip():
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} is empty"])
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
        raise BackupDamagedError(subject, disagreements)
    return VerifiedBackup(
        container=container.container_name,
        blobs=tuple(sorted(stored)),
        items=_items(document),
        level="read" if expected is None else "matched",
        descriptor=_told(document),
    )


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
