"""Values of a restore, as connections give them."""

from __future__ import annotations

from collections.abc import Callable

from biztalk_services.drivers.biztalk.values import GivenValue, Value
from biztalk_services.model.errors import BackupServiceError

TRACKING = "TrackingStoreConnectionString"
DATABASE = "Data Source=tcp:sql.example;Initial Catalog=Tracking"
OTHER_DATABASE = "Data Source=sql.example;Initial Catalog=Tracking2"


def database_value(
    setting: str = TRACKING, shown: str = DATABASE, check: Callable[[], str] = lambda: "It responds."
) -> Value:
    return GivenValue(setting, shown, "connection sql", {"tracking_store": f"{shown};Password=canary"}, check)


def problem(sentence: str = "It does not respond.") -> BackupServiceError:
    return BackupServiceError(sentence)
