"""Connection strings: ``key=value`` pairs separated by semicolons, in any order, keys in any case."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import urlsplit

_SECRET_KEYS = {"password", "pwd", "accountkey", "sharedaccesssignature", "sharedaccesskey"}
_DATABASE_NAME = re.compile(r"(?!\.)[A-Za-z0-9._ -]{1,128}(?<![. ])")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")


class ConnectionStringError(ValueError):
    """The string cannot be used; the message never repeats any part of it."""


@dataclass(frozen=True)
class StorageConnection:
    """How to reach the blob service of a storage account with its key."""

    account_name: str
    account_key: str = field(repr=False)
    blob_endpoint: str


@dataclass(frozen=True)
class Login:
    """Who opens a SQL database; both are empty when a connection string names none."""

    user: str
    password: str = field(repr=False)


def pairs(text: str) -> list[tuple[str, str]]:
    """Split into key and value, both stripped; the value may hold further ``=``.

    :raises ConnectionStringError: when a part has no ``=``.
    """
    result = []
    for part in text.split(";"):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConnectionStringError("A connection string consists of name=value pairs separated by semicolons.")
        result.append((key.strip(), value.strip()))
    return result


def parse_storage(text: str) -> StorageConnection:
    """Read a storage connection string; the endpoints may be absent (REST reference, 2.12).

    :raises ConnectionStringError: when account name or key is missing or impossible.
    """
    values = {key.lower(): value for key, value in pairs(text)}
    name, key = values.get("accountname", ""), values.get("accountkey", "")
    if not _ACCOUNT_NAME.fullmatch(name):
        raise ConnectionStringError(
            "The storage connection string needs AccountName with 3 to 24 lower-case letters or digits."
        )
    try:
        usable_key = bool(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        usable_key = False
    if not usable_key:
        raise ConnectionStringError("The storage connection string needs AccountKey in base64.")
    protocol = values.get("defaultendpointsprotocol", "https").lower()
    if protocol not in ("http", "https"):
        raise ConnectionStringError("DefaultEndpointsProtocol must be http or https.")
    suffix = values.get("endpointsuffix", "core.windows.net")
    endpoint = values.get("blobendpoint") or f"{protocol}://{name}.blob.{suffix}"
    if not _is_endpoint(endpoint):
        raise ConnectionStringError(
            "BlobEndpoint, or EndpointSuffix, must give an http or https address with a possible host and port and "
            "without user name, query and fragment."
        )
    return StorageConnection(name, key, endpoint.rstrip("/"))


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
        possible_host = bool(_HOST_NAME.fullmatch(host) or (":" in host and IPv6Address(host)))
    except ValueError:
        return False
    printable = text.isascii() and text.isprintable() and " " not in text
    plain = not ("@" in parts.netloc or "?" in text or "#" in text)
    return printable and plain and parts.scheme in ("http", "https") and possible_host and port != 0


def is_database_name(text: str) -> bool:
    """Whether a SQL database can have this name."""
    return _DATABASE_NAME.fullmatch(text) is not None


def database_name(text: str) -> str:
    """Return the ``Initial Catalog`` (or ``Database``) of an ADO.NET connection string.

    :raises ConnectionStringError: when there is none or it is no plain name.
    """
    values = {key.lower(): value for key, value in pairs(text)}
    name = values.get("initial catalog") or values.get("database") or ""
    if not is_database_name(name):
        raise ConnectionStringError(
            "The tracking store connection string needs an Initial Catalog of letters, digits, dots, dashes and "
            "underscores."
        )
    return name


def parse_login(text: str) -> Login:
    """Return the login of an ADO.NET connection string.

    :raises ConnectionStringError: when it cannot be read.
    """
    values = {key.lower(): value for key, value in pairs(text)}
    user = values.get("user id") or values.get("uid") or values.get("user") or ""
    return Login(user, values.get("password") or values.get("pwd") or "")


def without_secrets(text: str) -> str:
    """Return the string without its passwords and keys; empty when it cannot be read."""
    try:
        return ";".join(f"{key}={value}" for key, value in pairs(text) if key.lower() not in _SECRET_KEYS)
    except ConnectionStringError:
        return ""
