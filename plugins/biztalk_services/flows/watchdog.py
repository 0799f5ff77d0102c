"""What is to be done about a service that a run has suspended: leave it, resume it, close its record, alert.

Decided anew at each check out of the record, the service and its run; nothing else is remembered in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.find import find_service
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Phase, Service, ServiceKey, ServiceRef
from biztalk_services.model.steps import FoundSuspension, SuspensionDecision

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive
    from biztalk_services.archive.suspensions import SuspensionRecords

log = logging.getLogger(__name__)

SETTLING = timedelta(minutes=2)
"""How long after its record was written a request to suspend may still be on its way to the service."""

_RESUMED, _NOT_FOUND = "resumed", "not-found"
_TOO_MANY = (
    "More suspensions have to be checked than can be at once ({most}): those that are due first are checked each time, "
    "the others in turn. Check why so many services are suspended."
)
_MORE_PROBLEMS = "There are more problems than can be shown; the log of the step that found these has all of them."
_OVER = {
    RunState.ENDED: "the run that suspended it has ended",
    RunState.UNKNOWN: "its deadline has passed; the run that suspended it is not known here",
    RunState.ACTIVE: "its deadline has passed, although the run that suspended it has not ended",
}


class Action(StrEnum):
    """What is to be done."""

    LEAVE = "leave"
    CLOSE = "close"
    RESUME = "resume"
    ALERT = "alert"
    """No request helps; a person has to check the service."""


class LeftSuspendedError(BackupServiceError):
    """A service that was suspended by this project is not resumed, and the watchdog cannot resume it."""


def decide(
    record: SuspensionRecord,
    service: Service | None,
    *,
    run_state: RunState,
    superseded: bool,
    now: datetime,
    grace: timedelta,
) -> tuple[Action, str]:
    """What is to be done about a suspension, and why (a clause without a full stop).

    A run that has ended is not waited for. One that is not known has until the deadline, one that is active as much
    longer as the grace.

    :param service: as it is now; None when it does not exist.
    :param superseded: whether a later record on the service is open; then that one counts.
    :param now: aware.
    :param grace: how much longer than its deadline an active run may take.
    """
    if superseded:
        return Action.CLOSE, "a later suspension record counts"
    if service is None:
        return Action.CLOSE, "the service does not exist any more"
    operation = service.last_operation
    if service.is_transitional or (operation and operation.result == "InProgress"):
        if now >= record.resume_by + grace:
            return Action.ALERT, f"it is {service.state}, an operation is under way, and its deadline passed long ago"
        return Action.LEAVE, f"it is {service.state}, an operation is under way"
    over_at = {
        RunState.ENDED: record.opened_at + SETTLING,
        RunState.UNKNOWN: record.resume_by,
        RunState.ACTIVE: record.resume_by + grace,
    }
    if now < over_at[run_state]:
        return Action.LEAVE, "its run is active" if run_state is RunState.ACTIVE else "its deadline has not passed"
    if service.phase is Phase.RUNNING:
        return Action.CLOSE, f"it is {service.state}"
    if "resume" in service.allows:
        return Action.RESUME, f"it is {service.state}, and {_OVER[run_state]}"
    return Action.ALERT, f"it cannot be resumed from {service.state}; no request was sent"


def find_suspensions(
    drivers: Mapping[str, Callable[[], Driver]],
    archive: Archive,
    run_state: Callable[[Run], RunState],
    grace: timedelta,
    *,
    most: int,
) -> tuple[list[FoundSuspension], int]:
    """The suspensions of these subscriptions that have to be checked, and how many records are open in all.

    Left out are those whose run is active and whose deadline with its grace has not passed, and those of other
    subscriptions. A connection that cannot be used, or a record that cannot be read, is among them as a problem.

    :param drivers: connection -> opens the driver of its subscription.
    :param most: how many may be checked at once; of more, see :func:`_at_once`.
    """
    everywhere, problems = archive.suspensions.list_open()
    conn_ids = {}
    for conn_id, open_driver in drivers.items():
        try:
            conn_ids[open_driver().subscription_id.lower()] = conn_id
        except Exception as error:  # whatever it is, what is suspended in the other subscriptions is resumed
            log.warning("Connection %s cannot be used.", conn_id, exc_info=error)
            why = error if isinstance(error, BackupServiceError) else f"{type(error).__name__}, see the log"
            problems.append(
                f"Connection {conn_id} cannot be used, so what is suspended in its subscription is not checked: {why}"
            )
    records = [record for record in everywhere if record.subscription_id.lower() in conn_ids]
    newest: dict[ServiceKey, datetime] = {}
    for record in records:
        newest[record.key] = max(record.opened_at, newest.get(record.key, record.opened_at))
    states, now, found = cache(run_state), datetime.now(UTC), []
    for record in sorted(records, key=lambda each: each.resume_by):
        state, superseded = states(record.run), record.opened_at < newest[record.key]
        if superseded or state is not RunState.ACTIVE or now >= record.resume_by + grace:
            conn_id = conn_ids[record.subscription_id.lower()]
            found.append(FoundSuspension(record.to_dict(), conn_id, state, superseded, None))
    return _at_once(found, problems, most, now), len(everywhere) + len(problems)


def _at_once(found: list[FoundSuspension], problems: list[str], most: int, now: datetime) -> list[FoundSuspension]:
    """What is checked in one run of the watchdog.

    Problems take a tenth of the room at the most. Of too many suspensions half of the room is for those that are due
    first, the other half goes through all others, so that none waits behind those that only a person can help.

    :param found: those that are due first come first.
    """
    for sentence in problems:
        log.warning("%s", sentence)
    if len(found) + len(problems) > most:
        room = max(most - min(len(problems) + 1, -(-most // 10)), 1)
        if len(found) > room:
            problems = [_TOO_MANY.format(most=most), *problems]
            first = room - room // 2
            others, turn = found[first:], int(now.timestamp() // 60) * (room // 2)
            start = turn % len(others)
            found = found[:first] + (others[start:] + others[:start])[: room // 2]
        if len(problems) > (left := most - len(found)):
            problems = [*problems[: max(left - 1, 0)], _MORE_PROBLEMS][:left]
    return found + [FoundSuspension(None, None, None, False, sentence) for sentence in problems]


@dataclass(frozen=True)
class Watch:
    """Checks one suspension, and does what is to be done. It waits for nothing.

    :param driver: of the service's subscription.
    :param by: who checks (``run manual__1 of biztalk_watchdog``).
    :param request_id: our name for the request to resume.
    :param grace: how much longer than its deadline an active run may take.
    :param alert: sends a sentence to people.
    """

    driver: Callable[[], Driver]
    records: SuspensionRecords
    by: str
    request_id: str
    grace: timedelta
    alert: Callable[[str], None]

    def check(self, found: FoundSuspension) -> SuspensionDecision:
        """Check a suspension.

        :raises LeftSuspendedError: a person has to check the service, also when an earlier resumption did not succeed
            and another one was requested.
        """
        if found.record is None or found.run_state is None:
            problem = found.problem or "A suspension has no record."
            name = problem.partition(": ")[0]  # what follows may be another reason at each check
            self._alert_hourly(problem, lambda what: self.records.note_invalid(name, what, by=self.by))
            raise LeftSuspendedError(problem)
        record = SuspensionRecord.from_dict(found.record)
        try:
            return self._check(record, found.run_state, found.superseded)
        except BackupServiceError as error:
            sentence = f"{_left_suspended(record)} and is not resumed: {error}"
            self._alert_hourly(sentence, lambda what: self.records.note(record, what, by=self.by))
            raise

    def _check(self, record: SuspensionRecord, run_state: RunState, superseded: bool) -> SuspensionDecision:
        service = find_service(self.driver(), ServiceRef.parse(record.service))
        action, why = decide(
            record, service, run_state=run_state, superseded=superseded, now=datetime.now(UTC), grace=self.grace
        )
        if action is Action.ALERT:
            raise LeftSuspendedError(f"{why[0].upper()}{why[1:]}. Check its operation log, and resume it by hand.")
        if service is None and self.records.note(record, _NOT_FOUND, by=self.by):
            action, why = Action.LEAVE, "it was not found; an absence is believed at the second check"
        if action is Action.RESUME and service:
            self._resume(record, service, why)
        if action is Action.CLOSE:
            self._close(record, why)
        return SuspensionDecision(record.service, service.state if service else None, action.value, why)

    def _resume(self, record: SuspensionRecord, service: Service, why: str) -> None:
        self.driver().resume(service.ref, request_id=self.request_id)
        if not self.records.note(record, _RESUMED, by=self.by):
            operation = service.last_operation
            failure = (
                f"Its last operation failed: {operation.failure}"
                if operation and operation.result == "Failed"
                else "It reports no failed operation"
            )
            raise LeftSuspendedError(
                f"A resumption was requested before, and it is {service.state}. {failure}. Another resumption was "
                "requested."
            )
        self.alert(f"{_left_suspended(record)}: {why}. Its resumption was requested")

    def _close(self, record: SuspensionRecord, why: str) -> None:
        resumed = self.records.is_noted(record, _RESUMED)
        self.records.close(record, by=self.by, reason=why)
        if resumed:
            self.alert(f"{_left_suspended(record)}. That is over: {why}")

    def _alert_hourly(self, sentence: str, note: Callable[[str], bool]) -> None:
        """Alert unless that was done in this hour; where that cannot be noted, alert too often rather than never."""
        try:
            is_new = note(f"failed-{datetime.now(UTC):%Y%m%d%H}")
        except BackupServiceError:
            is_new = True
        if is_new:
            self.alert(sentence)


def _left_suspended(record: SuspensionRecord) -> str:
    return f"Service {record.service} was left suspended by {record.run} ({record.reason})"
