"""What a restore sends: the backup's place, and the values that shall not be taken from the backup.

Source: Restore BizTalk Service (dn232344) names what may be given but its body was not recovered; this is the tree of
Create (dn232416) with the backup's place beside it, as agreed with the emulator.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field, fields
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from biztalk_services.model.errors import InvalidRequestError
from biztalk_services.model.redaction import secrets_of

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {
    "custom_domain_url": "CustomDomainUrl",
    "service_version": "ServiceVersion",
    "edition": "Edition",
    "unit_count": "UnitCount",
    "certificate": "ServiceCertificate",
    "tracking_store": "TrackingStoreConnectionString",
    "archive_store": "ArchiveStoreConnectionString",
    "monitoring_store": "MonitoringStoreConnectionString",
    "acs_namespace": "AccessControlNamespace",
    "acs_key": "AccessControlKey",
}
"""Field -> element, in the order of Create."""


@dataclass(frozen=True)
class RestoreValues:
    """What a restore sends explicitly. A value that is None is taken from the backup, where the service does not check
    it before it uses it; a value that is given is checked at once. Not pickled, because it holds secrets.

    :param edition: of the restored service; the backup's or a higher one.
    :param unit_count: scale units, 1 or more.
    :param custom_domain_url: its own domain.
    :param service_version: product version (``1.1.0``).
    :param tracking_store: ADO.NET connection string of a SQL database that serves no other service.
    :param archive_store: connection string of the storage account for archiving.
    :param monitoring_store: connection string of the storage account for monitoring.
    :param acs_namespace: Access Control Service namespace.
    :param acs_key: password of its identity ``owner``.
    :param certificate: SSL certificate with its key, PKCS#12 as base64 text.
    :param certificate_password: of the PKCS#12; only together with it.
    :raises InvalidRequestError: a value cannot be sent: empty, not printable in XML, no number, no base64.
    """

    edition: str | None = None
    unit_count: int | None = None
    custom_domain_url: str | None = None
    service_version: str | None = None
    tracking_store: str | None = field(default=None, repr=False)
    archive_store: str | None = field(default=None, repr=False)
    monitoring_store: str | None = field(default=None, repr=False)
    acs_namespace: str | None = None
    acs_key: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    certificate_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if value is not None and name != "unit_count":
                _check_text(name, value)
        if self.unit_count is not None and (type(self.unit_count) is not int or self.unit_count < 1):
            raise InvalidRequestError("The unit_count of a restore is a whole number of 1 or more; correct it.")
        if self.certificate is not None:
            _check_base64(self.certificate)
        elif self.certificate_password is not None:
            raise InvalidRequestError(
                "There is a certificate_password without certificate. Give both, or neither to take them from the "
                "backup."
            )

    def __reduce__(self) -> Any:
        raise TypeError("The values of a restore hold secrets and are not pickled.")

    def secrets(self) -> tuple[str, ...]:
        """The exact values that must not be repeated anywhere."""
        whole = (self.acs_key, self.certificate, self.certificate_password)
        stores = (self.tracking_store, self.archive_store, self.monitoring_store)
        return (
            *(value for value in whole if value),
            *(secret for store in stores if store for secret in secrets_of(store)),
        )


def restore_body(store_connection_string: str, backup_name: str, values: RestoreValues) -> bytes:
    """The body of a restore request. Holds secrets.

    :param store_connection_string: of the storage account that holds the backup, with its key.
    :param backup_name: name of backup and container.
    :raises InvalidRequestError: one of the two is empty or not printable in XML.
    """
    _check_text("store_connection_string", store_connection_string)
    _check_text("backup_name", backup_name)
    resource = Element("Resource")
    SubElement(resource, "SchemaVersion").text = "1.0"
    SubElement(resource, "Plan")
    restore = SubElement(SubElement(resource, "IntrinsicSettings"), "ServiceRestoreSettings")
    SubElement(restore, "BackupStoreConnectionString").text = store_connection_string
    SubElement(restore, "BackupName").text = backup_name
    given = {name: value for name in _ELEMENTS if (value := getattr(values, name)) is not None}
    if given:
        settings = SubElement(restore, "ServiceSettings")
        for name, value in given.items():
            element = SubElement(settings, _ELEMENTS[name])
            if name == "certificate":
                SubElement(element, "Data").text = value
                if values.certificate_password is not None:
                    SubElement(element, "Password").text = values.certificate_password
            else:
                element.text = str(value)
    return tostring(resource, encoding="utf-8", xml_declaration=True)


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequestError(f"The {name} of a restore is not text; give it as text.")
    if not value.strip():
        raise InvalidRequestError(
            f"The {name} of a restore is empty. Give it a value; an optional one is left out (None) to be taken from "
            "the backup."
        )
    if _NOT_XML.search(value):
        raise InvalidRequestError(
            f"The {name} of a restore holds characters that XML cannot carry. Copy it again from where it comes."
        )


def _check_base64(certificate: str) -> None:
    try:
        base64.b64decode("".join(certificate.split()), validate=True)
    except (binascii.Error, ValueError):
        readable = False
    else:
        readable = True
    if not readable:
        raise InvalidRequestError("The certificate of a restore is not base64 text. Give the PKCS#12 file as base64.")
