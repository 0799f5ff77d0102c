"""Accepting a restore: everything that can be checked at once is checked, and one answer has all broken rules.

Values that the request carries are tried on what they name. Values that come out of the backup are not: they are used
when the operation is due (known issue in "BizTalk Services: Backup and Restore"; REST reference, section 8).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import pkcs12

from biztalk_emulator import restores
from biztalk_emulator.business import package, quotas
from biztalk_emulator.business.errors import PackageDamaged
from biztalk_emulator.connection_strings import parse_storage
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.management import bodies
from biztalk_emulator.management.bodies import RestoreOrder
from biztalk_emulator.world import World

_RANK = {"basic": 1, "standard": 2, "premium": 3}
"""Only these can be restored, and only upward."""

_SHOWN_MEANWHILE = ("CustomDomainUrl", "ServiceVersion", "Edition", "UnitCount")


class AccountsNotChecked(Exception):
    """A restore needs `check` first: requests to storage accounts, outside of every transaction."""

    def __init__(self, check: Callable[[], Findings]) -> None:
        super().__init__("The storage accounts have to be checked first.")
        self.check = check


@dataclass(frozen=True)
class Findings:
    """What the storage accounts returned.

    :param problems: what they refused, one sentence each.
    :param descriptor: of the backup; None when it could not be read.
    :param service: what the backup holds; None when it is damaged, which shows when the operation is due.
    """

    problems: list[str]
    descriptor: dict[str, Any] | None = None
    service: dict[str, Any] | None = field(default=None, repr=False)


def check_accounts(order: RestoreOrder) -> Findings:
    """Read the backup from its storage account, and check the keys of the accounts that the request names."""
    from biztalk_emulator import storage

    problems: list[str] = []
    descriptor = service = None
    if not order.problems:
        source = storage.BackupSource(parse_storage(order.connection_string), order.backup_name)
        try:
            descriptor = package.describe({f"{order.backup_name}.txt": source.descriptor()})
            service = _unless_damaged(source.blobs())
        except OperationFailure as failure:
            problems.append(failure.error["message"])
        except PackageDamaged as damaged:
            problems.append(str(damaged))
        finally:
            source.close()
    problems += [
        failure.error["message"] for failure in restores.refusals_of_accounts(order.overrides, restores.STORES)
    ]
    return Findings(problems, descriptor, service)


def problems(order: RestoreOrder, findings: Findings, world: World, *, version_equality: str) -> list[str]:
    """Everything that is wrong with a restore as far as it can be checked at once, one sentence each."""
    found = [*order.problems, *findings.problems]
    if findings.descriptor:
        found += _rule_problems(order, findings.descriptor, version_equality)
    settings = settings_of(order, findings)
    if findings.service:
        wrong = bodies.settings_problems(settings)
        found += wrong or quotas.excesses(
            findings.service["content"], edition=settings["Edition"], units=settings["UnitCount"]
        )
    else:
        found += bodies.store_problems(order.overrides, settings.get("Edition"))
    found += _carried_problems(order.overrides, settings, world)
    return list(dict.fromkeys(found))


def settings_of(order: RestoreOrder, findings: Findings) -> dict[str, Any]:
    """Settings of the service to be, as far as they are known: those of the request before those of the backup."""
    held: dict[str, Any] = findings.service["settings"] if findings.service else {}
    if findings.descriptor and not held:
        held = {
            "Edition": findings.descriptor.get("edition"),
            "ServiceVersion": findings.descriptor.get("product_version"),
            "UnitCount": 1,
        }
    return held | order.overrides


def shown_meanwhile(settings: dict[str, Any]) -> dict[str, Any]:
    """What a service shows of its settings before it has them."""
    return {name: settings[name] for name in _SHOWN_MEANWHILE if name in settings}


def _unless_damaged(blobs: dict[str, bytes]) -> dict[str, Any] | None:
    try:
        return restores.unpack(blobs)
    except OperationFailure:
        return None


def _rule_problems(order: RestoreOrder, descriptor: dict[str, Any], version_equality: str) -> list[str]:
    problems = []
    held = str(descriptor.get("edition")).lower()
    wanted = order.overrides.get("Edition", held)
    if held not in _RANK:
        problems.append(f"A backup of the {held} edition cannot be restored.")
    elif wanted not in _RANK:
        problems.append(f"A backup cannot be restored to the {wanted} edition; possible are {', '.join(_RANK)}.")
    elif _RANK[wanted] < _RANK[held]:
        problems.append(f"A backup of the {held} edition cannot be restored to the {wanted} edition, which is lower.")
    version = descriptor.get("product_version")
    other = order.overrides.get("ServiceVersion", version)
    if other != version and version_equality == "seed":
        problems.append(f"A backup of version {version} can be restored to version {version} only, not to {other}.")
    return problems


def _carried_problems(overrides: dict[str, Any], settings: dict[str, Any], world: World) -> list[str]:
    checks: list[Callable[[], None]] = []
    tracking = overrides.get("TrackingStoreConnectionString")
    if tracking and not bodies.store_problems({"TrackingStoreConnectionString": tracking}, None):
        checks.append(lambda: world.check_database(tracking))
        checks.append(lambda: world.check_database_is_free(tracking))
    namespace, key = settings.get("AccessControlNamespace"), settings.get("AccessControlKey")
    if {"AccessControlNamespace", "AccessControlKey"} & overrides.keys() and namespace and key:
        checks.append(lambda: world.check_namespace(namespace, key))
    problems = [failure.error["message"] for failure in restores.refusals(checks)]
    certificate = overrides.get("ServiceCertificate")
    return problems + (_certificate_problems(certificate) if certificate else [])


def _certificate_problems(certificate: dict[str, str]) -> list[str]:
    try:
        data = base64.b64decode("".join(certificate["Data"].split()), validate=True)
        _, opened, _ = pkcs12.load_key_and_certificates(data, certificate["Password"].encode())
    except (binascii.Error, ValueError):
        return ["ServiceCertificate cannot be opened with its Password; send a PFX in base64 and the password of it."]
    if opened is None:
        return ["ServiceCertificate holds no certificate with a private key."]
    if opened.not_valid_after_utc <= datetime.now(UTC):
        return [f"ServiceCertificate expired at {opened.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}."]
    return []
