"""Options that several commands have, and the archive made of them.

Each option may stand in an environment variable instead, so that it is typed once. A secret is never an option, because
all users of a machine see those.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact, secrets_of

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.storage import StorageAccount

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
DEFAULT_CATALOG = "biztalk-backup-catalog"
_RETRIES = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1, "random_jitter_range": 0}
"""A person waits: a few seconds, not the minute that Azure's library takes by itself."""


class MissingCredentialsError(BackupServiceError):
    """A command was given too little to start with; no request was sent."""


def storage_options() -> argparse.ArgumentParser:
    """The options of all commands that read the archive; a parent of their parsers."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group(
        "storage account",
        f"Its connection string, with the account key, stands in the environment variable {CONNECTION_STRING} or in a "
        "file.",
    )
    add_option(group, "--storage-connection-file", type=Path, help="file with the connection string and nothing else")
    add_option(group, "--storage-api-version", help="version of the storage protocol, where the newest is unknown")
    add_option(group, "--catalog", default=DEFAULT_CATALOG, help="container of the catalog (default: %(default)s)")
    return parent


def add_option(group: Any, option: str, *, help: str, default: Any = None, **how: Any) -> None:
    """Add an option that may stand in an environment variable: ``--port`` in ``BIZTALK_PORT``."""
    variable = f"BIZTALK_{option.strip('-').upper().replace('-', '_')}"
    group.add_argument(option, default=os.environ.get(variable) or default, help=f"{help} [{variable}]", **how)


def storage_is_given(arguments: argparse.Namespace) -> bool:
    """Whether there is a connection string."""
    return bool(arguments.storage_connection_file or os.environ.get(CONNECTION_STRING, "").strip())


def open_archive(arguments: argparse.Namespace) -> Archive:
    """The archive of backups and records.

    :raises MissingCredentialsError: there is no connection string, or it is invalid.
    """
    from biztalk_services.archive.archive import Archive

    connection_string, origin = _connection_string(arguments)
    return Archive(open_account(connection_string, origin, arguments.storage_api_version), arguments.catalog)


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


def _connection_string(arguments: argparse.Namespace) -> tuple[str, str]:
    """The connection string, and where it comes from."""
    if arguments.storage_connection_file:
        file = arguments.storage_connection_file
        return secret_file(file, "connection string of the storage account"), str(file)
    if text := os.environ.get(CONNECTION_STRING, "").strip():
        return text, CONNECTION_STRING
    raise MissingCredentialsError(
        f"No storage account is given: set {CONNECTION_STRING}, or give --storage-connection-file."
    )
