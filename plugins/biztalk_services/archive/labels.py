"""What a list shows of a record, once more as metadata of its blob: so that a listing of names has it for thousands of
records at once, and none of them has to be read.

It holds only together with the content beside which it was written, whose MD5 the account keeps. A record without it
is read.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import md5

from azure.storage.blob import BlobProperties

from biztalk_services.model.listing import ListedBackup

_NAME = "listed"
_FORMAT = 1
_LONGEST = 6000
"""An account takes 8 KiB of metadata."""


def label(listed: ListedBackup, content: bytes) -> dict[str, str]:
    """The metadata of a record with this content; none where it would be too long."""
    values = [_FORMAT, md5(content, usedforsecurity=False).hexdigest(), *listed]
    text = b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()
    return {_NAME: text} if len(text) <= _LONGEST else {}


def labelled(blob: BlobProperties) -> ListedBackup | None:
    """What the metadata of a blob says, None where it has none, or the blob has another content than that time or lies
    in the archive tier."""
    written, text = blob.content_settings.content_md5, (blob.metadata or {}).get(_NAME)
    if not text or not written or blob.blob_tier == "Archive":
        return None
    try:
        number, digest, *values = json.loads(b64decode(text, validate=True))
        listed = ListedBackup._make(values)
    except (ValueError, TypeError):
        return None
    return listed if number == _FORMAT and digest == bytes(written).hex() else None
