"""Opens a storage account with what a person gives at a shell: connection strings and files with one secret each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact, secrets_of

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount

_RETRIES = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1, "random_jitter_range": 0}
"""A person waits: a few seconds, not the minute that Azure's library takes by itself."""


class MissingCredentialsError(BackupServiceError):
    """A command was given too little to start with; no request was sent."""


def open_account(connection_string: str, origin: str, api_version: str | None) -> StorageAccount:
    """The storage account that a connection string leads to.

    :param origin: where it comes from.
    :param api_version: of the storage protocol; None: the newest.
    :raises MissingCredentialsError: it is not a connection string.
    """
    from azure.storage.blob import BlobServiceClient

    from biztalk_services.archive.storage import StorageAccount

    options: dict[str, Any] = {**_RETRIES, "connection_timeout": 10}
    if api_version:
        options["api_version"] = api_version
    try:
        client = BlobServiceClient.from_connection_string(connection_string, **options)
    except (ValueError, TypeError, AttributeError) as error:
        reason = redact(str(error), secrets_of(connection_string), limit=200).rstrip(".")
        raise MissingCredentialsError(
            f"The connection string in {origin} leads to no storage account ({reason}). Copy it again from the "
            "account's access keys."
        ) from None
    return StorageAccount(client)


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
