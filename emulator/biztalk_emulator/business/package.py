"""What a backup writes: a service as blobs, and back.

| blob | what |
|---|---|
| ``settings.json`` | service name, region, when, and the service settings with SSL certificate, passwords, keys |
| ``configuration.json`` | partners, agreements, bridges, pipelines, templates, X12 ST01 and GS01 mappings |
| ``artifacts.json`` | assemblies, certificates (private ones with their passwords), transforms |
| ``edi-runtime.json`` | EDI control numbers, AS2 MIC values |
| ``<backup name>.txt`` | the descriptor: sizes and SHA-256 of the others; secret-free, written last |

All of it is UTF-8 JSON with sorted keys: equal input gives equal bytes. The payload holds secrets, as
documented; whoever reads the container can read them. Source: table "Backed up Data" and "Restore" of "BizTalk
Services: Backup and Restore".
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .clock import to_text
from .content import counts
from .errors import PackageDamaged

SCHEMA_VERSION = 1
_SETTINGS, _CONFIGURATION, _ARTIFACTS, _EDI_RUNTIME = (
    "settings.json",
    "configuration.json",
    "artifacts.json",
    "edi-runtime.json",
)
_ARTIFACT_KINDS = ("assemblies", "certificates", "transforms")
_EDI_RUNTIME_KINDS = ("control_numbers", "mic_values")


@dataclass(frozen=True)
class PackedBlob:
    """One blob to write: its name in the container, its bytes, its content type."""

    name: str
    data: bytes
    content_type: str


def pack(service: Mapping[str, Any], *, region: str, backup_name: str, created_at: datetime) -> list[PackedBlob]:
    """The blobs of a backup, in the order in which they have to be written.

    :param service: ``name``, ``settings`` (element names of Create) and ``content`` (:mod:`.content`); anything else,
        such as
        messages in batches, is never part of a backup.
    :param created_at: when the service was read, aware.
    """
    content = service["content"]
    elsewhere = {*_ARTIFACT_KINDS, *_EDI_RUNTIME_KINDS}
    header = {
        "service": service["name"],
        "region": region,
        "backup": backup_name,
        "created_at": to_text(created_at),
        "settings": service["settings"],
    }
    payload = [
        _json_blob(_SETTINGS, header),
        _json_blob(_CONFIGURATION, {kind: content[kind] for kind in content if kind not in elsewhere}),
        _json_blob(_ARTIFACTS, {kind: content[kind] for kind in _ARTIFACT_KINDS}),
        _json_blob(_EDI_RUNTIME, {kind: content[kind] for kind in _EDI_RUNTIME_KINDS}),
    ]
    return [*payload, _descriptor(header, content, payload)]


def describe(blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """The descriptor among the blobs of a container, parsed but not checked against the others.

    :raises PackageDamaged: when there is not exactly one, or it cannot be read.
    """
    names = [name for name in blobs if name.endswith(".txt")]
    if len(names) != 1:
        raise PackageDamaged(f"A backup has exactly one descriptor (.txt); this container has {len(names)}.")
    descriptor = _parse(names[0], blobs[names[0]])
    version = descriptor.get("schema_version") if isinstance(descriptor, dict) else None
    if version != SCHEMA_VERSION:
        raise PackageDamaged(f"'{names[0]}' is no backup descriptor of schema version {SCHEMA_VERSION}.")
    return descriptor


def unpack(blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """The service (``name``, ``settings``, ``content``) as it was packed.

    :param blobs: every blob of the container, by name.
    :raises PackageDamaged: when a blob is missing, truncated, altered or foreign; the sentence names it and what is
        wrong.
    """
    _check_listed(blobs, describe(blobs))
    header = _parse(_SETTINGS, blobs[_SETTINGS])
    content = {
        kind: value
        for name in (_CONFIGURATION, _ARTIFACTS, _EDI_RUNTIME)
        for kind, value in _parse(name, blobs[name]).items()
    }
    name = f"{header['backup']}.txt"
    payload = [PackedBlob(each, blobs[each], "") for each in (_SETTINGS, _CONFIGURATION, _ARTIFACTS, _EDI_RUNTIME)]
    if blobs.get(name) != _descriptor(header, content, payload).data:
        raise PackageDamaged(
            f"The descriptor does not match the payload of backup '{header['backup']}'; it was altered."
        )
    return {"name": header["service"], "settings": header["settings"], "content": content}


def _descriptor(header: Mapping[str, Any], content: Any, payload: list[PackedBlob]) -> PackedBlob:
    settings = header["settings"]
    ssl_certificate = 1 if (settings.get("ServiceCertificate") or {}).get("Data") else 0
    return _json_blob(
        f"{header['backup']}.txt",
        {
            "schema_version": SCHEMA_VERSION,
            "service": header["service"],
            "edition": settings["Edition"],
            "product_version": settings["ServiceVersion"],
            "region": header["region"],
            "created_at": header["created_at"],
            "items": {**counts(content), "ssl_certificates": ssl_certificate},
            "blobs": [
                {"name": blob.name, "size": len(blob.data), "sha256": hashlib.sha256(blob.data).hexdigest()}
                for blob in payload
            ],
        },
        content_type="text/plain; charset=utf-8",
    )


def _check_listed(blobs: Mapping[str, bytes], descriptor: Mapping[str, Any]) -> None:
    try:
        listed = {entry["name"]: (entry["size"], entry["sha256"]) for entry in descriptor["blobs"]}
    except (KeyError, TypeError):
        raise PackageDamaged("The descriptor lists no blobs with name, size and sha256.") from None
    for name in sorted({_SETTINGS, _CONFIGURATION, _ARTIFACTS, _EDI_RUNTIME} - listed.keys()):
        raise PackageDamaged(f"The descriptor does not list '{name}', without which the service cannot be restored.")
    for name, data in blobs.items():
        if name not in listed and not name.endswith(".txt"):
            raise PackageDamaged(f"'{name}' does not belong to this backup: its descriptor does not list it.")
        if name in listed:
            size, digest = listed[name]
            if len(data) != size:
                raise PackageDamaged(f"'{name}' has {len(data)} bytes; the descriptor lists {size}.")
            if hashlib.sha256(data).hexdigest() != digest:
                raise PackageDamaged(f"'{name}' was altered: its SHA-256 is not the one in the descriptor.")
    for name in listed:
        if name not in blobs:
            raise PackageDamaged(f"'{name}' is missing, although the descriptor lists it.")


def _json_blob(name: str, document: Mapping[str, Any], content_type: str = "application/json") -> PackedBlob:
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return PackedBlob(name, text.encode("utf-8"), content_type)


def _parse(name: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except ValueError:
        raise PackageDamaged(f"'{name}' cannot be read as UTF-8 JSON; it was altered or cut.") from None
