"""Suspension records: which services were suspended by a run, until when they have to be resumed, and by which run.

A record is written before the service is requested to suspend, and closed when the service is resumed. It outlives the
run that wrote it, and the Airflow of that run. Nothing is overwritten: a closed record is a blob of its own, written
before the open one is deleted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import RecordNotWrittenError, StorageError
from biztalk_services.model.plain import parsed
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey

_OPEN, _NOTES, _CLOSED = "suspensions/open", "suspensions/notes", "suspensions/closed"

_CHECK = (
    "Check which services are suspended, and resume those that this project suspended. A blob that another program "
    "wrote belongs into another folder."
)


_NAME = re.compile(r".+/(\d{8}-\d{6}-\d{6})-([0-9a-f]{12})\.json")


@dataclass(frozen=True)
class OpenName:
    """What the name of an open record says.

    :param opened_at: aware.
    :param mark: of its run and subscription (:meth:`biztalk_services.model.run.Run.digest`).
    """

    opened_at: datetime
    mark: str


class SuspensionRecords:
    """The records. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def open(self, record: SuspensionRecord) -> None:
        """Write a record. Earlier ones of the same run on the same service are closed: it starts anew."""
        earlier = [each for each in self.list_open(record.key)[0] if each.run == record.run and each != record]
        if not self._write(_OPEN, record):
            self._require(_OPEN, record)
        for each in earlier:
            self.close(each, by=str(record.run), reason="replaced by a later record of the same run")

    def list_open(self, service: ServiceKey | None = None) -> tuple[list[SuspensionRecord], list[str]]:
        """The open records on a service (None: on all of every subscription), the oldest first; and a sentence for each
        blob in their folder that is none."""
        records, invalid = [], []
        for path in self._blobs.list(_folder(_OPEN, service)):
            try:
                content = self._blobs.read(path)
                if content is None:
                    continue  # closed since the folder was listed
                record = SuspensionRecord.from_dict(parsed(content))
                if service in (None, record.key):
                    records.append(record)
            except ValueError as error:
                invalid.append(f"{path} in {self._blobs.place} is not a suspension record ({error}). {_CHECK}")
            except StorageError as error:
                if error.of_account:
                    raise
                invalid.append(f"{path} in {self._blobs.place} is not readable. {error} {_CHECK}")
        return sorted(records, key=lambda record: record.opened_at), invalid

    def opened_since(self, moment: datetime) -> set[str]:
        """The addresses, in lower case, of the services on which a record is open that is not older, in whatever
        subscription they are. By the names of the records: none is read."""
        names = (path.removeprefix(f"{_OPEN}/").rpartition("/") for path in self._blobs.list(_OPEN))
        since = f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}"
        return {service for service, _, name in names if name >= since}

    def open_names(self) -> list[OpenName]:
        """What the names of all open records say, without reading any; a blob with another name is left out."""
        found = (_NAME.fullmatch(path) for path in self._blobs.list(_OPEN))
        return [
            OpenName(datetime.strptime(match[1], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC), match[2])
            for match in found
            if match
        ]

    def close(self, record: SuspensionRecord, *, by: str, reason: str) -> None:
        """Close a record; one that is closed stays as it was closed.

        :param by: who closes it (``run manual__1 of biztalk_watchdog``).
        :param reason: why, in words (``service is Active``).
        """
        closing = {"closed_at": datetime.now(UTC).isoformat(), "closed_by": by, "closed": reason}
        if not self._write(_CLOSED, record, closing):
            self._require(_CLOSED, record)
        self._blobs.delete(f"{_OPEN}/{record.name}.json")

    def close_all(self, service: ServiceKey, *, by: str, reason: str, run: Run | None = None) -> list[SuspensionRecord]:
        """Close the records on a service, only those of a run or (None) all; returns them."""
        records = [record for record in self.list_open(service)[0] if run in (None, record.run)]
        for record in records:
            self.close(record, by=by, reason=reason)
        return records

    def all_closed(self, service: ServiceKey, run: Run) -> bool:
        """Whether a run has had records on a service, and none of them is open any more."""
        return self._has(_CLOSED, service, run) and not self._has(_OPEN, service, run)

    def note(self, record: SuspensionRecord, what: str, *, by: str) -> bool:
        """Note something (``resumed``; fit for a blob's name) beside a record, once; False when it was noted before."""
        return self._write(_NOTES, record, _noted(by), f".{what}")

    def note_invalid(self, sentence: str, what: str, *, by: str) -> bool:
        """As :meth:`note`, beside a blob that is no record; the sentence about it is from :meth:`list_open`."""
        name = f"unusable/{hashlib.sha256(sentence.encode()).hexdigest()[:12]}.{what}"
        return self._blobs.write_once(f"{_NOTES}/{name}.json", {"unusable": sentence} | _noted(by))

    def is_noted(self, record: SuspensionRecord, what: str) -> bool:
        """Whether that was noted."""
        return self._blobs.read(f"{_NOTES}/{record.name}.{what}.json") is not None

    def _has(self, folder: str, service: ServiceKey, run: Run) -> bool:
        mark = run.digest(service.subscription_id)
        return any(path.endswith(f"-{mark}.json") for path in self._blobs.list(_folder(folder, service)))

    def _require(self, folder: str, record: SuspensionRecord) -> None:
        """A record that was not written because there is a blob of its name is that blob.

        :raises RecordNotWrittenError: it is not.
        """
        path = f"{folder}/{record.name}.json"
        try:
            if SuspensionRecord.from_dict(parsed(self._blobs.read(path) or b"")) == record:
                return
        except ValueError:
            pass
        raise RecordNotWrittenError(
            f"{path} in {self._blobs.place} is not the suspension record of {record.service} that belongs there, so "
            "that record was not written. Find out which program wrote the blob, and move it away."
        )

    def _write(
        self, folder: str, record: SuspensionRecord, more: dict[str, Any] | None = None, suffix: str = ""
    ) -> bool:
        return self._blobs.write_once(f"{folder}/{record.name}{suffix}.json", record.to_dict() | (more or {}))


def _folder(folder: str, service: ServiceKey | None) -> str:
    return f"{folder}/{service.ref}".lower() if service else folder


def _noted(by: str) -> dict[str, str]:
    return {"noted_at": datetime.now(UTC).isoformat(), "noted_by": by}
