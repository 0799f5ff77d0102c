"""The values that a restored service will work with: where each comes from, and whether it works.

What is given in a restore is checked by the service; what is taken out of the backup is not, and makes the restore fail
late ("BizTalk Services: Backup and Restore", known issue). So every value for which there is a connection is checked
here, and sent explicitly, so that the service checks it too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of, tracking_database
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import PlannedValue

ARCHIVE, MONITORING = "ArchiveStoreConnectionString", "MonitoringStoreConnectionString"
ACCESS_CONTROL, CERTIFICATE = "AccessControlNamespace", "ServiceCertificate"
CERTIFICATE_OF_BACKUP = "certificate and password of the backup"
ONLY_IN_BACKUP = "backup"
"""Origin of a value that no connection leads to."""


class CheckNotPossibleError(BackupServiceError):
    """It cannot be checked now whether a value works; the message says why."""


class InvalidValueError(BackupServiceError):
    """What was given does not hold what a restore needs, or what it leads to does not work."""


@dataclass(frozen=True)
class GivenValue:
    """A value that a connection holds.

    :param setting: element name of the setting.
    :param shown: the value without its secret.
    :param origin: where it comes from (``connection biztalk_acs_x``).
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

    :param setting: element name of the setting.
    :param shown: what is known of it.
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


def needed(stored: Mapping[str, str], given: Collection[str]) -> tuple[str, ...]:
    """The settings whose values a restored service will work with, in the order of the form.

    :param stored: the backup's settings without secrets, by element name; empty where they are not known.
    :param given: settings for which a value is given.
    """
    stores = [
        setting
        for setting in (ARCHIVE, MONITORING)
        if setting in given or stored.get(setting) or (setting == MONITORING and not stored)
    ]
    return (ACCESS_CONTROL, TRACKING, *stores, CERTIFICATE)


def sent_values(values: Iterable[Value], *, edition: str, unit_count: int | None, version: str | None) -> RestoreValues:
    """What the restore sends explicitly. Holds secrets."""
    sent: dict[str, Any] = {"edition": edition, "unit_count": unit_count, "service_version": version}
    for value in values:
        if isinstance(value, GivenValue):
            sent |= value.sent
    return RestoreValues(**sent)


def same_thing(setting: str, one: str, other: str) -> bool:
    """Whether two values without secrets lead to the same database, storage account or namespace.

    :param setting: element name of the setting.
    """
    if setting == TRACKING:
        databases = [tracking_database({TRACKING: value}) for value in (one, other)]
        return databases[0] is not None and databases[0] == databases[1]
    return _named(one) == _named(other)


def _named(value: str) -> str:
    return parts_of(value).get("accountname", value).lower()
