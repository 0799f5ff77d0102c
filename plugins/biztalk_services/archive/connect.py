"""Opens a storage account with what people give: a name, a key and an address, a connection string, files with one
secret each. No request is sent, and whatever is wrong with it is a sentence."""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.model.connection_strings import parse
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact, secrets_of

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount

CLIENT_OPTIONS: Mapping[str, Any] = {
    "retry_total": 2,
    "initial_backoff": 1,
    "increment_base": 1,
    "random_jitter_range": 0,
    "connection_timeout": 10,
    "read_timeout": 30,
}
"""A person waits, or a service stands suspended: a few seconds of retries, not the 75 to 93 that Azure's library takes
by itself. A step is retried by Airflow after that."""

_NAME = re.compile(r"[a-z0-9]{3,24}")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_EXAMPLE = "Write it as in https://ACCOUNT.blob.core.windows.net."


class MissingCredentialsError(BackupServiceError):
    """A command was given too little to start with; no request was sent."""


def open_account(
    connection_string: str, origin: str, api_version: str | None, ca_bundle: Path | None = None
) -> StorageAccount:
    """The storage account that a connection string given at a shell leads to.

    :param origin: where it comes from.
    :param api_version: of the storage protocol; None: the newest.
    :param ca_bundle: PEM file of the CAs to trust; None: what the environment sets, else the public ones.
    :raises StorageConnectionError: it is not a connection string.
    """
    options = dict(CLIENT_OPTIONS)
    if api_version:
        options["api_version"] = api_version
    if ca_bundle:
        options["connection_verify"] = str(ca_bundle.expanduser())
    return account_by_string(connection_string, f"The connection string in {origin}", options)


def account_by_string(text: str, origin: str, options: Mapping[str, Any]) -> StorageAccount:
    """The storage account that a connection string leads to.

    :param origin: what it is, to begin the sentence "... leads to no storage account".
    :param options: of Azure's client.
    :raises StorageConnectionError: it is not a connection string, or an incomplete one.
    """
    with connection_errors(origin, secrets_of(text)):
        parts = parse(text)
        if parts.get("usedevelopmentstorage", "").lower() == "true":
            return _account({}, "UseDevelopmentStorage=true", None, options)
        name, host = parts.get("accountname", ""), parts.get("blobendpoint", "")
        if name and not host:
            scheme, suffix = (
                parts.get("defaultendpointsprotocol", "https"),
                parts.get("endpointsuffix", "core.windows.net"),
            )
            host = f"{scheme}://{name.lower()}.blob.{suffix}"
        if not host:
            raise ValueError("it has neither AccountName nor BlobEndpoint")
        name, endpoint = address_of(name, host)
        if key := parts.get("accountkey"):
            return account_by_key(name, key, endpoint, origin, options)
        if token := parts.get("sharedaccesssignature") or urlsplit(host).query:
            return account_by_sas(name, token, endpoint, origin, options)
        raise ValueError("it has no AccountKey")


def account_by_key(name: str, key: str, endpoint: str, origin: str, options: Mapping[str, Any]) -> StorageAccount:
    """A storage account, with its key.

    :param name: of the account, and
    :param endpoint: of its blobs, both as :func:`address_of` returns them.
    :raises StorageConnectionError: the key is none, or the options are not those of a client.
    """
    key = "".join(key.strip().strip("\"'").split())
    with connection_errors(origin, (key,)):
        try:
            base64.b64decode(key, validate=True)
        except ValueError:
            raise ValueError("its account key is no base64 text; perhaps a part of it is missing") from None
        return _account({"credential": {"account_name": name, "account_key": key}}, endpoint, name, options)


def account_by_sas(name: str, token: str, endpoint: str, origin: str, options: Mapping[str, Any]) -> StorageAccount:
    """A storage account, with a shared access signature; parameters and errors as :func:`account_by_key`."""
    from azure.core.credentials import AzureSasCredential

    with connection_errors(origin, (token,)):
        return _account({"credential": AzureSasCredential(token.strip().lstrip("?"))}, endpoint, name, options)


