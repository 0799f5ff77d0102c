"""Removes secrets from text of servers before it is logged, raised or stored."""

from __future__ import annotations

import re

from biztalk_services.model.connection_strings import pairs

_SECRET_NAMES = (
    "AccountKey|SharedAccess(?:Key|Signature)|(?:wrap_)?Password|Pwd|[A-Z]*Secret|AccessControlKey|IssuerKey|sig"
    "|(?:wrap_)?access_token"
)
_QUOTED = (
    r"\"(?:\"\"|\\\"{0,2}|[^\"\\])*(?:\"|\Z)|'(?:''|\\'{0,2}|[^'\\])*(?:'|\Z)"
    r"|&(quot|apos|#x?\d+);.*?(?:&\4;|\Z)|\{(?:\}\}|[^}])*(?:\}[^;\n]*|\Z)"
)
"""A value in quotation marks, or in the braces of ODBC, up to the end of the text where they are not closed. Doubled
ones and those behind a backslash are in the value, whichever of the two the text means, and so are those of XML."""

_SECRET_PAIR = re.compile(
    rf"(?is)\b({_SECRET_NAMES})([\"']?\s*[=:>]\s*)"
    rf"({_QUOTED}|(?<=>)[^<]+|[^;\n]+(?=;\s*[a-z][\w .-]*=)|[^;\s<]+)"
)
_LATER_PAIR = re.compile(rf"(?is)(;\s*(?:{_SECRET_NAMES}))(\s*=\s*)({_QUOTED}|[^;]+)")
"""Behind another pair it is a connection string, whose values may hold blanks."""

_PEM_BLOCK = re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)
_SECRET_PARTS = ("accountkey", "sharedaccesskey", "sharedaccesssignature", "password", "pwd")
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
    text = _LATER_PAIR.sub(rf"\1\2{HIDDEN}", text)
    text = _SECRET_PAIR.sub(rf"\1\2{HIDDEN}", text)
    text = _CONTROL.sub(" ", text).strip().encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[:limit] + "..."


def looks_secret(text: str) -> bool:
    """Whether a text contains a value that ``redact`` would replace."""
    found = (match for pattern in (_SECRET_PAIR, _LATER_PAIR) for match in pattern.finditer(text))
    return any(not match[3].startswith(HIDDEN) for match in found) or bool(_PEM_BLOCK.search(text))


def secrets_of(connection_string: str) -> tuple[str, ...]:
    """The secrets of a storage or ADO.NET connection string: the whole string, each key and each password, as it is and
    as it may be written. Of one that cannot be read these are the rest of its text behind each name of a secret."""
    secrets = [connection_string]
    try:
        for name, value in pairs(connection_string):
            if name.lower() in _SECRET_PARTS:
                secrets += [value, *(value.replace(mark, mark * 2) for mark in ("'", '"'))]
    except ValueError:
        for match in _SECRET_PAIR.finditer(connection_string):
            secrets += [match[3], connection_string[match.start(3) :].strip()]
    return tuple(secret for secret in dict.fromkeys(secrets) if secret)
