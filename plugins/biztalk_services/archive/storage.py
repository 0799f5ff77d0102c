"""The storage account that receives backups and catalog, and what its refusals mean.

Source of the connection string: Backup BizTalk Service (dn232427), BackupStoreConnectionString.
"""

from __future__ import annotations

import json
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
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact


class StorageError(BackupServiceError):
    """Base of what can go wrong with the storage account; ``advice`` as everywhere."""


class StorageKeyMissingError(StorageError):
    """The connection has no account key, which the service needs to write the backup."""


class StorageAuthenticationError(StorageError):
    """The account does not accept the key, or not from this network (401, 403)."""


class StorageUnreachableError(StorageError):
    """The account cannot be reached, or its answer did not arrive whole."""

    default_advice = "retry"


class StorageUnavailableError(StorageError):
    """The account is busy or out of order (429, 5xx)."""

    default_advice = "retry"


class StorageNotFoundError(StorageError):
    """No such container or blob (404)."""


class ContainerExistsError(StorageError):
    """A container of this name is there already, or is still being deleted (409)."""


class StorageRefusedError(StorageError):
    """The account refuses the request for another reason."""


class StorageAccount:
    """A storage account as a backup needs it.

    :param client: blob service client with the account's key.
    """

    def __init__(self, client: BlobServiceClient) -> None:
        self.client = client

    def __repr__(self) -> str:
        return f"<StorageAccount {self.name}>"

    @property
    def name(self) -> str:
        """Name of the account."""
        return self.client.account_name or ""

    def connection_string(self) -> str:
        """Where the service shall write to, in the documented form.

        Holds the account key: give it to a backup request only.

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
        """One sentence on the account; made of a real answer.

        :raises StorageError: not reached, or refused.
        """
        with storage_errors(f"read the properties of storage account {self.name}"):
            self.client.get_service_properties()
        return f"Storage account {self.name} answers and accepts the key."

    def check_container_is_free(self, container: str) -> None:
        """Make sure that a backup of this name would not meet an existing container.

        :raises ContainerExistsError: there is one.
        :raises StorageError: not reached, or refused.
        """
        with storage_errors(f"look for container {container} in storage account {self.name}"):
            exists = self.client.get_container_client(container).exists()
        if exists:
            raise ContainerExistsError(
                f"Container {container} is there already in storage account {self.name}; a backup never "
                "overwrites another. Choose another backup name."
            )


def create_container(container: ContainerClient) -> None:
    """Make a container unless it is there. One that is still being deleted raises, as Azure's library says it."""
    try:
        container.create_container()
    except ResourceExistsError as error:
        if getattr(error, "error_code", None) == "ContainerBeingDeleted":
            raise


def json_bytes(values: dict[str, Any]) -> bytes:
    """Plain JSON values as the content of a blob, for people too; equal values give equal bytes."""
    return (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def write_once(container: ContainerClient, path: str, content: bytes) -> bool:
    """Write a JSON blob, and make its container where there is none. Raises as Azure's library does.

    :returns: False when there is a blob of this name already, which then stays.
    """
    create_container(container)
    try:
        container.get_blob_client(path).upload_blob(
            content,
            overwrite=False,
            content_settings=ContentSettings(content_type="application/json; charset=utf-8"),
        )
    except ResourceExistsError:
        return False
    return True


@contextmanager
def storage_errors(asked: str) -> Iterator[None]:
    """Raise what Azure's library raises inside as our errors, without secrets.

    :param asked: what is asked of which account, to complete the sentence "Could not ...".
    :raises StorageError: the one that fits.
    """
    failure: StorageError | None = None
    try:
        yield
    except (AzureError, TimeoutError, ConnectionError) as error:
        failure = _translate(error, asked)
    if failure:
        raise failure


def _translate(error: Exception, asked: str) -> StorageError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    told = getattr(error, "error_code", None)
    code = str(getattr(told, "value", told) or "") or None
    headers = error.response.headers if isinstance(error, HttpResponseError) and error.response is not None else {}
    said = f"{status or ''} {code or redact(_first_line(error), limit=200)}".strip()
    kind, what_to_do = _judge(error, status)
    return kind(
        f"Could not {asked} ({said}). {what_to_do}", status=status, code=code, request_id=headers.get("x-ms-request-id")
    )


def _judge(error: Exception, status: int | None) -> tuple[type[StorageError], str]:
    if status in (401, 403) or isinstance(error, ClientAuthenticationError):
        return (
            StorageAuthenticationError,
            "Check the account key in the storage connection (it may have been rotated), the account's firewall, and "
            "this machine's clock.",
        )
    if isinstance(error, ResourceExistsError) or status == 409:
        return ContainerExistsError, "It is there already or is still being deleted. Choose another name or wait."
    if isinstance(error, ResourceNotFoundError) or status == 404:
        return StorageNotFoundError, "Check container and blob name, and whether this is the right storage account."
    if status is not None and (status == 429 or status >= 500):
        return StorageUnavailableError, "The trouble is on the storage account's side; try again later."
    no_answer = isinstance(error, HttpResponseError) and status is None  # so a download ends that came cut every time
    if no_answer or isinstance(error, (ServiceRequestError, ServiceResponseError, IncompleteReadError, OSError)):
        return (
            StorageUnreachableError,
            "Check the account's name and address and the network; it may be down for the moment.",
        )
    return StorageRefusedError, "Trying again will not help; check the storage connection."


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
