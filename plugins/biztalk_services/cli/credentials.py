"""What the commands need to know of subscription and storage account, and the clients made of it.

Each option may stand in an environment variable instead, so that it is typed once. A secret is never an option, because
all users of a machine see those.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.wire.client import DEFAULT_HOST, BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact, secrets_of
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount

CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
PASSPHRASE = "BIZTALK_KEY_PASSPHRASE"
_RETRIES = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1, "random_jitter_range": 0}
"""A person waits: a few seconds, not the minute that Azure's library takes by itself."""


class MissingCredentialsError(BackupServiceError):
    """A command was given too little to begin with; nothing was asked of anybody."""


def management_options() -> argparse.ArgumentParser:
    """The options of all commands that ask the subscription; a parent of their parsers."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group(
        "management API", f"The passphrase of the key, if it has one, stands in the environment variable {PASSPHRASE}."
    )
    add(group, "--subscription", help="subscription id")
    add(group, "--certificate", type=Path, help="management certificate, PEM or PFX file")
    add(group, "--key", type=Path, help="its private key, PEM file, when it is not in the certificate's")
    add(group, "--host", default=DEFAULT_HOST, help="management host (default: %(default)s)")
    add(group, "--port", type=int, default=443, help="its port (default: %(default)s)")
    add(group, "--ca", type=Path, help="PEM file of the CAs to trust instead of the public ones")
    return parent


def storage_options() -> argparse.ArgumentParser:
    """The options of all commands that look into the storage account; a parent of their parsers."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group(
        "storage account",
        f"Its connection string, with the account key, stands in the environment variable {CONNECTION_STRING} or in a "
        "file.",
    )
    add(group, "--storage-connection-file", type=Path, help="file with the connection string and nothing else")
    add(group, "--storage-api-version", help="version of the storage protocol to ask for, where the newest is unknown")
    add(group, "--catalog", default=Settings.catalog_container, help="container of the catalog (default: %(default)s)")
    return parent


def partner_options() -> argparse.ArgumentParser:
    """The options of all commands that ask partner management; a parent of their parsers."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("partner management")
    add(group, "--acs-key-file", type=Path, help="file with the key of the ACS namespace and nothing else")
    add(group, "--namespace", help="the ACS namespace, when it is not the one that service or backup name")
    add(group, "--issuer", default="owner", help="its service identity (default: %(default)s)")
    add(group, "--endpoint", help="origin below which the real host names are parts of the path")
    return parent


def add(group: Any, option: str, *, help: str, default: Any = None, **how: Any) -> None:
    """Add an option that may stand in an environment variable: ``--port`` in ``BIZTALK_PORT``."""
    variable = f"BIZTALK_{option.strip('-').upper().replace('-', '_')}"
    group.add_argument(option, default=os.environ.get(variable) or default, help=f"{help} [{variable}]", **how)


def subscription(arguments: argparse.Namespace) -> BizTalkServicesClient:
    """The client of the subscription.

    :raises MissingCredentialsError: subscription or certificate was not given.
    :raises BackupServiceError: what was given cannot be used.
    """
    for name, what in (("subscription", "subscription id"), ("certificate", "management certificate")):
        if not getattr(arguments, name):
            raise MissingCredentialsError(f"There is no {what}: give --{name}, or set BIZTALK_{name.upper()}.")
    return BizTalkServicesClient(
        arguments.subscription,
        ManagementCredentials(
            certificate_path=arguments.certificate,
            private_key_path=arguments.key,
            passphrase=os.environ.get(PASSPHRASE),
        ),
        host=arguments.host,
        port=arguments.port,
        ca_bundle=arguments.ca,
    )


def storage_is_given(arguments: argparse.Namespace) -> bool:
    """Whether there is a connection string to be had."""
    return bool(arguments.storage_connection_file or os.environ.get(CONNECTION_STRING, "").strip())


def storage(arguments: argparse.Namespace) -> StorageAccount:
    """The storage account of backups and catalog.

    :raises MissingCredentialsError: there is no connection string, or it is none.
    """
    return account_behind(*_connection_string(arguments), arguments.storage_api_version)


def account_behind(connection_string: str, origin: str, api_version: str | None) -> StorageAccount:
    """The storage account that a connection string leads to.

    :param origin: where it comes from.
    :param api_version: of the storage protocol; None: the newest.
    :raises MissingCredentialsError: it is no connection string.
    """
    from azure.storage.blob import BlobServiceClient

    from biztalk_services.archive.storage import StorageAccount

    version = {"api_version": api_version} if api_version else {}
    try:
        client = BlobServiceClient.from_connection_string(
            connection_string, **version, **_RETRIES, connection_timeout=10
        )
    except (ValueError, TypeError, AttributeError) as error:
        reason = redact(str(error), secrets_of(connection_string), limit=200).rstrip(".")
        raise MissingCredentialsError(
            f"The connection string in {origin} leads to no storage account ({reason}). Copy it again from the "
            "account's access keys."
        ) from None
    return StorageAccount(client)


def partner_management(arguments: argparse.Namespace, service: str, namespace: str) -> PartnerManagementClient:
    """The client of a service's partner management.

    :param service: its name.
    :param namespace: its ACS namespace, where the options do not name another.
    :raises MissingCredentialsError: there is no key of the namespace.
    :raises BackupServiceError: what was given cannot be used.
    """
    if not arguments.acs_key_file:
        raise MissingCredentialsError(
            f"There is no key of the ACS namespace {namespace}: give --acs-key-file, or set BIZTALK_ACS_KEY_FILE."
        )
    return PartnerManagementClient(
        service,
        namespace=arguments.namespace or namespace,
        key=secret_file(arguments.acs_key_file, "key of the ACS namespace"),
        issuer=arguments.issuer,
        endpoint=arguments.endpoint,
        ca_bundle=arguments.ca,
    )


def secret_file(path: Path, what: str) -> str:
    """The text of a file with one secret, without blanks around it.

    :param what: what it should hold, to complete the sentence "The ... cannot be read".
    :raises MissingCredentialsError: it cannot be read, or is empty.
    """
    try:
        text = path.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise MissingCredentialsError(f"The {what} cannot be read from {path}: {reason}.") from None
    if not text:
        raise MissingCredentialsError(f"The {what} cannot be read from {path}: the file is empty.")
    return text


def _connection_string(arguments: argparse.Namespace) -> tuple[str, str]:
    """The connection string, and where it comes from."""
    if arguments.storage_connection_file:
        file = arguments.storage_connection_file
        return secret_file(file, "connection string of the storage account"), str(file)
    if given := os.environ.get(CONNECTION_STRING, "").strip():
        return given, CONNECTION_STRING
    raise MissingCredentialsError(
        f"There is no storage account to look into: set {CONNECTION_STRING}, or give --storage-connection-file."
    )
