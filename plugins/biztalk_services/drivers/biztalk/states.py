"""The states of a BizTalk service: their spelling, what each means, and which request is allowed in which.

Source: "BizTalk Services: State Chart" (2013, 2015 and 2016 agree). The chart prints no transitional names but
``Updating``; the others are what such a service may be expected to report, and every spelling that is not listed here
counts as unknown. Suspending a suspended service is blank in the chart, yet dn232419 takes it as done; the chart is
kept here as printed.
"""

from __future__ import annotations

import re
from typing import Any

from biztalk_services.drivers.biztalk.editions import has_backups
from biztalk_services.model.service import Phase, Service, ServiceRef, Verb

SOURCE = "BizTalk Services state chart"

RUNNING, QUIESCED = "Active", "Suspended"
"""The states that a resume and a suspend lead to; a restored service arrives in the second."""

_START_FAILED: frozenset[Verb] = frozenset({"start", "stop", "restart", "delete", "update"})
_SUSPEND_FAILED: frozenset[Verb] = frozenset({"suspend", "resume", "delete"})
_ONLY_DELETE: frozenset[Verb] = frozenset({"delete"})

_CHART: dict[str, tuple[Phase, frozenset[Verb]]] = {
    "Active": (Phase.RUNNING, frozenset({"stop", "restart", "suspend", "delete", "scale", "update", "backup"})),
    "Disabled": (Phase.DISABLED, _ONLY_DELETE),
    "Suspended": (Phase.QUIESCED, frozenset({"resume", "delete", "backup"})),
    "Stopped": (Phase.QUIESCED, frozenset({"start", "restart", "delete", "backup"})),
    "Service Update Failed": (Phase.FAILED, _ONLY_DELETE),
    "DisableFailed": (Phase.FAILED, _ONLY_DELETE),
    "EnableFailed": (Phase.FAILED, _ONLY_DELETE),
    "StartFailed": (Phase.FAILED, _START_FAILED),
    "StopFailed": (Phase.FAILED, _START_FAILED),
    "RestartFailed": (Phase.FAILED, _START_FAILED),
    "SuspendedFailed": (Phase.FAILED, _SUSPEND_FAILED),
    "ResumeFailed": (Phase.FAILED, _SUSPEND_FAILED),
    "CreatedFailed": (Phase.FAILED, _ONLY_DELETE),
    "RestoreFailed": (Phase.FAILED, _ONLY_DELETE),
    "ConfigUpdateFailed": (Phase.FAILED, frozenset({"restart", "delete", "update"})),
    "ScaleFailed": (Phase.FAILED, frozenset({"delete", "scale"})),
}

_TRANSITIONS: dict[str, Verb | None] = {
    "Creating": None,
    "Updating": "update",
    "Suspending": "suspend",
    "Resuming": "resume",
    "BackingUp": "backup",
    "Restoring": "restore",
    "Deleting": "delete",
    "Starting": "start",
    "Stopping": "stop",
    "Restarting": "restart",
    "Scaling": "scale",
    "Enabling": None,
    "Disabling": None,
}


def _fold(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "", spelling).casefold()


_CANONICAL = {_fold(state): state for state in (*_CHART, *_TRANSITIONS)} | {
    "suspendfailed": "SuspendedFailed",
    "resumedfailed": "ResumeFailed",
    "createfailed": "CreatedFailed",
    "restoredfailed": "RestoreFailed",
}


def canonical_state(spelling: str) -> str:
    """The state chart's spelling of a state; an unknown spelling is returned trimmed, otherwise as it is.

    :param spelling: as on the wire; case, blanks, dashes and underscores do not matter.
    """
    return _CANONICAL.get(_fold(spelling), spelling.strip())


def phase_of(state: str) -> Phase:
    """What a state means; any spelling, here and below."""
    state = canonical_state(state)
    if state in _CHART:
        return _CHART[state][0]
    return Phase.TRANSITIONAL if state in _TRANSITIONS else Phase.UNKNOWN


def under_way(state: str) -> Verb | None:
    """The request that a transitional state belongs to, None for every other state."""
    return _TRANSITIONS.get(canonical_state(state))


def allowed_in(state: str) -> frozenset[Verb]:
    """What may be requested in a state; nothing in one that the chart does not have."""
    return _CHART.get(canonical_state(state), (Phase.UNKNOWN, frozenset()))[1]


def states_allowing(verb: Verb) -> tuple[str, ...]:
    """All states in which the chart allows a request, in the chart's order."""
    return tuple(state for state, (_, verbs) in _CHART.items() if verb in verbs)


def biztalk_service(ref: ServiceRef, state: str, edition: str | None = None, **reported: Any) -> Service:
    """A BizTalk service in a state, with what the state chart says of it.

    :param state: in the state chart's spelling, or one that no document has.
    :param edition: lower case, None when not reported.
    :param reported: further fields of :class:`biztalk_services.model.service.Service`.
    """
    return Service(
        ref,
        state,
        phase=phase_of(state),
        under_way=under_way(state),
        allows=allowed_in(state),
        has_backups=has_backups(edition),
        edition=edition,
        **reported,
    )
