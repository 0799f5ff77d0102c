"""The states of a BizTalk service, in the spelling of the state chart, and how spellings met on the wire lead to it.

Source: "BizTalk Services: State Chart" (2013, 2015 and 2016 agree). The chart prints no transitional names but
``Updating``; the others are what such a service may be expected to say, and every spelling that is not listed here
counts as unknown.
"""

from __future__ import annotations

import re

SETTLED_STATES = ("Active", "Disabled", "Suspended", "Stopped")

FAILED_STATES = (
    "Service Update Failed",
    "DisableFailed",
    "EnableFailed",
    "StartFailed",
    "StopFailed",
    "RestartFailed",
    "SuspendedFailed",
    "ResumeFailed",
    "CreatedFailed",
    "RestoreFailed",
    "ConfigUpdateFailed",
    "ScaleFailed",
)

TRANSITIONAL_STATES = (
    "Creating",
    "Updating",
    "Suspending",
    "Resuming",
    "BackingUp",
    "Restoring",
    "Deleting",
    "Starting",
    "Stopping",
    "Restarting",
    "Scaling",
    "Enabling",
    "Disabling",
)


def _fold(spelling: str) -> str:
    return re.sub(r"[\s_-]+", "", spelling).casefold()


_CANONICAL = {_fold(state): state for state in SETTLED_STATES + FAILED_STATES + TRANSITIONAL_STATES} | {
    "suspendfailed": "SuspendedFailed",
    "resumedfailed": "ResumeFailed",
    "createfailed": "CreatedFailed",
    "restoredfailed": "RestoreFailed",
}


def canonical_state(spelling: str) -> str:
    """The state chart's spelling of a state; a spelling that we do not know is returned trimmed, otherwise as it is.

    :param spelling: as met on the wire; case, blanks, dashes and underscores do not matter.
    """
    return _CANONICAL.get(_fold(spelling), spelling.strip())
