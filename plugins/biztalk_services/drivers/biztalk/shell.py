"""The driver at a shell: its options, and its surroundings by the files that a person gives."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from biztalk_services.archive.connect import MissingCredentialsError, open_account, secret_file
from biztalk_services.drivers.biztalk.connection_strings import TRACKING, shown
from biztalk_services.drivers.biztalk.options import BizTalkOverrides
from biztalk_services.drivers.biztalk.sources import Sources
from biztalk_services.drivers.biztalk.tracking.csv import InvalidAnswerError, control_numbers_in, drain_status_in
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    CUSTOM_DOMAIN,
    MONITORING,
    CheckNotPossibleError,
    GivenValue,
    InvalidValueError,
    MissingValue,
    StoredValue,
    Value,
    access_control_value,
    certificate_value,
    same_thing,
    store_value,
)
from biztalk_services.drivers.biztalk.wire.client import DEFAULT_HOST, BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.hosts import ACS_HOST, SERVICE_HOST, custom_domain, read_host
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.model.choices import add_arguments, add_option
from biztalk_services.model.connection_strings import join, pairs, parse
from biztalk_services.model.control_numbers import EVER, UseReport
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.errors import BackupServiceError

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.driver import BizTalkDriver
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.requests import RestoreRequest
    from biztalk_services.model.service import Service

PASSPHRASE = "BIZTALK_KEY_PASSPHRASE"
_NOT_QUERIED = "the tracking database is not queried from a shell; query it with a client, and give the result with"

FILES = {
    ACCESS_CONTROL: "acs_key_file",
    TRACKING: "tracking_connection_file",
    ARCHIVE: "archive_connection_file",
    MONITORING: "monitoring_connection_file",
    CERTIFICATE: "ssl_certificate",
}
"""Setting -> the option that names the file with its value."""


def connection_options() -> argparse.ArgumentParser:
    """As :class:`biztalk_services.cli.shell.Shell`, so all functions here."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group(
        "management API", f"The passphrase of the key, if it has one, stands in the environment variable {PASSPHRASE}."
    )
    add_option(group, "--subscription", help="subscription id")
    add_option(group, "--certificate", type=Path, help="management certificate, PEM, PFX or publish settings file")
    add_option(group, "--key", type=Path, help="its private key, PEM file, when it is not in the certificate's")
    add_option(group, "--host", default=DEFAULT_HOST, help="management host (default: %(default)s)")
    add_option(group, "--port", type=int, help="its port (default: that of --host, or 443)")
    return parent


def inventory_options() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("partner management")
    add_option(group, "--acs-key-file", type=Path, help="file with the key of the ACS namespace and nothing else")
    add_option(group, "--namespace", help="the ACS namespace, when it is not the one that service or backup names")
    add_option(group, "--access-control-host", default=ACS_HOST, help="host of ACS (default: %(default)s)")
    add_option(group, "--service-host", default=SERVICE_HOST, help="end of the services' hosts (default: %(default)s)")
    add_option(group, "--issuer", default="owner", help="its service identity (default: %(default)s)")
    add_option(group, "--endpoint", help="origin below which the real host names are parts of the path")
    return parent


def plan_options() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    values = parent.add_argument_group("values of the restored service, where not those of the backup are to be used")
    add_arguments(values, BizTalkOverrides)
    values.add_argument("--tracking-connection-file", type=Path, help="file with the tracking database's")
    values.add_argument("--archive-connection-file", type=Path, help="file with the archiving store's")
    values.add_argument("--monitoring-connection-file", type=Path, help="file with the monitoring store's")
    values.add_argument("--ssl-certificate", type=Path, help="PFX file")
    values.add_argument("--ssl-password-file", type=Path, help="file with its password")
    answers = parent.add_argument_group("rows of the tracking database, as CSV with headings")
    answers.add_argument("--control-numbers-file", type=Path, help="of the control number query, since the backup")
    answers.add_argument("--all-control-numbers-file", type=Path, help="of the same query, since 1753, asked after it")
    answers.add_argument("--batches-file", type=Path, help="of the drain query")
    sent = parent.add_argument_group("archive of sent interchanges, the second source of used control numbers")
    sent.add_argument("--sent-interchanges-file", type=Path, help="file with the connection string of its account")
    sent.add_argument("--sent-interchanges-container", metavar="CONTAINER[/PREFIX]", help="where in it they are")
    return parent


@contextmanager
def open_driver(arguments: argparse.Namespace) -> Iterator[BizTalkDriver]:
    from biztalk_services.drivers.biztalk.driver import BizTalkDriver

    for name, what in (("subscription", "subscription id"), ("certificate", "management certificate")):
        if not getattr(arguments, name):
            raise MissingCredentialsError(f"There is no {what}: give --{name}, or set BIZTALK_{name.upper()}.")
    client = BizTalkServicesClient(
        arguments.subscription,
        ManagementCredentials(
            certificate_path=arguments.certificate,
            private_key_path=arguments.key,
            passphrase=os.environ.get(PASSPHRASE),
            subscription_id=arguments.subscription,
        ),
        host=arguments.host,
        port=arguments.port,
        ca_bundle=arguments.ca_bundle,
    )
    with client:
        yield BizTalkDriver(client, ShellSources(arguments))


