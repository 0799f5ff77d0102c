"""Writing into the storage account of the one who asked for a backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobServiceClient, ContentSettings, LinearRetry, StorageErrorCode

from biztalk_emulator.business.package import PackedBlob
from biztalk_emulator.connection_strings import StorageConnection

API_VERSION = "2026-06-06"
OWNER = "biztalk_operation"
"""Name of the container's metadata that holds the id of the operation that made it."""

_TO_BE_JUDGED = (StorageErrorCode.CONTAINER_ALREADY_EXISTS, StorageErrorCode.BLOB_NOT_FOUND)

_Result = TypeVar("_Result")


class StorageFailure(Exception):
    """The storage account did not do what was asked; `error` tells why in the terms of a failed operation."""

    def __init__(self, http_code: int, code: str, extended_code: str, message: str) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {
            "http_code": http_code,
            "code": code,
            "message": message,
            "extended_code": extended_code,
        }


class BackupContainer:
    """One container that one operation makes and fills.

    Gives up after about ten seconds on an account that does not answer.

    :param owner: id of the operation.
    """

    def __init__(self, connection: StorageConnection, name: str, owner: str) -> None:
        self.name = name
        self._owner = owner
        self._service = BlobServiceClient(
            connection.blob_endpoint,
            credential=AzureNamedKeyCredential(connection.account_name, connection.account_key),
            api_version=API_VERSION,
            retry_policy=LinearRetry(backoff=1, retry_total=1, random_jitter_range=0),
            connection_timeout=3,
            read_timeout=4,
        )
        self._container = self._service.get_container_client(name)

    def claim(self) -> None:
        """Make the container, or find that this operation made it before.

        :raises StorageFailure: also when it exists and is not ours.
        """
        try:
            _guarded(lambda: self._container.create_container(metadata={OWNER: self._owner}))
        except ResourceExistsError:
            if _guarded(self._owner_of_existing) != self._owner:
                raise StorageFailure(
                    409,
                    "ConflictError",
                    "ContainerAlreadyExists",
                    f"The container {self.name} already exists in the storage account. A backup never writes into an "
                    "existing container; choose another backup name.",
                ) from None

    def holds(self, blob: str) -> bool:
        """Whether a blob of that name is there.

        :raises StorageFailure: when the account does not tell.
        """
        return _guarded(self._container.get_blob_client(blob).exists)

    def keep_only(self, names: set[str]) -> None:
        """Delete blobs left by an earlier try of this operation under names that are not wanted now.

        :raises StorageFailure: when the account refuses.
        """
        for name in _guarded(lambda: list(self._container.list_blob_names())):
            if name not in names:
                self.delete(name)

    def write(self, blob: PackedBlob) -> None:
        """Write one blob whole.

        :raises StorageFailure: when the account refuses.
        """
        settings = ContentSettings(content_type=blob.content_type)
        _guarded(lambda: self._container.upload_blob(blob.name, blob.data, overwrite=True, content_settings=settings))

    def delete(self, blob: str) -> bool:
        """Delete one blob; False when it was not there.

        :raises StorageFailure: when the account refuses.
        """
        try:
            _guarded(lambda: self._container.delete_blob(blob))
        except ResourceNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _owner_of_existing(self) -> str | None:
        try:
            return self._container.get_container_properties().metadata.get(OWNER)
        except ResourceNotFoundError:
            return None


def _guarded(work: Callable[[], _Result]) -> _Result:
    """Run `work`, turning what the storage library raises into our own words: its texts may quote the request.

    A container that is already there and a thing that is not there are left as they are, for the caller to judge.
    """
    try:
        return work()
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        code = getattr(code, "value", code)
        if code in _TO_BE_JUDGED:
            raise
        if error.status_code in (401, 403):
            raise StorageFailure(
                403,
                "BadRequest",
                "StorageAuthenticationFailed",
                "The storage account refused the account key of the backup's connection string "
                f"(status {error.status_code}, error {code}).",
            ) from None
        raise StorageFailure(
            400,
            "BadRequest",
            "StorageRefused",
            f"The storage account refused to store the backup: status {error.status_code}, error {code}.",
        ) from None
    except AzureError:
        raise StorageFailure(
            400,
            "BadRequest",
            "StorageUnreachable",
            "The storage account of the backup's connection string could not be reached.",
        ) from None
