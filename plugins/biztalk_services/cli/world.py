"""What the plan of a restore looks at, by what a person gives at a shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from biztalk_services.archive.storage import StorageAccount
from biztalk_services.cli.answers import InvalidAnswerError, control_numbers, waiting_batches
from biztalk_services.cli.credentials import account_behind, partner_management, secret_file
from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of
from biztalk_services.drivers.biztalk.given_values import (
    InvalidValueError,
    access_control_value,
    certificate_value,
    needed,
    store_value,
)
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    CERTIFICATE_OF_BACKUP,
    MONITORING,
    CheckNotPossibleError,
    GivenValue,
    MissingValue,
    StoredValue,
    Value,
)
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.flows.archived_plan_inputs import StoredWorld
from biztalk_services.model.control_number_use import UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.restore_request import RestoreRequest
from biztalk_services.model.service import Service

OPTIONS = {
    ACCESS_CONTROL: "acs_key_file",
    TRACKING: "tracking_connection_file",
    ARCHIVE: "archive_connection_file",
    MONITORING: "monitoring_connection_file",
    CERTIFICATE: "ssl_certificate",
}
"""Setting -> the option that names the file with its value."""


class ShellWorld(StoredWorld):
    """
    The :class:`biztalk_services.flows.plan_restore.World` of a shell. Nobody can say there whether another run has ended.

    :param client: of the subscription
    :param account: of backups and catalog
    :param arguments: of the command ``plan``
    """

    def __init__(self, client: BizTalkServicesClient, account: StorageAccount, arguments: argparse.Namespace) -> None:
        super().__init__(account, arguments.catalog)
        self._client = client
        self._arguments = arguments

    @property
    def subscription_id(self) -> str:
        return self._client.subscription_id

    def services(self) -> Sequence[Service]:
        return self._client.list_services()

    def inventory_now(self, service: Service) -> Inventory:
        entities, trouble, namespace = None, None, service.settings.get(ACCESS_CONTROL, "")
        try:
            if (self._arguments.namespace or namespace).lower() != namespace.lower():
                raise InvalidValueError(f"The key that was given is not that of its ACS namespace {namespace}.")
            with partner_management(self._arguments, service.address.name, namespace) as partners:
                entities = partners.all_entities(ENTITY_SETS)
        except BackupServiceError as error:
            trouble = str(error)
        return inventory_of(service, entities, taken_at=datetime.now(UTC), trouble=trouble)

    def control_numbers_since(self, service: str, since: datetime) -> UseReport:
        trouble = "nobody asked the tracking database; ask it yourself, and give the answer with --control-numbers-file"
        try:
            if file := self._arguments.control_numbers_file:
                return control_numbers(file, since)
        except InvalidAnswerError as error:
            trouble = str(error)
        return UseReport(source="shell", trouble=trouble, since=since, checked_at=datetime.now(UTC))

    def batches(self, service: str) -> DrainStatus:
        if file := self._arguments.batches_file:
            return waiting_batches(file)
        reason = "nobody asked the tracking database; ask it yourself, and give the answer with --batches-file"
        return DrainStatus(answer="unknown", source="shell", reason=reason, checked_at=datetime.now(UTC))

    def values(
        self, request: RestoreRequest, stored: dict[str, str], target: str, living: Sequence[Service]
    ) -> Sequence[Value]:
        files = {setting: getattr(self._arguments, option) for setting, option in OPTIONS.items()}
        made: dict[str, Callable[[Path, str], GivenValue]] = {
            ACCESS_CONTROL: lambda file, origin: self._access_control(file, origin, stored, target, living),
            TRACKING: _tracking,
            ARCHIVE: lambda file, origin: self._store(ARCHIVE, file, origin),
            MONITORING: lambda file, origin: self._store(MONITORING, file, origin),
            CERTIFICATE: lambda file, origin: self._certificate(file, origin, target),
        }
        shown = {**stored, CERTIFICATE: CERTIFICATE_OF_BACKUP}
        return [
            _value(setting, files[setting], shown.get(setting, ""), made[setting])
            for setting in needed(stored, [setting for setting, file in files.items() if file])
        ]

    def _access_control(
        self, file: Path, origin: str, stored: dict[str, str], target: str, living: Sequence[Service]
    ) -> GivenValue:
        namespace = self._arguments.namespace or stored.get(ACCESS_CONTROL, "")
        if not namespace:
            raise InvalidValueError("Nobody recorded the ACS namespace of the backup; give --namespace.")
        key = secret_file(file, "key of the ACS namespace")
        return access_control_value(
            origin,
            namespace,
            key,
            target,
            living,
            lambda service: partner_management(self._arguments, service, namespace),
        )

    def _store(self, setting: str, file: Path, origin: str) -> GivenValue:
        given = secret_file(file, "connection string of the store")
        return store_value(setting, origin, account_behind(given, str(file), self._arguments.storage_api_version))

    def _certificate(self, file: Path, origin: str, target: str) -> GivenValue:
        if not self._arguments.ssl_password_file:
            raise InvalidValueError("There is no password of the PFX file; give --ssl-password-file.")
        password = secret_file(self._arguments.ssl_password_file, "password of the PFX file")
        return certificate_value(origin, file, password, target)


def _value(setting: str, file: Path | None, stored: str, made: Callable[[Path, str], GivenValue]) -> Value:
    if file is None:
        return StoredValue(setting, stored, wanted="", how=f"Give --{OPTIONS[setting].replace('_', '-')}")
    try:
        return made(file, f"file {file}")
    except BackupServiceError as error:
        return MissingValue(setting, f"file {file}", str(error))


def _tracking(file: Path, origin: str) -> GivenValue:
    """The ADO.NET connection string as it is; nobody asks a SQL server from here."""
    given = secret_file(file, "connection string of the tracking database")
    parts = parts_of(given)
    server = parts.get("data source") or parts.get("server")
    database = parts.get("initial catalog") or parts.get("database")
    user, password = parts.get("user id") or parts.get("uid"), parts.get("password") or parts.get("pwd")
    if not (server and database and user and password):
        raise InvalidValueError(
            f"The connection string in {file} has to name server (Data Source), database (Initial Catalog), user (User "
            "ID) and password (Password) as the service uses them."
        )

    def check() -> str:
        raise CheckNotPossibleError(
            "Nobody asks a SQL server from a shell; whether this works shows when the restore checks it, which it does "
            "before anything is restored."
        )

    shown = f"Data Source={server};Initial Catalog={database}"
    return GivenValue(TRACKING, shown, origin, {"tracking_store": given}, check)
