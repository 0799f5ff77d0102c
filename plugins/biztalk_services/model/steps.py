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
    """A service that is to be backed up.

    :param service: its address.
    :param backup_name: name of the backup.
    """

    service: str
    backup_name: str


@dataclass(frozen=True)
class ChosenService(Step):
    """A service that was chosen for a run, also one that has no backups.

    :param service: its address.
    :param scope: what holds it.
    :param name: its name.
    :param region: its region.
    :param edition: its edition.
    """

    service: str
    scope: str
    name: str
    region: str | None
    edition: str | None


@dataclass(frozen=True)
class CheckedBackup(Step):
    """A service as it was when its backup was allowed.

    :param service: its address.
    :param subscription_id: its subscription.
    :param edition: its edition.
    :param product_version: its product version.
    :param region: its region.
    :param state: its state.
    """

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
    :param expected_state: the state to wait for.
    :param operation_id: of the request; None when none was sent, or when an earlier one was adopted.
    """

    found_state: str
    suspended_by_us: bool
    expected_state: str
    operation_id: str | None


@dataclass(frozen=True)
class ReachedState(Step):
    """The state of a service at the end of a wait.

    :param state: the state; None when the service is deleted.
    :param etag: its ETag.
    :param reached_at: when it was read.
    """

    state: str | None
    etag: str | None
    reached_at: datetime


@dataclass(frozen=True)
class StartedBackup(Step):
    """A backup that was requested.

    :param operation_id: of the request; None when an earlier one was adopted.
    :param account: storage account.
    :param container: container, which bears the name of the backup.
    :param container_url: its address.
    :param etag: of the service when the backup was requested.
    :param requested_at: when that was.
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

    :param items: how many items it has.
    :param unread: part -> why it could not be read.
    :param url: of its blob.
    :param etag: of the service after it was read.
    """

    items: int
    unread: dict[str, str]
    url: str
    etag: str | None


@dataclass(frozen=True)
class VerifiedBackup(Step):
    """A backup that was read back whole.

    :param blobs: all of them.
    :param items: how many of each kind are in it.
    :param level: how far it was checked.
    :param checked: one sentence on what was compared with what.
    :param checked_at: when.
    """

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
    started: StartedBackup
    finished: ReachedState
    recorded: RecordedInventory
    verified: VerifiedBackup


@dataclass(frozen=True)
class ConfirmedPlan(Step):
    """A plan that is approved and still holds.

    :param service: the address that may be changed now.
    :param hash: of the plan.
    :param confirmed_at: when.
    """

    service: str
    hash: str
    confirmed_at: datetime


@dataclass(frozen=True)
class StartedOperation(Step):
    """A restore or a deletion that was requested.

    :param operation_id: of the request; None when an earlier one was adopted, or when its response was lost.
    """

    operation_id: str | None


@dataclass(frozen=True)
class VerifiedRestore(Step):
    """A restored service that holds what was backed up.

    :param checked: one sentence on what was compared.
    :param expected: differences that the request asked for, one sentence each.
    """

    checked: str
    expected: tuple[str, ...]


@dataclass(frozen=True)
class AdvancedNumbers(Step):
    """The control numbers of a restored service.

    :param numbers: one row an agreement and kind that was used since the backup.
    """

    numbers: tuple[NumberRow, ...]


@dataclass(frozen=True)
class FoundSuspension(Step):
    """A suspension that the watchdog has to check.

    :param record: the suspension record; None when a blob in its place is none.
    :param run_state: what is known of its run; None without a record.
    :param superseded: whether a later record on the same service is open.
    :param problem: what is wrong with the blob; None with a record.
    """

    record: dict[str, Any] | None
    run_state: RunState | None
    superseded: bool
    problem: str | None


@dataclass(frozen=True)
class SuspensionDecision(Step):
    """What the watchdog did about a suspension.

    :param service: address of the service.
    :param state: its state, None when it does not exist.
    :param action: ``leave``, ``close`` or ``resume``.
    :param why: a clause.
    """

    service: str
    state: str | None
    action: str
    why: str


@dataclass(frozen=True)
class RestoreOutcome(Step):
    """What became of a restore.

    :param outcome: ``restored``, ``failed``, ``plan only`` or ``refused``.
    :param reason: why, in sentences.
    :param service: address of the restored service; None without a plan.
    :param backup: ``account/container`` of the backup; None without a plan.
    :param state: of the service now, None when it does not exist or was not changed.
    :param approved_by: name of the person who approved.
    :param seconds: from the confirmation of the plan on.
    :param numbers: control numbers, one row an agreement and kind.
    :param differences: what the restored service does not hold as it should.
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
    safety_backup: str | None = None
    undo_form: dict[str, Any] | None = None
