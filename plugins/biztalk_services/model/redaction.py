"""Removes secrets from text of servers before it is logged, raised or stored."""

from __future__ import annotations

import re

_SECRET_NAMES = (
    "AccountKey|SharedAccess(?:Key|Signature)|(?:wrap_)?Password|Pwd|[A-Z]*Secret|AccessControlKey|IssuerKey|sig"
    "|(?:wrap_)?access_token"
)
_SECRET_PAIR = re.compile(rf"(?i)\b({_SECRET_NAMES})([\"']?\s*[=:>]\s*)(\"[^\"]*\"|'[^']*'|[^;&\s<\"']+)")
_PEM_BLOCK = re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)
_SECRET_PARTS = ("accountkey", "sharedaccesskey", "sharedaccesssignature", "password", "pwd")
_PART = re.compile(r"\s*([^=;]+?)\s*=\s*(\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[^;]*)(?:;|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

HIDDEN = "***"


def redact(text: str, secrets: tuple[str, ...] = (), limit: int = 500) -> str:
    """One printable line without secrets, for logs and error messages.

    :param text: of external origin.
    :param secrets: exact values to replace.
    :param limit: characters; a longer text ends with dots.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _PEM_BLOCK.sub(HIDDEN, text)
    text = _SECRET_PAIR.sub(rf"\1\2{HIDDEN}", text)
    text = _CONTROL.sub(" ", text).strip().encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[:limit] + "..."


def looks_secret(text: str) -> bool:
    """Whether a text contains a value that ``redact`` would replace."""
    pair = any(not match[3].startswith(HIDDEN) for match in _SECRET_PAIR.finditer(text))
    return pair or bool(_PEM_BLOCK.search(text))


def secrets_of(connection_string: str) -> tuple[str, ...]:
    """The secrets of a storage or ADO.NET connection string: the whole string, each key and each password."""
    secrets = [connection_string]
    for name, value in _PART.findall(connection_string):
        if name.lower() in _SECRET_PARTS:
            secrets += [value.strip(), _unquote(value.strip())]
    return tuple(secret for secret in dict.fromkeys(secrets) if secret)


def _unquote(value: str) -> str:
    quote = value[:1]
    quoted = len(value) > 1 and quote in ("'", '"') and value.endswith(quote)
    return value[1:-1].replace(quote * 2, quote) if quoted else value
