"""Tries for real what a run needs to write, so that a policy of the account refuses before a service is suspended.

Locks and suspension records are created, overwritten under a condition, and deleted. What the catalog holds is only
created, so the catalog may be in a container under an immutability policy: there a probe may stay, one small blob a
day.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import StorageChangedError, StorageError, StorageNotFoundError

_FOLDER = "checks"


def try_records(blobs: Blobs) -> None:
    """Create, overwrite and delete a blob. Another run may do the same with the same blob.

    :raises StorageError: one of it is refused; the message names the policy, lease or setting that refuses.
    """
    path = _path()
    blobs.write_once(path, _probe("created"))
    _, etag = blobs.read_with_etag(path)
    if etag is not None:
        with suppress(StorageChangedError, StorageNotFoundError):
            blobs.replace(path, _probe("overwritten"), etag)
    blobs.delete(path)


def try_catalog(blobs: Blobs) -> None:
    """Create a blob. Deleting it again may be refused.

    :raises StorageError: creating is refused.
    """
    if blobs.write_once(path := _path(), _probe("created")):
        with suppress(StorageError):
            blobs.delete(path)


def _path() -> str:
    return f"{_FOLDER}/{datetime.now(UTC):%Y%m%d}.json"


def _probe(what: str) -> dict[str, str]:
    sentence = "Whether records can be written here was tried before a service was suspended."
    return {"probe": sentence, what: datetime.now(UTC).isoformat()}
