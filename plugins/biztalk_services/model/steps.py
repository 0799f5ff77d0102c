"""What a step hands on to the next: one dataclass for each XCom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from biztalk_services.model.backup import StoredBlob
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.plain import from_plain, to_plain
from biztalk_services.model.run import RunState
from biztalk_services.model.service import Service


class Step:
    """A dataclass that travels in XCom."""

    def to_xcom(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return dict(to_plain(self))

    @classmethod
    def from_xcom(cls, value: Any) -> Self:
        """The step behind an XCom. What a trigger pushed is JSON text (Airflow 3.3 encodes it twice).

        :raises ValueError: the value is not such a step.
        """
        return from_plain(cls, decode_xcom(value))


def decode_xcom(value: Any) -> Any:
    """The value of an XCom: as it is when a worker pushed it; out of JSON text when a trigger did."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class BackupJob(Step):
    """A service that is to be backed up; ``service`` is its address (``scope/name``), here and in every other step.

    :param conn_id: connection to its subscription.
    :param problem: why it must not be backed up, a sentence; empty where nothing is known against it.
    """

    conn_id: str
    service: str
    backup_name: str
    problem: str = ""


@dataclass(frozen=True)
class ChosenService(Step):
    """A service that was chosen for a run, also one that has no backups.

    :param has_backups: whether its edition may have backups; then it has a :class:`BackupJob`.
    """

    conn_id: str
    subscription_id: str
    service: str
    scope: str
    name: str
    region: str | None
    edition: str | None
    has_backups: bool


@dataclass(frozen=True)
class CheckedBackup(Step):
    """A service as it was when its backup was allowed."""

    service: str
    subscription_id: str
    edition: str
    product_version: str | None
    region: str | None
    state: str


@dataclass(frozen=True)
class Suspension(Step):
    """What a suspend did.

    :param found_state: state of the service before.
    :param suspended_by_us: whether this run suspended it, so that it has to resume it.
    :param operation_id: None when no request was sent, or when an earlier one was adopted.
    :param requested_at: None when no request was sent.
    """

    found_state: str
    suspended_by_us: bool
    expected_state: str
    operation_id: str | None
    requested_at: datetime | None = None


@dataclass(frozen=True)
class ReachedState(Step):
    """The state of a service at the end of a wait; None when the service is deleted.

    :param service: all that it reported then, without secrets.
    """

    state: str | None
    etag: str | None
    reached_at: datetime
    service: Service | None = None


@dataclass(frozen=True)
class StartedBackup(Step):
    """A backup that was requested; its container has its name.

    :param operation_id: None when an earlier request was adopted.
    :param etag: of the service when the backup was requested.
    """

    operation_id: str | None
    account: str
    container: str
    container_url: str
    etag: str | None
    requested_at: datetime


@dataclass(frozen=True)
class RecordedInventory(Step):
    """An inventory that was recorded.

    :param unread: part -> why it could not be read.
    :param etag: of the service before it was read.
    :param recorded_at: when it had been read.
    """

    items: int
    unread: dict[str, str]
    url: str
    etag: str | None
    recorded_at: datetime


@dataclass(frozen=True)
class VerifiedBackup(Step):
    """A backup that was read back whole; fields as in :class:`biztalk_services.model.backup.BackupReference`, and
    ``checked`` as in its ``verification``."""

    blobs: tuple[StoredBlob, ...]
    items: dict[str, int | None]
    level: str
    checked: str
    checked_at: datetime


@dataclass(frozen=True)
class BackupEvidence:
    """Everything that a backup reference is made of."""

    checked: CheckedBackup
    drained: DrainStatus
    rechecked: DrainStatus
    quiesced: ReachedState
    started: StartedBackup
    finished: ReachedState
    recorded: RecordedInventory
    verified: VerifiedBackup


@dataclass(frozen=True)
class ConfirmedPlan(Step):
    """A plan that is approved and still holds, so that ``service`` may be changed now."""

    service: str
    hash: str
    confirmed_at: datetime


@dataclass(frozen=True)
class StartedOperation(Step):
    """A requested restore or deletion; without an id when an earlier request was adopted or the response was lost."""

    operation_id: str | None


@dataclass(frozen=True)
class VerifiedRestore(Step):
    """A restored service that holds what was backed up.

    :param checked: what was compared, in a sentence.
    :param expected: differences that follow from the request, one sentence each.
    """

    checked: str
    expected: tuple[str, ...]


@dataclass(frozen=True)
class AdvancedNumbers(Step):
    """The control numbers of a restored service, one row an agreement and kind that was used since the backup."""

    numbers: tuple[NumberRow, ...]


CONFIRMED, NOT_CONFIRMED, UNKNOWN, NOT_LOOKED_AT = "confirmed", "not confirmed", "unknown", "not looked at"


@dataclass(frozen=True)
class FirstNumbers(Step):
    """What the first control numbers after a restore show.

    :param result: ``confirmed``: enough of each counter came, and none was used before; ``not confirmed``: fewer came;
        ``unknown``: they could not be read; ``not looked at``.
    :param sentence: which ones, what is not confirmed and why, and what to do.
    """

    result: str
    sentence: str


@dataclass(frozen=True)
class FoundSuspension(Step):
    """A suspension that the watchdog has to check.

    :param record: the suspension record; None where ``problem`` says why something cannot be checked.
    :param conn_id: connection to the subscription of its service; None without a record.
    :param run_state: None without a record.
    :param superseded: whether a later record on the same service is open.
    """

    record: dict[str, Any] | None
    conn_id: str | None
    run_state: RunState | None
    superseded: bool
    problem: str | None


@dataclass(frozen=True)
class SuspensionDecision(Step):
    """What the watchdog did about a suspension.

    :param state: None when the service does not exist.
    :param action: ``leave``, ``close`` or ``resume``; ``why`` is a clause.
    """

    service: str
    state: str | None
    action: str
    why: str


@dataclass(frozen=True)
class BackupAge(Step):
    """How old the newest verified backup of a service is.

    :param backup: ``account/container``, None without a backup, so is ``finished_at``.
    :param first_seen_at: since when a service without a backup is known.
    :param age_seconds: since the end of the backup; without one since the service was first seen.
    :param overdue: whether that is longer than allowed.
    """

    service: str
    subscription_id: str
    backup: str | None
    finished_at: datetime | None
    first_seen_at: datetime | None
    age_seconds: int
    allowed_seconds: int
    overdue: bool


@dataclass(frozen=True)
class RestoreOutcome(Step):
    """What became of a restore.

    :param outcome: ``restored``, ``failed``, ``plan only`` or ``refused``; ``reason`` says why, in sentences.
    :param service: None without a plan, so is ``backup`` (``account/container``).
    :param state: of the service now, None when it does not exist or was not changed.
    :param seconds: from the confirmation of the plan on.
    :param differences: what the restored service does not hold as it should.
    :param first_numbers: what its first control numbers have confirmed; None when the run did not come to it, or when
        they come twice.
    :param safety_backup: ``account/container`` of the safety backup, of a restore that failed after the deletion.
    :param undo_form: the form of a restore of that backup; None when nothing was deleted.
    """

    outcome: str
    reason: str
    service: str | None = None
    backup: str | None = None
    state: str | None = None
    approved_by: str | None = None
    seconds: float | None = None
    numbers: tuple[NumberRow, ...] = ()
    differences: tuple[str, ...] = ()
    first_numbers: FirstNumbers | None = None
    safety_backup: str | None = None
    undo_form: dict[str, Any] | None = None
