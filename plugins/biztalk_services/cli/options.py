"""Options that several commands have, and the archive made of them.

Each option may stand in an environment variable instead, so that it is typed once. A secret is never an option, because
all users of a machine see those.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from biztalk_services.archive.connect import MissingCredentialsError, open_account, secret_file
from biztalk_services.model.choices import add_option

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
DEFAULT_CATALOG = "biztalk-backup-catalog"


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
    add_option(
        group, "--records-container", help="container of locks and suspension records (default: that of the catalog)"
    )
    return parent


def add_ca_bundle(command: argparse.ArgumentParser) -> None:
    """Add the option that every command has: which CAs every TLS connection trusts."""
    add_option(
        command,
        "--ca-bundle",
        type=Path,
        help="PEM file of the CAs that every connection trusts instead of the public ones",
    )


def storage_is_given(arguments: argparse.Namespace) -> bool:
    """Whether there is a connection string."""
    return bool(arguments.storage_connection_file or os.environ.get(CONNECTION_STRING, "").strip())


def open_archive(arguments: argparse.Namespace) -> Archive:
    """The archive of backups and records.

    :raises MissingCredentialsError: there is no connection string, or it is invalid.
    """
    from biztalk_services.archive.archive import Archive

    text, origin = os.environ.get(CONNECTION_STRING, "").strip(), CONNECTION_STRING
    if file := arguments.storage_connection_file:
        text, origin = secret_file(file, "connection string of the storage account"), str(file)
    if not text:
        raise MissingCredentialsError(
            f"No storage account is given: set {CONNECTION_STRING}, or give --storage-connection-file."
        )
    account = open_account(text, origin, arguments.storage_api_version, arguments.ca_bundle)
    return Archive(account, arguments.catalog, arguments.records_container)
