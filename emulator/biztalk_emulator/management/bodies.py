"""Bodies that callers send, read and checked (REST reference, sections 1.2, 2.2, 2.12, 2.13 and 7)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from biztalk_emulator import connection_strings, json_text
from biztalk_emulator.business.quotas import QUOTAS
from biztalk_emulator.connection_strings import ConnectionStringError
from biztalk_emulator.http_server import Request
from biztalk_emulator.management import xml
from biztalk_emulator.management.envelopes import CONNECTION_STRINGS, PLAIN_SETTINGS
from biztalk_emulator.management.errors import ManagementError, bad_request

_CLOUD_SERVICE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{4,18}[A-Za-z0-9]")
_BACKUP_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,5}){1,3}")
_COUNT = re.compile(r"[0-9]{1,9}")
_RESTORE = "IntrinsicSettings/ServiceRestoreSettings"
_SETTING_NAMES = (*PLAIN_SETTINGS, *CONNECTION_STRINGS, "AccessControlNamespace", "AccessControlKey")


@dataclass(frozen=True)
class BackupOrder:
    """What a request for a backup names."""

    backup_name: str
    connection_string: str = field(repr=False)


@dataclass(frozen=True)
class RestoreOrder:
    """What a request for a restore names.

    :param overrides: settings that the request names, as of Create; they win over those in the backup.
    :param problems: what is wrong with its form, one sentence each.
    """

    backup_name: str
    connection_string: str = field(repr=False)
    overrides: dict[str, Any] = field(repr=False)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CloudServiceOrder:
    """A cloud service to make."""

    label: str
    description: str
    geo_region: str


def content_kind(request: Request) -> str:
    """``xml`` or ``json``, from the required header Content-Type.

    :raises ManagementError: 400 when it is missing or something else.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json":
        return "json"
    if content_type in ("application/xml", "text/xml") or content_type.endswith("+xml"):
        return "xml"
    raise bad_request("The header Content-Type is required and must be application/xml.")


def cloud_service_order(name: str, request: Request) -> CloudServiceOrder:
    """Read the body of Create Cloud Service.

    :raises ManagementError: 400.
    """
    if not _CLOUD_SERVICE_NAME.fullmatch(name):
        raise bad_request("A cloud service name has up to 64 letters, digits, dots, underscores or dashes.")
    tree = xml.read(request.body, "CloudService")
    region = xml.value(tree, "GeoRegion")
    if not region:
        raise bad_request("GeoRegion is required, for example West US.")
    return CloudServiceOrder(xml.value(tree, "Label") or "", xml.value(tree, "Description") or "", region)


def backup_order(request: Request) -> BackupOrder:
    """Read the body of Backup: XML, or JSON with the same two names.

    :raises ManagementError: 400, naming every broken rule and repeating no secret.
    """
    if content_kind(request) == "json":
        name, connection_string = _backup_json(request.body)
    else:
        tree = xml.read(request.body, "ServiceBackupSettings")
        name = xml.value(tree, "BackupName") or ""
        connection_string = xml.value(tree, "BackupStoreConnectionString") or ""
    if problems := _backup_problems(name, connection_string):
        raise bad_request(" ".join(problems))
    return BackupOrder(name, connection_string)


def is_restore(request: Request) -> bool:
    """Whether the body of a PUT has the tree of Restore, not that of Create."""
    try:
        return xml.read(request.body, "Resource").find(_RESTORE) is not None
    except ManagementError:
        return False


def restore_order(request: Request) -> RestoreOrder:
    """Read the Restore tree; an override that is empty counts as not sent.

    :raises ManagementError: 400 for a body that is no such tree.
    """
    found = _resource(request).find(_RESTORE)
    name = xml.value(found, "BackupName") or ""
    connection_string = xml.value(found, "BackupStoreConnectionString") or ""
    carried = found.find("ServiceSettings")
    overrides = {} if carried is None else _settings_in(carried)
    overrides = {setting: value for setting, value in overrides.items() if value != ""}
    return RestoreOrder(name, connection_string, overrides, _backup_problems(name, connection_string))


def service_settings(request: Request) -> dict[str, Any]:
    """Read the Create tree: the settings that the body names, unchecked but for their form.

    :raises ManagementError: 400.
    """
    found = _resource(request).find("IntrinsicSettings/ServiceSettings")
    if found is None:
        raise bad_request("Resource/IntrinsicSettings/ServiceSettings is required.")
    return _settings_in(found)


