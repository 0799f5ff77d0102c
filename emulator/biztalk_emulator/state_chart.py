"""The provisioning state chart: which operation may be requested in which state.

Source: "BizTalk Services: Provisioning Status Chart" (REST reference, section 5); states spelled as printed there.
The columns from ``disable`` on are not in the chart; they are choices listed in the README.
"""

from __future__ import annotations

ACTIVE = "Active"
DISABLED = "Disabled"
SUSPENDED = "Suspended"
STOPPED = "Stopped"
SERVICE_UPDATE_FAILED = "Service Update Failed"
DISABLE_FAILED = "DisableFailed"
ENABLE_FAILED = "EnableFailed"
START_FAILED = "StartFailed"
STOP_FAILED = "StopFailed"
RESTART_FAILED = "RestartFailed"
SUSPENDED_FAILED = "SuspendedFailed"
RESUME_FAILED = "ResumeFailed"
CREATED_FAILED = "CreatedFailed"
RESTORE_FAILED = "RestoreFailed"
CONFIG_UPDATE_FAILED = "ConfigUpdateFailed"
SCALE_FAILED = "ScaleFailed"

DOCUMENTED_OPERATIONS = ("start", "stop", "restart", "suspend", "resume", "delete", "scale", "update", "backup")

_DOCUMENTED: dict[str, str] = {
    ACTIVE: "stop restart suspend delete scale update backup",
    DISABLED: "delete",
    SUSPENDED: "resume delete backup",
    STOPPED: "start restart delete backup",
    SERVICE_UPDATE_FAILED: "delete",
    DISABLE_FAILED: "delete",
    ENABLE_FAILED: "delete",
    START_FAILED: "start stop restart delete update",
    STOP_FAILED: "start stop restart delete update",
    RESTART_FAILED: "start stop restart delete update",
    SUSPENDED_FAILED: "suspend resume delete",
    RESUME_FAILED: "suspend resume delete",
    CREATED_FAILED: "delete",
    RESTORE_FAILED: "delete",
    CONFIG_UPDATE_FAILED: "restart delete update",
    SCALE_FAILED: "delete scale",
}

_CHOSEN: dict[str, str] = {
    ACTIVE: "disable service_update sync_keys",
    SUSPENDED: "disable sync_keys",
    STOPPED: "disable sync_keys",
    DISABLED: "enable",
}

STATES = tuple(_DOCUMENTED)

_ALLOWED = {state: frozenset((_DOCUMENTED[state] + " " + _CHOSEN.get(state, "")).split()) for state in STATES}


def allows(state: str, operation: str) -> bool:
    """Whether `operation` may begin in the settled state `state`."""
    return operation in _ALLOWED[state]
