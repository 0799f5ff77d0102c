"""Connection strings: ``key=value`` pairs separated by semicolons, in any order, keys in any case.

A SQL client reads them by the rules of ADO.NET, so a value may stand in quotation marks, and hold semicolons there. The
client of a storage account knows no quotation marks.
"""

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
    """Split into key and value, both stripped and without the quotation marks of the value.

    :raises ConnectionStringError: when a part has no ``=``, or a quotation mark is not closed.
    """
    result = []
    rest = text
    while rest := rest.lstrip("; \t\r\n"):
        key, rest = _key(rest)
        rest = rest.lstrip()
        if rest[:1] in ('"', "'"):
            value, rest = _quoted(rest)
        else:
            value, _, rest = rest.partition(";")
            value = value.strip()
        result.append((key, value))
    return result


def _key(text: str) -> tuple[str, str]:
    """A key, in which ``==`` is one ``=``, and what follows its equals sign."""
    place = text.find("=")
    while text[place : place + 2] == "==":
        place = text.find("=", place + 2)
    key = text[:place].strip().replace("==", "=")
    if place < 0 or not key or ";" in key:
        raise ConnectionStringError("A connection string consists of name=value pairs separated by semicolons.")
    return key, text[place + 1 :]


def _quoted(text: str) -> tuple[str, str]:
    """The value in the quotation marks that the text begins with, and what follows the semicolon behind it."""
    mark, place, value = text[0], 1, ""
    while True:
        end = text.find(mark, place)
        if end < 0:
            raise ConnectionStringError("A quotation mark in a connection string is not closed.")
        value += text[place:end]
        if text[end + 1 : end + 2] != mark:
            break
        value, place = value + mark, end + 2
    behind, _, rest = text[end + 1 :].partition(";")
    if behind.strip():
        raise ConnectionStringError("Behind a value in quotation marks there is a semicolon, or nothing.")
    return value, rest


def _written(value: str) -> str:
    """A value as it may stand in a connection string."""
    if value == value.strip() and not set(value) & {";", '"', "'"}:
        return value
    return '"' + value.replace('"', '""') + '"'


def parse_storage(text: str) -> StorageConnection:
    """Read a storage connection string; the endpoints may be absent (REST reference, 2.12).

    :raises ConnectionStringError: when account name or key is missing or impossible.
    """
    values = _storage_values(text)
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


def _storage_values(text: str) -> dict[str, str]:
    values = {}
    for part in filter(str.strip, text.split(";")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConnectionStringError("A connection string consists of name=value pairs separated by semicolons.")
        values[key.strip().lower()] = value.strip()
    return values


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
        return ";".join(f"{key}={_written(value)}" for key, value in pairs(text) if key.lower() not in _SECRET_KEYS)
    except ConnectionStringError:
        return ""
