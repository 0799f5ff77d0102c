"""The kinds of asynchronous operations and what each does to the state of a service."""

from __future__ import annotations

from dataclasses import dataclass

from biztalk_emulator import state_chart as chart

SAME = None
"""The service returns to the state it was in before."""


@dataclass(frozen=True)
class Kind:
    """One kind of operation.

    :param name: as in the durations and the journal.
    :param log_name: name in the portal's operation logs (REST reference, section 3); empty for those not logged there.
    :param resource_type: ``OperationStatus/Type`` inside the resource.
    :param transitional: visible state while it runs.
    :param succeeded: state after success.
    :param failed: state after failure.
    """

    name: str
    log_name: str
    resource_type: str
    transitional: str
    succeeded: str | None = SAME
    failed: str | None = SAME


_KINDS = (
    Kind("create", "CreateBizTalkService", "Create", "Creating", chart.ACTIVE, chart.CREATED_FAILED),
    Kind("update", "ConfigUpdateBizTalkService", "Update", "Updating", chart.ACTIVE, chart.CONFIG_UPDATE_FAILED),
    Kind("scale", "ScaleBizTalkService", "Update", "Updating", chart.ACTIVE, chart.SCALE_FAILED),
    Kind(
        "service_update", "ServiceUpdateBizTalkService", "Update", "Updating", chart.ACTIVE, chart.SERVICE_UPDATE_FAILED
    ),
    Kind("suspend", "SuspendBizTalkService", "Suspend", "Suspending", chart.SUSPENDED, chart.SUSPENDED_FAILED),
    Kind("resume", "ResumeBizTalkService", "Resume", "Resuming", chart.ACTIVE, chart.RESUME_FAILED),
    Kind("restart", "RestartBizTalkService", "Restart", "Restarting", chart.ACTIVE, chart.RESTART_FAILED),
    Kind("start", "StartBizTalkService", "Start", "Starting", chart.ACTIVE, chart.START_FAILED),
    Kind("stop", "StopBizTalkService", "Stop", "Stopping", chart.STOPPED, chart.STOP_FAILED),
    Kind("disable", "DisableBizTalkService", "Disable", "Disabling", chart.DISABLED, chart.DISABLE_FAILED),
    Kind("enable", "EnableBizTalkService", "Enable", "Enabling", chart.ACTIVE, chart.ENABLE_FAILED),
    Kind("sync_keys", "", "SyncAccessControlKeys", "Updating"),
    Kind("backup", "BackupBizTalkService", "Backup", "BackingUp"),
    Kind("restore", "RestoreBizTalkService", "Restore", "Restoring", chart.SUSPENDED, chart.RESTORE_FAILED),
    Kind("delete", "DeleteBizTalkService", "Delete", "Deleting"),
    Kind("create_cloud_service", "", "Create", ""),
    Kind("delete_cloud_service", "", "Delete", ""),
)

KINDS = {kind.name: kind for kind in _KINDS}

MAKING = frozenset({"create", "restore"})
"""They make the service, so no state of it has to allow them."""

ENDING_THEMSELVES = frozenset({"backup", "restore"})
"""They work with storage accounts and end when that is done; time alone ends the others."""

ENVELOPED = frozenset({"create", "update", "scale", "service_update", "restore"})
"""Sent as PUT: the envelope's operation ends before the resource is ready (REST reference, fact 5)."""

PORTAL_ACTIONS = ("start", "stop", "restart", "suspend", "resume", "disable", "enable", "sync_keys")
"""What the portal could request without a body."""

RUNNING_THROUGH = frozenset({"update", "scale", "service_update", "sync_keys", "backup"})
"""An Active service goes on processing messages while one of these runs."""
