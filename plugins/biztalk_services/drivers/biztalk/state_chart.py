"""Which operation a BizTalk service takes in which state, and what a state means to somebody who waits.

Source: "BizTalk Services: State Chart" (2013, 2015 and 2016 agree). Suspending a suspended service is blank in the
chart, yet dn232419 takes it as done; the chart is kept here as printed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from biztalk_services.drivers.biztalk.states import FAILED_STATES, SETTLED_STATES, TRANSITIONAL_STATES, canonical_state

Operation = Literal["start", "stop", "restart", "suspend", "resume", "delete", "scale", "update", "backup"]

SOURCE = "BizTalk Services state chart"

_START_TROUBLE = frozenset({"start", "stop", "restart", "delete", "update"})
_SUSPEND_TROUBLE = frozenset({"suspend", "resume", "delete"})
_ONLY_DELETE = frozenset({"delete"})

_ALLOWED: dict[str, frozenset[str]] = {
    "Active": frozenset({"stop", "restart", "suspend", "delete", "scale", "update", "backup"}),
    "Disabled": _ONLY_DELETE,
    "Suspended": frozenset({"resume", "delete", "backup"}),
    "Stopped": frozenset({"start", "restart", "delete", "backup"}),
    "Service Update Failed": _ONLY_DELETE,
    "DisableFailed": _ONLY_DELETE,
    "EnableFailed": _ONLY_DELETE,
    "StartFailed": _START_TROUBLE,
    "StopFailed": _START_TROUBLE,
    "RestartFailed": _START_TROUBLE,
    "SuspendedFailed": _SUSPEND_TROUBLE,
    "ResumeFailed": _SUSPEND_TROUBLE,
    "CreatedFailed": _ONLY_DELETE,
    "RestoreFailed": _ONLY_DELETE,
    "ConfigUpdateFailed": frozenset({"restart", "delete", "update"}),
    "ScaleFailed": frozenset({"delete", "scale"}),
}


class StateKind(StrEnum):
    """What a state means to somebody who waits."""

    SETTLED = "settled"
    """Stays as it is until somebody asks for something."""
    FAILED = "failed"
    """An operation failed and left the service here; it stays too."""
    TRANSITIONAL = "transitional"
    """On the way to another state."""
    UNKNOWN = "unknown"
    """A spelling that no document has; treated as on the way, never as arrived."""


def state_kind(state: str) -> StateKind:
    """What a state means.

    :param state: any spelling.
    """
    state = canonical_state(state)
    if state in SETTLED_STATES:
        return StateKind.SETTLED
    if state in FAILED_STATES:
        return StateKind.FAILED
    return StateKind.TRANSITIONAL if state in TRANSITIONAL_STATES else StateKind.UNKNOWN


def is_moving(state: str) -> bool:
    """Whether the service is on its way to another state; an unknown state counts as one."""
    return not is_settled(state)


def may_be(state: str, transitional: str) -> bool:
    """Whether a service may be on this very way: it says so, or something that no document has.

    :param state: any spelling.
    :param transitional: a transitional state (``Suspending``).
    """
    return canonical_state(state) == transitional or state_kind(state) is StateKind.UNKNOWN


def is_settled(state: str) -> bool:
    """Whether the service stays in this state, well or failed, until somebody asks for something; an unknown
    state never counts."""
    return state_kind(state) in (StateKind.SETTLED, StateKind.FAILED)


def states_allowing(operation: Operation) -> tuple[str, ...]:
    """All states in which the chart allows an operation, in the chart's order."""
    return tuple(state for state, operations in _ALLOWED.items() if operation in operations)