class ShellSources(Sources):
    """What surrounds the services, by files that the arguments of a command name."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def partner_management(self, service: Service, override: str | None = None) -> PartnerManagementClient:
        namespace, given = service.settings.get(ACCESS_CONTROL, ""), self._arguments.namespace
        foreign = given and not same_thing(ACCESS_CONTROL, given, namespace)
        if foreign and getattr(self._arguments, "backup", None) is not None:
            raise InvalidValueError(f"The key that was given is not that of its ACS namespace {namespace}.")
        custom_domain_url = service.settings.get(CUSTOM_DOMAIN, "")
        return self._partner_management(service.ref.name, given or namespace, custom_domain_url)

    def drain_status(self, name: str) -> DrainStatus:
        if file := self._arguments.batches_file:
            status = drain_status_in(file)
        else:
            reason, checked_at = f"{_NOT_QUERIED} --batches-file", datetime.now(UTC)
            status = DrainStatus(answer="unknown", source="shell", reason=reason, checked_at=checked_at)
        if status.answer == "unknown":
            raise DrainUnknownError(status)
        return status

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        problem = f"{_NOT_QUERIED} --control-numbers-file"
        try:
            if since == EVER:
                problem = "It was not read."  # a file holds only what was used since the backup
            elif file := self._arguments.control_numbers_file:
                return control_numbers_in(file, since, self._arguments.all_control_numbers_file)
        except InvalidAnswerError as error:
            problem = str(error)
        return UseReport(source="shell", problem=problem, since=since, checked_at=datetime.now(UTC))

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        from biztalk_services.drivers.biztalk.interchanges.archive import InterchangeArchive

        file: Path | None = self._arguments.sent_interchanges_file
        container, _, prefix = (self._arguments.sent_interchanges_container or "").partition("/")
        if bool(file) != bool(container):
            raise MissingCredentialsError(
                "An archive of sent interchanges needs both --sent-interchanges-file and --sent-interchanges-container."
            )
        if file is None:
            return None
        given = secret_file(file, "connection string of the archive of sent interchanges")
        api_version, ca_bundle = self._arguments.storage_api_version, self._arguments.ca_bundle
        account = open_account(given, str(file), api_version, ca_bundle)
        return InterchangeArchive(account, container, prefix, origin=f"file {file}").uses_since(inventory, since)

    def value(
        self, setting: str, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service]
    ) -> Value:
        file: Path | None = getattr(self._arguments, FILES[setting])
        if file is None:
            option = FILES[setting].replace("_", "-")
            return StoredValue(setting, stored[setting], wanted="", how=f"Give --{option}")
        origin = f"file {file}"
        try:
            return self._given(setting, file, origin, stored, target, services)
        except BackupServiceError as error:
            return MissingValue(setting, origin, str(error))

    def _given(
        self, setting: str, file: Path, origin: str, stored: Mapping[str, str], target: str, services: Sequence[Service]
    ) -> GivenValue:
        if setting == TRACKING:
            return _tracking(file, origin)
        if setting == CERTIFICATE:
            if not self._arguments.ssl_password_file:
                raise InvalidValueError("There is no password of the PFX file; give --ssl-password-file.")
            password = secret_file(self._arguments.ssl_password_file, "password of the PFX file")
            return certificate_value(origin, file, password, target, stored, self._service_host())
        if setting != ACCESS_CONTROL:
            given = secret_file(file, "connection string of the store")
            api_version, ca_bundle = self._arguments.storage_api_version, self._arguments.ca_bundle
            return store_value(setting, origin, open_account(given, str(file), api_version, ca_bundle))
        namespace = self._arguments.namespace or stored[ACCESS_CONTROL]
        if not namespace:
            raise InvalidValueError("The ACS namespace of the backup was not recorded; give --namespace.")
        key = secret_file(file, "key of the ACS namespace")
        return access_control_value(
            origin,
            namespace,
            key,
            target,
            services,
            lambda name: self._partner_management(name, namespace),
            stored[ACCESS_CONTROL],
        )

    def _service_host(self) -> str:
        return read_host(self._arguments.service_host, "--service-host").name

    def _partner_management(self, service: str, namespace: str, custom_domain_url: str = "") -> PartnerManagementClient:
        if not self._arguments.acs_key_file:
            raise MissingCredentialsError(
                f"There is no key of the ACS namespace {namespace}: give --acs-key-file, or set BIZTALK_ACS_KEY_FILE."
            )
        endpoint = self._arguments.endpoint
        return PartnerManagementClient(
            service,
            namespace=namespace,
            key=secret_file(self._arguments.acs_key_file, "key of the ACS namespace"),
            issuer=self._arguments.issuer,
            endpoint=read_host(endpoint, "--endpoint").origin() if endpoint else None,
            access_control_host=read_host(self._arguments.access_control_host, "--access-control-host").name,
            service_host=self._service_host(),
            custom_domain=custom_domain(custom_domain_url, self._service_host()),
            ca_bundle=self._arguments.ca_bundle,
        )


def _tracking(file: Path, origin: str) -> GivenValue:
    """The ADO.NET connection string of the file; no SQL server is queried from here."""
    given = secret_file(file, "connection string of the tracking database")
    try:
        written = dict(pairs(given))
        parts = parse(given)
    except ValueError as error:
        raise InvalidValueError(f"The file {file} does not hold a connection string. {error}") from None
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
            "No SQL server is queried from a shell; the restore itself checks the value, before anything is restored."
        )

    connection_string = join(written)
    return GivenValue(TRACKING, shown(connection_string), origin, {"tracking_store": connection_string}, check)
