"""The body of a restore request: location of the backup, and values that override those of the backup.

Source: Restore BizTalk Service (dn232344) lists the parameters, but its body was not recovered. The body used here is
that of Create (dn232416) plus the location of the backup, as agreed with the emulator.
"""

from __future__ import annotations

import base64
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
"""Field -> element, in the order of Create (dn232416)."""


@dataclass(frozen=True)
class RestoreValues:
    """Explicit values of a restore. None: the value of the backup is used, which the service validates only on use;
    explicit values are validated immediately. Contains secrets; not pickled.

    :param edition: that of the backup or a higher one.
    :param service_version: product version (``1.1.0``).
    :param tracking_store: ADO.NET connection string of a SQL database that no other service uses.
    :param archive_store: connection string of a storage account, as ``monitoring_store``.
    :param acs_key: password of the service identity ``owner``.
    :param certificate: SSL certificate with its key, PKCS#12 as base64 text.
    :param certificate_password: of the PKCS#12; requires ``certificate``.
    :raises InvalidRequestError: a value is invalid: empty, not representable in XML, not a number, not base64.
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
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and each.name != "unit_count":
                _check_text(each.name, value)
        if self.unit_count is not None and (type(self.unit_count) is not int or self.unit_count < 1):
            raise InvalidRequestError("The unit_count of a restore must be a whole number of 1 or more; correct it.")
        if self.certificate is None and self.certificate_password is not None:
            raise InvalidRequestError(
                "The restore has a certificate_password without certificate. Set both, or neither to use those of the "
                "backup."
            )
        if self.certificate is not None and not _is_base64(self.certificate):
            raise InvalidRequestError(
                "The certificate of a restore is not base64 text. Set the PKCS#12 file encoded as base64."
            )

    def __reduce__(self) -> Any:
        raise TypeError("The values of a restore contain secrets and are not pickled.")

    def secrets(self) -> tuple[str, ...]:
        """The exact values to redact."""
        whole = (self.acs_key, self.certificate, self.certificate_password)
        stores = (self.tracking_store, self.archive_store, self.monitoring_store)
        return (
            *(value for value in whole if value),
            *(secret for store in stores if store for secret in secrets_of(store)),
        )


def restore_body(store_connection_string: str, backup_name: str, values: RestoreValues) -> bytes:
    """The body of a restore request. Contains secrets.

    :param store_connection_string: of the storage account with the backup, including its key.
    :raises InvalidRequestError: this or the name is empty or not representable in XML.
    """
    _check_text("store_connection_string", store_connection_string)
    _check_text("backup_name", backup_name)
    resource = Element("Resource")
    SubElement(resource, "SchemaVersion").text = "1.0"
    SubElement(resource, "Plan")
    restore = SubElement(SubElement(resource, "IntrinsicSettings"), "ServiceRestoreSettings")
    SubElement(restore, "BackupStoreConnectionString").text = store_connection_string
    SubElement(restore, "BackupName").text = backup_name
    explicit = {name: value for name in _ELEMENTS if (value := getattr(values, name)) is not None}
    if explicit:
        settings = SubElement(restore, "ServiceSettings")
        for name, value in explicit.items():
            element = SubElement(settings, _ELEMENTS[name])
            if name == "certificate":
                SubElement(element, "Data").text = value
                if values.certificate_password is not None:
                    SubElement(element, "Password").text = values.certificate_password
            else:
                element.text = str(value)
    body: bytes = tostring(resource, encoding="utf-8", xml_declaration=True)
    return body


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequestError(f"The {name} of a restore is not text; set it as text.")
    if not value.strip():
        raise InvalidRequestError(
            f"The {name} of a restore is empty. Set a value; for an optional one, None uses the value of the backup."
        )
    if _NOT_XML.search(value):
        raise InvalidRequestError(
            f"The {name} of a restore contains characters that are invalid in XML. Copy it again from its source."
        )


def _is_base64(text: str) -> bool:
    # The error is not raised from the handler: the exception contains the text, which is a secret.
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return False
    return True
