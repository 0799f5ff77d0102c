"""Reads a backup back and compares it with its descriptor."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

from azure.storage.blob import ContainerClient

from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.archive.storage import storage_errors
from biztalk_services.archive.verification import blob_differences, list_blobs, read_blobs, refuse_archived
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.model.backup import BackupContent, StoredBlob
from biztalk_services.model.redaction import redact

LARGEST_DESCRIPTOR = 16 * 1024 * 1024


def read_back(target: BackupTarget, service_name: str | None = None) -> BackupContent:
    """Read every blob of a backup and compare it with the descriptor.

    A backup is a container of its name, with a descriptor ``<name>.txt`` ("BizTalk Services: Backup and Restore"). The
    format of the descriptor is not documented; where it is the JSON that lists all other blobs (docs/architecture.md),
    they are all compared.

    :param service_name: the service that the descriptor must be about, if it names one; None: any.
    :raises BackupDamagedError: a blob is missing, changed or too much; or the descriptor is missing, empty, torn or
        about another service.
    :raises BackupArchivedError: a blob is in the archive tier.
    :raises StorageError: the account was not reached or refused.
    """
    account = target.account
    request = f"read back backup {target.name} from storage account {account.name}"
    with storage_errors(request):
        container = account.client.get_container_client(target.name)
        blobs = list_blobs(container)
        refuse_archived(blobs, f"{account.name}/{target.name}")
        listed = {blob.name: blob.size for blob in blobs}
        return _read_back(container, listed, target.name, service_name, f"{account.name}/{target.name}", request)


def _read_back(
    container: ContainerClient,
    listed: dict[str, int],
    backup_name: str,
    service_name: str | None,
    subject: str,
    request: str,
) -> BackupContent:
    descriptor_name = f"{backup_name}.txt"
    if descriptor_name not in listed:
        there = ", ".join(sorted(listed)[:20]) or "nothing"
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} is missing (there is: {there})"])
    if listed[descriptor_name] > LARGEST_DESCRIPTOR:
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} has {listed[descriptor_name]} bytes"])
    disagreements: list[str] = []
    content = container.download_blob(descriptor_name, decompress=False).readall()
    if not content.strip():
        raise BackupDamagedError(subject, [f"the descriptor {descriptor_name} is empty"])
    stored = [StoredBlob(descriptor_name, len(content), sha256(content).hexdigest())]
    for blob in read_blobs(container, sorted(listed.keys() - {descriptor_name}), request):
        if blob.size != listed[blob.name]:
            disagreements.append(f"{blob.name} is listed with {listed[blob.name]} bytes, but {blob.size} were read")
        stored.append(blob)
    document = _document(content, descriptor_name, disagreements)
    expected = _blob_list(document, disagreements)
    if expected is not None:
        disagreements += [f"the descriptor {descriptor_name} lists itself"] if descriptor_name in expected else []
        others = {name: blob for name, blob in expected.items() if name != descriptor_name}
        disagreements += blob_differences(others, {blob.name: blob for blob in stored[1:]}, "in the descriptor's list")
    named = document.get("service")
    if service_name and isinstance(named, str) and named.lower() != service_name.lower():
        disagreements.append(f"the descriptor is about service {redact(named, limit=64)}, not {service_name}")
    if disagreements:
        raise BackupDamagedError(subject, disagreements)
    return BackupContent(tuple(sorted(stored)), _items(document), "read" if expected is None else "matched")


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
            shown = redact(str(entry), limit=80)
            disagreements.append(f"the descriptor's list of blobs has an unusable entry ({shown})")
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
