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
    IncompleteReadError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobServiceClient

from biztalk_services.archive.errors import (
    ContainerExistsError,
    StorageAuthenticationError,
    StorageError,
    StorageKeyMissingError,
    StorageNotFoundError,
    StorageRefusedError,
    StorageUnavailableError,
    StorageUnreachableError,
)
from biztalk_services.model.redaction import redact


class StorageAccount:
    """A storage account as a backup needs it; its client has the account's key."""

    def __init__(self, client: BlobServiceClient) -> None:
        self.client = client

    def __repr__(self) -> str:
        return f"<StorageAccount {self.name}>"

    @property
    def name(self) -> str:
        return self.client.account_name or ""

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
        if re.search(r"//[a-z0-9]+\.blob\.", blob):
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
            return bool(self.client.get_container_client(container).exists())


@contextmanager
def storage_errors(request: str) -> Iterator[None]:
    """Raise what Azure's library raises inside as our errors, without secrets.

    :param request: what is requested of which account, to complete the sentence "Could not ...".
    :raises StorageError: the account was not reached or refused.
    """
    failure: StorageError | None = None
    try:
        yield
    except (AzureError, TimeoutError, ConnectionError) as error:
        failure = _translate(error, request)
    if failure:
        raise failure


def _translate(error: Exception, request: str) -> StorageError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    raw_code = getattr(error, "error_code", None)
    code = str(getattr(raw_code, "value", raw_code) or "") or None
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    headers = response.headers if response is not None else {}
    reason = f"{status or ''} {code or redact(_first_line(error), limit=200)}".strip()
    kind, remedy = _judge(error, status)
    return kind(
        f"Could not {request} ({reason}). {remedy}", status=status, code=code, request_id=headers.get("x-ms-request-id")
    )


def _judge(error: Exception, status: int | None) -> tuple[type[StorageError], str]:
    if status in (401, 403) or isinstance(error, ClientAuthenticationError):
        where = "the account key in the storage connection (it may have been rotated), the account's firewall"
        return StorageAuthenticationError, f"Check {where}, and this machine's clock."
    if isinstance(error, ResourceExistsError) or status == 409:
        return ContainerExistsError, "It exists already or is still being deleted. Choose another name or wait."
    if isinstance(error, ResourceNotFoundError) or status == 404:
        return StorageNotFoundError, "Check container and blob name, and whether this is the right storage account."
    if status is not None and (status == 429 or status >= 500):
        return StorageUnavailableError, "The storage account has a problem of its own; retry later."
    no_answer = isinstance(error, HttpResponseError) and status is None  # so a download ends that came cut every time
    if no_answer or isinstance(error, (ServiceRequestError, ServiceResponseError, IncompleteReadError, OSError)):
        remedy = "Check the account's name and address and the network; it may be down for the moment."
        return StorageUnreachableError, remedy
    return StorageRefusedError, "A retry will not help; check the storage connection."


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
