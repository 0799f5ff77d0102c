"""Values given for a restored service, each with the check of the real thing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    MONITORING,
    CheckNotPossibleError,
    GivenValue,
    InvalidValueError,
)

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
    from biztalk_services.model.service import Service

_FIELDS = {ARCHIVE: "archive_store", MONITORING: "monitoring_store"}


def access_control_value(
    origin: str,
    namespace: str,
    key: str,
    target: str,
    services: Sequence[Service],
    client: Callable[[str], PartnerManagementClient],
) -> GivenValue:
    """The Access Control namespace of the restored service.

    :param origin: where the value comes from, so in all functions here (``connection biztalk_acs_x``).
    :param namespace: its name.
    :param key: its key.
    :param target: name of the restored service, so in all functions here.
    :param services: all services of the subscription.
    :param client: makes the client of a service's partner management.
    """
    users = [each for each in services if each.settings.get(ACCESS_CONTROL, "").lower() == namespace.lower()]

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

    :param setting: which of the two.
    :param account: the account.
    :raises StorageKeyMissingError: the connection has no account key.
    """
    shown = f"AccountName={account.name};BlobEndpoint={account.client.url.partition('?')[0].rstrip('/')}"
    return GivenValue(setting, shown, origin, {_FIELDS[setting]: account.connection_string()}, account.check)


def certificate_value(origin: str, path: str | Path, password: str, target: str) -> GivenValue:
    """The SSL certificate, out of a PFX file that the password opens.

    :raises InvalidValueError: the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidValueError(
            f"The SSL certificate {path} cannot be read ({error.strerror or type(error).__name__})."
        ) from None
    sent = {"certificate": base64.b64encode(data).decode(), "certificate_password": password}
    return GivenValue(CERTIFICATE, str(path), origin, sent, lambda: check_ssl_certificate(data, password, target))


def check_ssl_certificate(pfx: bytes, password: str, service: str, now: datetime | None = None) -> str:
    """One sentence on an SSL certificate that fits a service.

    Rules: provisioning pages of BizTalk Services (name of the service's host, not expired).

    :raises InvalidValueError: it cannot be opened, has no key, is not valid now, or is for another host.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs12

    now = now or datetime.now(UTC)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(pfx, password.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidValueError("The SSL certificate is not a PFX file, or the password is wrong.") from None
    if certificate is None or key is None:
        raise InvalidValueError("The PFX file has no certificate with its private key; export both.")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidValueError(
            f"The SSL certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, so it is not valid now; get a new one."
        )
    host = f"{service.lower()}.biztalk.windows.net"
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = named.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    names += [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if not any(name.lower() in (host, f"*.{host.partition('.')[2]}") for name in names):
        raise InvalidValueError(f"The SSL certificate is for {', '.join(names) or 'no host'}, not for {host}.")
    return f"The SSL certificate is for {host} and valid until {certificate.not_valid_after_utc:%Y-%m-%d}."
