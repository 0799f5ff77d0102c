"""The storage account that receives backups and archive, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobServiceClient

from biztalk_services.archive.errors import (
    StorageAuthenticationError,
    StorageError,
    StorageKeyMissingError,
    StorageNotTrustedError,
    StorageUnreachableError,
)
from biztalk_services.archive.refusals import refusal_of
from biztalk_services.model.redaction import redact
from biztalk_services.model.tls import causes, distrust, no_tls

CONTAINER_EXISTS, CONTAINER_NOT_FOUND = "ContainerAlreadyExists", "ContainerNotFound"
BLOB_NOT_FOUND = "BlobNotFound"
"""Codes that mean one thing only. Azure's library raises one type of error for many codes of a status."""

_BY_ITS_ENDPOINT = "A private link is reached by the account's own blob endpoint, not by its privatelink name."
_UNREADABLE_CAS = "Correct connection_verify in the extra of the storage connection, or REQUESTS_CA_BUNDLE."
_UNREACHABLE = "Check the account's name and address and the network; it may be down for the moment."


class StorageAccount:
    """A storage account as a backup needs it; its client has the account's key.

    :param name: of the account; None: as the client knows it.
    """

    def __init__(self, client: BlobServiceClient, name: str | None = None) -> None:
        self.client = client
        self.name = name or client.account_name or ""

    def __repr__(self) -> str:
        return f"<StorageAccount {self.name}>"

    def connection_string(self) -> str:
        """The account with its key, in the documented form: for a backup or restore request only.

        Endpoints of queues and tables are named where they follow from the blob endpoint's.

        :raises StorageKeyMissingError: the connection authenticates otherwise than with the account key.
        """
        key = getattr(self.client.credential, "account_key", None)
        if not key or not self.name:
            raise StorageKeyMissingError(
                f"The storage connection of account {self.name or '(unnamed)'} has no account key, and the service "
                "writes backups with nothing else. Use a connection with the account key, not a SAS or an identity."
            )
        url = urlsplit(self.client.url)
        blob = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
        endpoints = {"BlobEndpoint": blob}
        if re.search(rf"//{re.escape(self.name)}\.([a-z0-9-]+\.)*?blob\.", blob):
            endpoints["QueueEndpoint"] = blob.replace(".blob.", ".queue.", 1)
            endpoints["TableEndpoint"] = blob.replace(".blob.", ".table.", 1)
        pairs = endpoints | {"AccountName": self.name, "AccountKey": key, "DefaultEndpointsProtocol": url.scheme}
        return ";".join(f"{name}={value}" for name, value in pairs.items())

    def container_url(self, container: str) -> str:
        """Address of a container, without anything that would open it."""
        return self.client.get_container_client(container).url.partition("?")[0]

    def check(self) -> str:
        """One sentence on the account, out of a real response; errors as :func:`storage_errors`."""
        with storage_errors(f"read the properties of storage account {self.name}"):
            self.client.get_service_properties()
        return f"Storage account {self.name} is reachable and accepts the key."

    def container_exists(self, container: str) -> bool:
        """Whether there is a container of this name, so that a backup of this name cannot be written; errors as
        :func:`storage_errors`."""
        with storage_errors(f"check for container {container} in storage account {self.name}"):
            try:
                self.client.get_container_client(container).get_container_properties()
            except ResourceNotFoundError as error:
                if code_of(error) != CONTAINER_NOT_FOUND:
                    raise
                return False
            return True


@contextmanager
def storage_errors(request: str) -> Iterator[None]:
    """Raise what Azure's library raises inside as our errors, without secrets.

    :param request: what is requested of which account, to complete the sentence "Could not ...".
    :raises StorageError: the account was not reached or refused.
    """
    failure: StorageError | None = None
    try:
        yield
    except (AzureError, OSError) as error:
        failure = _translate(error, request)
    if failure:
        raise failure


def code_of(error: BaseException) -> str | None:
    """The error code in the response that a library's error is about; None when there was none."""
    raw = getattr(error, "error_code", None)
    return str(getattr(raw, "value", raw) or "") or None


def _translate(error: Exception, request: str) -> StorageError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    code = code_of(error)
    if status is None and code is None:
        kind, reason, remedy = _without_response(error)
        return kind(f"Could not {request} ({redact(reason, limit=200)}). {remedy}")
    refusal = refusal_of(status or 0, code)
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    wait = str(headers.get("Retry-After", ""))
    reason = f"{status or ''} {code or redact(_first_line(error), limit=200)}".strip()
    return refusal.error(
        f"Could not {request} ({reason}). {refusal.sentence}",
        status=status,
        code=code,
        request_id=headers.get("x-ms-request-id"),
        retry_after=float(wait) if wait.isdecimal() else None,
    )


def _without_response(error: Exception) -> tuple[type[StorageError], str, str]:
    """Error, reason and remedy where no response arrived, or not the whole of one."""
    if sentences := distrust(error):
        more = f" {_BY_ITS_ENDPOINT}" if "another host" in sentences else ""
        return StorageNotTrustedError, "TLS; nothing was sent", f"{sentences}{more}"
    if sentences := no_tls(error):
        return StorageNotTrustedError, "TLS; nothing was sent", sentences
    if any(isinstance(each, OSError) and "CA certificate" in str(each) for each in causes(error)):
        return StorageNotTrustedError, _first_line(error), _UNREADABLE_CAS
    if isinstance(error, ClientAuthenticationError):
        return StorageAuthenticationError, _first_line(error), "Check the account key in the storage connection."
    return StorageUnreachableError, _first_line(error), _UNREACHABLE


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
