"""Records of the watch over missing backups: since when a service without a backup is known, which alerts were sent.

They are written once. An Airflow reads only the alerts that it has sent itself: another one may watch other services.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from biztalk_services.archive.blobs import Blobs
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plain import parsed
from biztalk_services.model.records import AgeAlert, FirstSeen
from biztalk_services.model.service import ServiceKey

_FIRST_SEEN, _ALERTS = "ages/first-seen", "ages/alerts"


class InvalidAgeRecordError(BackupServiceError):
    """A record of the watch over missing backups cannot be read."""


class BackupAgeRecords:
    """The records. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def first_seen(self, service: ServiceKey) -> datetime | None:
        """When a service was first seen without a backup, None when it was not.

        :raises InvalidAgeRecordError: the record cannot be read.
        """
        content = self._blobs.read(path := _first_seen_path(service))
        if content is None:
            return None
        try:
            seen = FirstSeen.from_dict(parsed(content)).first_seen_at
            if seen.tzinfo is None:
                raise ValueError("its time has no time zone")
        except ValueError as error:
            raise InvalidAgeRecordError(
                f"{path} in {self._blobs.place} is not the record of a service that has no backup ({error}). "
                "Restore the blob, or move it away: the service is then waited for anew."
            ) from None
        return seen

    def note_first_seen(self, service: ServiceKey, now: datetime) -> datetime:
        """As :meth:`first_seen`; a service that was not seen before is, from now on."""
        seen = self.first_seen(service)
        if seen is None:
            record = FirstSeen(str(service.ref), service.subscription_id, now)
            written = self._blobs.write_once(_first_seen_path(service), record.to_dict())
            seen = now if written else self.first_seen(service)
        return seen or now

    def newest_alert(self, airflow: str, now: datetime) -> AgeAlert | None:
        """The newest alert that an Airflow has sent until now; None when there is none, or none that can be read."""
        paths = [path for path in self._blobs.list(_alerts_folder(airflow)) if path <= _alert_path(airflow, now)]
        content = self._blobs.read(paths[-1]) if paths else None
        try:
            alert = AgeAlert.from_dict(parsed(content)) if content else None
        except ValueError:
            return None
        return alert if alert and alert.sent_at.tzinfo else None

    def record_alert(self, airflow: str, alert: AgeAlert) -> None:
        """Record an alert that an Airflow has sent."""
        self._blobs.write_once(_alert_path(airflow, alert.sent_at), alert.to_dict())


def _first_seen_path(service: ServiceKey) -> str:
    return f"{_FIRST_SEEN}/{service.blob_name}.json"


def _alerts_folder(airflow: str) -> str:
    return f"{_ALERTS}/{hashlib.sha256(airflow.encode()).hexdigest()[:12]}"


def _alert_path(airflow: str, at: datetime) -> str:
    return f"{_alerts_folder(airflow)}/{at.astimezone(UTC):%Y%m%d-%H%M%S}.json"
