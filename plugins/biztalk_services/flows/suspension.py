"""What is to be done about a service that we suspended: leave it alone, bring it back, close its ticket, call a person.

A pure decision, made anew at each look; nothing is remembered in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from biztalk_services.drivers.biztalk.state_chart import StateKind, state_kind, states_allowing
from biztalk_services.model.run import Owner

SETTLING = timedelta(minutes=2)
"""How long after its ticket was written a request to suspend may still be on its way to the service."""


class Verdict(StrEnum):
    """What is to be done."""

    LEAVE = "leave"
    CLOSE = "close"
    RESUME = "resume"
    CALL = "call"
    """Nothing that we may do helps; a person has to look."""


@dataclass(frozen=True)
class Suspension:
    """A suspension of ours, as it is now.

    :param state: of the service, as the state chart spells it; None when there is no such service.
    :param operation_in_progress: whether the service reports an operation that has not ended.
    :param owner: what is known of the run that asked for it.
    :param opened_at: when its ticket was written, aware.
    :param back_by: when the service has to be back, aware.
    :param superseded: whether a later ticket is open for this service; then that one counts.
    """

    state: str | None
    operation_in_progress: bool
    owner: Owner
    opened_at: datetime
    back_by: datetime
    superseded: bool = False


def judge(suspension: Suspension, *, now: datetime, grace: timedelta) -> tuple[Verdict, str]:
    """What is to be done about a suspension, and why (a clause without a full stop).

    A run that has ended is not waited for. One that nobody knows of has until the deadline, one that still works as
    long again as the grace.

    :param now: aware.
    :param grace: how much longer than its deadline a run that still works may take.
    """
    over = _is_over(suspension, now, grace)
    state = suspension.state
    if suspension.superseded:
        return Verdict.CLOSE, "a later suspension of ours counts"
    if state is None:
        return Verdict.CLOSE, "there is no such service any more"
    if suspension.operation_in_progress or state_kind(state) in (StateKind.TRANSITIONAL, StateKind.UNKNOWN):
        if now >= suspension.back_by + grace:
            return Verdict.CALL, f"it is {state}, an operation is under way, and it should be back long since"
        return Verdict.LEAVE, f"it is {state}, an operation is under way"
    if not over:
        return Verdict.LEAVE, "its run works on it" if suspension.owner is Owner.WORKS else "its time is not over"
    if state == "Active":
        return Verdict.CLOSE, "it is Active"
    if state in states_allowing("resume"):
        return Verdict.RESUME, f"it is {state}, and {_OVER[suspension.owner]}"
    return Verdict.CALL, f"it is {state}, from where the state chart knows no resumption"


_OVER = {
    Owner.ENDED: "the run that suspended it has ended",
    Owner.UNKNOWN: "its time is over; the run that suspended it is not known here",
    Owner.WORKS: "its time is over, although the run that suspended it has not ended",
}


def is_same_subscription(one: str, other: str) -> bool:
    """Whether two ids are those of one subscription; upper and lower case mean the same."""
    return one.lower() == other.lower()


def _is_over(suspension: Suspension, now: datetime, grace: timedelta) -> bool:
    if suspension.owner is Owner.ENDED:
        return now >= suspension.opened_at + SETTLING
    if suspension.owner is Owner.UNKNOWN:
        return now >= suspension.back_by
    return now >= suspension.back_by + grace
