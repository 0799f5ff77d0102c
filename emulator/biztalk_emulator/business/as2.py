"""AS2 identifiers (RFC 4130): the Message-ID, and the message integrity check (MIC) a receipt has to repeat."""

import base64
import hashlib

from .content import AS2Settings

MEDIA_TYPE = {"X12": "application/edi-x12", "EDIFACT": "application/edifact", "AS2": "application/xml"}


def message_id(unique: str, host: str) -> str:
    """``<unique@host>``, as RFC 5322 requires."""
    return f"<{unique}@{host}>"


def mic(payload: bytes, media_type: str, settings: AS2Settings) -> str:
    """The MIC, base64, of a payload (RFC 4130, 7.3.1).

    For a signed or encrypted message the digest covers the MIME headers and the content; for a plain one the content
    alone.
    """
    covered = payload
    if settings["Signed"] or settings["Encrypted"]:
        covered = f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode("ascii") + payload
    return base64.b64encode(hashlib.new(settings["MicAlgorithm"], covered).digest()).decode("ascii")
