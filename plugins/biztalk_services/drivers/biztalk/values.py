"""The values that a restored service will work with: where each comes from, and whether it works.

What is given in a restore is checked by the service; what is taken out of the backup is not, and makes the restore fail
late ("BizTalk Services: Backup and Restore", known issue). So every value for which there is a connection is checked
here, and sent explicitly, so that the service checks it too.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of, tracking_database
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire.hosts import custom_domain, platform_host, read_namespace, reported_host
from biztalk_services.drivers.biztalk.wire.key_files import UnusableFileError, decoded, host_names, read_pfx
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import PlannedValue
from biztalk_services.model.service import Service

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient

ARCHIVE, MONITORING = "ArchiveStoreConnectionString", "MonitoringStoreConnectionString"
ACCESS_CONTROL, CERTIFICATE = "AccessControlNamespace", "ServiceCertificate"
CUSTOM_DOMAIN = "CustomDomainUrl"
ONLY_IN_BACKUP = "backup"
"""Origin of a value that no connection leads to."""

_PFX_PASSWORD = "password of the connection, --ssl-password-file at a shell"
_FIELDS = {ARCHIVE: "archive_store", MONITORING: "monitoring_store"}


class CheckNotPossibleError(BackupServiceError):
    """It cannot be checked now whether a value works; the message says why."""


class InvalidValueError(BackupServiceError):
    """What was given does not hold what a restore needs, or what it leads to does not work."""


class OtherHostError(InvalidValueError):
    """An SSL certificate is for another host."""


@dataclass(frozen=True)
class GivenValue:
    """A value that a connection holds.

    :param setting: element name of the setting, here and below.
    :param shown: the value without its secret, here and below.
    :param origin: where it comes from (``connection biztalk_acs_x``), here and below.
    :param sent: what it adds to the request: fields of :class:`RestoreValues`.
    :param check: checks the real thing; one sentence. Raises BackupServiceError when it does not work,
        CheckNotPossibleError when that cannot be checked.
    """

    setting: str
    shown: str
    origin: str
    sent: dict[str, Any] = field(repr=False)
    check: Callable[[], str] = field(repr=False)

    def planned(self) -> PlannedValue:
        """The value with what its check finds now; a value that cannot be sent does not work either."""
        try:
            RestoreValues(**self.sent)
            sentence = self.check()
        except CheckNotPossibleError as unknown:
            return PlannedValue(self.setting, self.shown, self.origin, "not possible", str(unknown))
        except BackupServiceError as error:
            return PlannedValue(self.setting, self.shown, self.origin, "failed", str(error))
        return PlannedValue(self.setting, self.shown, self.origin, "passed", sentence)


@dataclass(frozen=True)
class MissingValue:
    """A value that was chosen and is not available, or is another one than the backup's; the sentence says why."""

    setting: str
    origin: str
    sentence: str
    shown: str = ""

    def planned(self) -> PlannedValue:
        return PlannedValue(self.setting, self.shown, self.origin, "failed", self.sentence)


@dataclass(frozen=True)
class StoredValue:
    """A value that is only in the backup: it cannot be checked before the service uses it.

    :param wanted: the connection that could check it; empty when not even its name is known.
    :param how: how to give it instead, as an order, where that is not by a connection.
    """

    setting: str
    shown: str
    wanted: str
    how: str = ""

    def planned(self) -> PlannedValue:
        named = f"Create connection {self.wanted}, or name another one" if self.wanted else "Name a connection"
        how = self.how or f"{named} in the form"
        sentence = (
            "The value is only in the backup, so it cannot be checked before the service uses it; if it was removed or "
            f"changed since, the restore fails late. {how} to have it checked and sent."
        )
        return PlannedValue(self.setting, self.shown, ONLY_IN_BACKUP, "not possible", sentence)


Value = GivenValue | MissingValue | StoredValue


def sent_values(values: Iterable[Value], *, edition: str, unit_count: int | None, version: str | None) -> RestoreValues:
    """What the restore sends explicitly. Holds secrets."""
    sent: dict[str, Any] = {"edition": edition, "unit_count": unit_count, "service_version": version}
    for value in values:
        if isinstance(value, GivenValue):
            sent |= value.sent
    return RestoreValues(**sent)


