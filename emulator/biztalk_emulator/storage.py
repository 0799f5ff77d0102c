"""Requests to real storage accounts: to write a backup, to read one, to check a key.

It is imported at the first request only: it loads longer than all the rest of the emulator, which starts without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

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
from biztalk_emulator.failures import OperationFailure

API_VERSION = "2026-06-06"
OWNER = "biztalk_operation"
"""Name of the container's metadata that holds the id of the operation that made it."""

_EXPECTED_IN_WRITING = (StorageErrorCode.CONTAINER_ALREADY_EXISTS, StorageErrorCode.BLOB_NOT_FOUND)
_EXPECTED_IN_READING = (StorageErrorCode.CONTAINER_NOT_FOUND, StorageErrorCode.BLOB_NOT_FOUND)

_Result = TypeVar("_Result")


class StorageFailure(OperationFailure):
    """A request to the storage account failed."""


class BackupNotFound(StorageFailure):
    """There is no container, or no descriptor in it."""

    def __init__(self, message: str) -> None:
        super().__init__(404, "ResourceNotFound", "BackupNotFound", message)


def check_key(connection: StorageConnection, account: str) -> None:
    """Check the key of a storage account by a request that requires it; takes at most about ten seconds.

    :param account: what it is, for errors, e.g. "The storage account of MonitoringStoreConnectionString".
    :raises StorageFailure: it is not reached, or refuses the key.
    """
    service = _client(connection)
    try:
        _guarded(service.get_account_information, account, "to return its account information", expected=())
    finally:
        service.close()


class BackupSource:
    """One container that holds a backup, to be read."""

    def __init__(self, connection: StorageConnection, name: str) -> None:
        self.name = name
        self._service = _client(connection)
        self._container = self._service.get_container_client(name)

    def descriptor(self) -> bytes:
        """The descriptor, without which a container is no backup.

        :raises BackupNotFound: there is no container of this name, or no descriptor in it.
        :raises StorageFailure: the account is not reached, or refuses.
        """
        try:
            return self._read(f"{self.name}.txt")
        except ResourceNotFoundError as error:
            if error.error_code == StorageErrorCode.CONTAINER_NOT_FOUND:
                raise BackupNotFound(f"The storage account has no container {self.name}.") from None
            raise BackupNotFound(
                f"The container {self.name} holds no descriptor {self.name}.txt, so no backup of that name was "
                "finished in it."
            ) from None

    def blobs(self) -> dict[str, bytes]:
        """Every blob of the container, by name.

        :raises BackupNotFound: there is no container of this name any more.
        :raises StorageFailure: the account is not reached, or refuses.
        """
        try:
            names = self._reading(lambda: list(self._container.list_blob_names()))
            return {name: self._read(name) for name in names}
        except ResourceNotFoundError:
            raise BackupNotFound(f"The container {self.name} was deleted, or a blob in it.") from None

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _read(self, blob: str) -> bytes:
        return self._reading(lambda: self._container.download_blob(blob).readall())

    @staticmethod
    def _reading(work: Callable[[], _Result]) -> _Result:
        return _guarded(work, request="to return the backup", expected=_EXPECTED_IN_READING)


class BackupContainer:
    """One container that one operation makes and fills.

    A request to an account that does not respond fails after about ten seconds.

    :param owner: id of the operation.
    """

    def __init__(self, connection: StorageConnection, name: str, owner: str) -> None:
        self.name = name
        self._owner = owner
        self._service = _client(connection)
        self._container = self._service.get_container_client(name)

    def create(self) -> None:
        """Make the container; accept one that this operation made before.

        :raises StorageFailure: also when it exists and another operation made it.
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

        :raises StorageFailure: when the account refuses.
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


_BACKUP_ACCOUNT = "The storage account of the backup's connection string"


def _client(connection: StorageConnection) -> BlobServiceClient:
    return BlobServiceClient(
        connection.blob_endpoint,
        credential=AzureNamedKeyCredential(connection.account_name, connection.account_key),
        api_version=API_VERSION,
        retry_policy=LinearRetry(backoff=1, retry_total=1, random_jitter_range=0),
        connection_timeout=3,
        read_timeout=4,
    )


def _guarded(
    work: Callable[[], _Result],
    account: str = _BACKUP_ACCOUNT,
    request: str = "to store the backup",
    expected: tuple[str, ...] = _EXPECTED_IN_WRITING,
) -> _Result:
    """Run `work`, replacing the messages of the storage library by our own: the library's may quote the request.

    :param account: which account it is about, for errors.
    :param request: what was requested of it, for errors.
    :param expected: error codes that are left as they are, for the caller to handle.
    """
    try:
        return work()
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        code = getattr(code, "value", code)
        if code in expected:
            raise
        if error.status_code in (401, 403):
            raise StorageFailure(
                403,
                "BadRequest",
                "StorageAuthenticationFailed",
                f"{account} refused the account key (status {error.status_code}, error {code}).",
            ) from None
        raise StorageFailure(
            400,
            "BadRequest",
            "StorageRefused",
            f"{account} refused {request}: status {error.status_code}, error {code}.",
        ) from None
    except AzureError:
        raise StorageFailure(400, "BadRequest", "StorageUnreachable", f"{account} could not be reached.") from None
