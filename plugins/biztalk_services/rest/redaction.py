"""Keeps secrets out of everything that a server says and we repeat."""

from __future__ import annotations

import re

_SECRET_NAMES = "AccountKey|SharedAccess(?:Key|Signature)|Password|Pwd|[A-Z]*Secret|AccessControlKey|IssuerKey|sig"
_SECRET_PAIR = re.compile(rf"(?i)\b({_SECRET_NAMES})([\"']?\s*[=:>]\s*)(\"[^\"]*\"|'[^']*'|[^;&\s<\"']+)")
_PEM_BLOCK = re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

HIDDEN = "***"


def redact(text: str, secrets: tuple[str, ...] = (), limit: int = 500) -> str:
    """One printable line without secrets, for logs and error messages.

    :param text: what somebody else said.
    :param secrets: exact values to hide wherever they occur.
    :param limit: most characters to keep.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _PEM_BLOCK.sub(HIDDEN, text)
    text = _SECRET_PAIR.sub(rf"\1\2{HIDDEN}", text)
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= limit else text[:limit] + "..."


def looks_secret(text: str) -> bool:
    """Whether a text holds something that ``redact`` would hide."""
    shown = any(not pair[3].startswith(HIDDEN) for pair in _SECRET_PAIR.finditer(text))
    return shown or bool(_PEM_BLOCK.search(text))