def same_thing(setting: str, one: str, other: str) -> bool:
    """Whether two values without secrets lead to the same database, storage account or namespace."""
    if setting == TRACKING:
        databases = [tracking_database({TRACKING: value}) for value in (one, other)]
        return databases[0] is not None and databases[0] == databases[1]
    if setting == ACCESS_CONTROL:
        names = [read_namespace(value)[0].lower() for value in (one, other)]
    else:
        names = [parts_of(value).get("accountname", value).lower() for value in (one, other)]
    return names[0] == names[1]


def access_control_value(
    origin: str,
    namespace: str,
    key: str,
    target: str,
    services: Sequence[Service],
    client: Callable[[str], PartnerManagementClient],
    stored: str = "",
) -> GivenValue:
    """The Access Control namespace of the restored service.

    :param namespace: its name, or its host.
    :param stored: the backup's, in the service's spelling.
    :param target: name of the restored service, here and below.
    :param services: all services of the subscription.
    :param client: makes the client of a service's partner management.
    """
    users = [each for each in services if same_thing(ACCESS_CONTROL, each.settings.get(ACCESS_CONTROL, ""), namespace)]
    namespace = stored if same_thing(ACCESS_CONTROL, stored, namespace) else read_namespace(namespace)[0]

    def check() -> str:
        """A namespace issues tokens for existing services only, and the restored one does not exist yet."""
        try:
            return client(users[0].ref.name if users else target).check()
        except AccessControlError as refused:
            if users or refused.status != HTTPStatus.BAD_REQUEST:
                raise
            raise CheckNotPossibleError(
                f"Namespace {namespace} is reachable, and issues no token for a service that does not exist yet; the "
                f"restore itself checks the key. {refused}"
            ) from None

    return GivenValue(ACCESS_CONTROL, namespace, origin, {"acs_namespace": namespace, "acs_key": key}, check)


def store_value(setting: str, origin: str, account: StorageAccount) -> GivenValue:
    """The archiving or the monitoring store.

    :raises StorageKeyMissingError: the connection has no account key.
    """
    shown = f"AccountName={account.name};BlobEndpoint={account.client.url.partition('?')[0].rstrip('/')}"
    return GivenValue(setting, shown, origin, {_FIELDS[setting]: account.connection_string()}, account.check)


def certificate_value(
    origin: str, path: str | Path, password: str, target: str, stored: Mapping[str, str], service_host: str
) -> GivenValue:
    """The SSL certificate, out of a PFX file, or its base64 text, that the password opens.

    :param stored: the backup's settings without secrets; a custom domain among them is the restored service's too.
    :param service_host: what the platform's names of services end with.
    :raises InvalidValueError: the file cannot be read.
    """
    try:
        data = decoded(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise InvalidValueError(
            f"The SSL certificate {path} cannot be read ({error.strerror or type(error).__name__})."
        ) from None
    reported = stored.get(CUSTOM_DOMAIN, "")
    host = custom_domain(reported, service_host) or platform_host(target, service_host)
    known = reported_host(reported) or any(value for name, value in stored.items() if name != CERTIFICATE)

    def check() -> str:
        try:
            return check_ssl_certificate(data, password, host)
        except OtherHostError as other:
            if known and (not reported or reported_host(reported)):
                raise
            raise CheckNotPossibleError(
                f"{other} Which custom domain the service of the backup had is not known, so it cannot be checked "
                "whether the certificate fits."
            ) from None

    sent = {"certificate": base64.b64encode(data).decode(), "certificate_password": password}
    return GivenValue(CERTIFICATE, str(path), origin, sent, check)


def check_ssl_certificate(pfx: bytes, password: str, host: str, now: datetime | None = None) -> str:
    """One sentence on an SSL certificate that fits a host.

    Rules: provisioning pages of BizTalk Services (name of the service's host or custom domain, not expired).

    :param host: in lower case.
    :raises OtherHostError: it is for another host.
    :raises InvalidValueError: it cannot be opened, has no key, or is not valid now.
    """
    now = now or datetime.now(UTC)
    try:
        certificate = read_pfx(pfx, password.encode(), _PFX_PASSWORD).certificate
    except UnusableFileError as error:
        raise InvalidValueError(f"The SSL certificate {error}") from None
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidValueError(
            f"The SSL certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, so it is not valid now; get a new one."
        )
    names = host_names(certificate)
    if not any(name in (host, f"*.{host.partition('.')[2]}") for name in names):
        raise OtherHostError(f"The SSL certificate is for {', '.join(names) or 'no host'}, not for {host}.")
    return f"The SSL certificate is for {host} and valid until {certificate.not_valid_after_utc:%Y-%m-%d}."