def address_of(login: str | None, host: str | None, port: int | None = None) -> tuple[str, str]:
    """Name of an account, and the endpoint of its blobs, however people write the two. The name is the login, whatever
    the host is: custom domain, DNS zone, private link, Azure Stack, Azurite in a container.

    :param login: the account's name; or its address, in place of the host.
    :param host: empty: that of the account in the public cloud. ``https://`` may be left out, and so may the path of an
        emulator, which is the account's name.
    :raises ValueError: there is no name, or the host is no address; the message completes "... because".
    """
    login, host = _bare(login), _bare(host)
    if re.search(r"[./:]", login):
        login, host = "", host or login
    if host and not re.search(r"[./:]", host) and host.lower() in (login.lower(), ""):
        host = ""  # the account's name once more
    url = urlsplit(host if "://" in host or not host else f"https://{host}")
    server, path = (url.hostname or "").lower(), url.path.strip("/")
    name = login.lower() or (server.partition(".")[0] if ".blob." in server else path.lower())
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"its login {redact(login, limit=40)!r} is not the name of an account (3 to 24 letters and digits)"
            if login
            else "the name of the account is missing, and the address does not show it; it belongs into the login"
        )
    if not host:
        return name, f"https://{name}.blob.core.windows.net"
    return name, f"{url.scheme}://{_server(url.scheme, server, url.port or port)}{_path(name, server, path)}"


@contextmanager
def connection_errors(origin: str, secrets: tuple[str, ...] = ()) -> Iterator[None]:
    """Raise whatever is wrong with what people give as a sentence, without secrets.

    :raises StorageConnectionError: whatever else is raised inside, also by the constructor of Azure's client.
    """
    reason = None
    try:
        yield
    except BackupServiceError:
        raise
    except Exception as error:  # what the constructor raises differs from one version of the library to the next
        reason = redact(str(error) or type(error).__name__, secrets, limit=300).rstrip(".")
    if reason:
        raise StorageConnectionError(
            f"{origin} leads to no storage account ({reason}). Compare it with the account's access keys and "
            "endpoints; no request was sent."
        )


def secret_file(path: Path, what: str) -> str:
    """The text of a file with one secret, without blanks around it.

    :param what: what it should hold, to complete the sentence "The ... cannot be read".
    :raises MissingCredentialsError: it cannot be read, or is empty.
    """
    try:
        text = path.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise MissingCredentialsError(f"The {what} cannot be read from {path}: {reason}.") from None
    if not text:
        raise MissingCredentialsError(f"The {what} cannot be read from {path}: the file is empty.")
    return text


def _account(
    credential: Mapping[str, Any], address: str, name: str | None, options: Mapping[str, Any]
) -> StorageAccount:
    from azure.storage.blob import BlobServiceClient

    from biztalk_services.archive.storage import StorageAccount

    _log_no_requests()
    make: Any = BlobServiceClient if credential else BlobServiceClient.from_connection_string
    return StorageAccount(make(address, **credential, **options), name)


def _log_no_requests() -> None:
    """Azure's library logs each request and response with all headers, which hides what a step says of itself. The
    variable is that of Airflow's own hook."""
    logger = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    try:
        logger.setLevel(os.environ.get("AZURE_HTTP_LOGGING_LEVEL") or logging.WARNING)
    except ValueError:
        logger.setLevel(logging.WARNING)


def _server(scheme: str, server: str, port: int | None) -> str:
    if scheme not in ("http", "https"):
        raise ValueError(f"its address begins neither with https:// nor with http://. {_EXAMPLE}")
    if _is_ip(server):
        server = f"[{server}]" if ":" in server else server
    elif not _HOST.fullmatch(server):
        raise ValueError(f"its host is not the name of one. {_EXAMPLE}")
    return f"{server}:{port}" if port else server


def _path(name: str, server: str, path: str) -> str:
    """The path of an endpoint: only an emulator has one, the name of the account."""
    if path and path.lower() != name:
        raise ValueError(f"its address has the path /{redact(path, limit=40)}, and the account is {name}. {_EXAMPLE}")
    return f"/{name}" if path or _is_ip(server) or "." not in server else ""


def _is_ip(server: str) -> bool:
    try:
        ip_address(server)
    except ValueError:
        return False
    return True


def _bare(text: str | None) -> str:
    return (text or "").strip().strip("\"'").strip()