def _resource(request: Request) -> Element:
    if content_kind(request) != "xml":
        raise bad_request("The header Content-Type is required and must be application/xml.")
    return xml.read(request.body, "Resource")


def _settings_in(found: Element) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in _SETTING_NAMES:
        value = xml.value(found, name)
        if value is not None:
            settings[name] = value
    data, password = xml.value(found, "ServiceCertificate/Data"), xml.value(found, "ServiceCertificate/Password")
    if data:
        settings["ServiceCertificate"] = {"Data": data, "Password": password or ""}
    if "Edition" in settings:
        settings["Edition"] = settings["Edition"].lower()
    if _COUNT.fullmatch(settings.get("UnitCount", "")):
        settings["UnitCount"] = int(settings["UnitCount"])
    return settings


def check_service_name(name: str) -> None:
    """Refuse a name that a new service cannot have.

    :raises ManagementError: 400.
    """
    if problems := service_name_problems(name):
        raise bad_request(" ".join(problems))


def service_name_problems(name: str) -> list[str]:
    """What keeps a new service from having this name, one sentence each."""
    if _SERVICE_NAME.fullmatch(name):
        return []
    return ["A BizTalk service name has 6 to 20 letters, digits or dashes, and begins and ends with a letter or digit."]


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings that no service can have, naming every broken rule.

    :raises ManagementError: 400.
    """
    if problems := settings_problems(settings):
        raise bad_request(" ".join(problems))


def settings_problems(settings: dict[str, Any]) -> list[str]:
    """What keeps every service from having these settings, one sentence each."""
    problems = []
    edition, units = settings.get("Edition"), settings.get("UnitCount")
    quota = QUOTAS.get(edition or "")
    if quota is None:
        problems.append(f"Edition must be one of {', '.join(QUOTAS)}.")
    elif not isinstance(units, int) or not 1 <= units <= quota.units:
        problems.append(f"UnitCount must be a whole number from 1 to {quota.units} in the {edition} edition.")
    if not _VERSION.fullmatch(settings.get("ServiceVersion") or ""):
        problems.append("ServiceVersion must be a product version such as 1.1.0.")
    problems += store_problems(settings, edition, tracking_needed=edition != "free")
    certificate = settings.get("ServiceCertificate")
    if certificate:
        try:
            base64.b64decode("".join(certificate["Data"].split()), validate=True)
        except (binascii.Error, ValueError):
            problems.append("ServiceCertificate/Data must be base64.")
    return problems


def store_problems(settings: dict[str, Any], edition: str | None, *, tracking_needed: bool = False) -> list[str]:
    """What is wrong with the form of the connection strings among settings, one sentence each."""
    problems = []
    tracking = settings.get("TrackingStoreConnectionString")
    if tracking or tracking_needed:
        try:
            connection_strings.database_name(tracking or "")
        except ConnectionStringError as error:
            problems.append(f"TrackingStoreConnectionString: {error}")
    for name in ("ArchiveStoreConnectionString", "MonitoringStoreConnectionString"):
        if settings.get(name):
            try:
                connection_strings.parse_storage(settings[name])
            except ConnectionStringError as error:
                problems.append(f"{name}: {error}")
    if settings.get("ArchiveStoreConnectionString") and edition in QUOTAS and not QUOTAS[edition].archiving:
        problems.append("Archiving is available in the developer and premium editions only.")
    return problems


def _backup_problems(name: str, connection_string: str) -> list[str]:
    problems = []
    if not _BACKUP_NAME.fullmatch(name):
        problems.append(
            "BackupName must have 3 to 63 lower-case letters, digits and single dashes, and begin and end with a "
            "letter or digit."
        )
    try:
        connection_strings.parse_storage(connection_string)
    except ConnectionStringError as error:
        problems.append(f"BackupStoreConnectionString: {error}")
    return problems


def _backup_json(body: bytes) -> tuple[str, str]:
    try:
        document = json_text.read(body)
        name, connection_string = document["BackupName"], document["BackupStoreConnectionString"]
    except (ValueError, KeyError, TypeError):
        name = connection_string = None
    if not isinstance(name, str) or not isinstance(connection_string, str):
        raise bad_request("The JSON body needs the texts BackupName and BackupStoreConnectionString.")
    return name.strip(), connection_string.strip()
