"""The documented state chart (REST reference, section 5), as text and as tables; nothing here comes from the code."""

CHART = """
| State                  | Start | Stop | Restart | Suspend | Resume | Delete | Scale | Update | Backup |
| Active                 |       | Y    | Y       | Y       |        | Y      | Y     | Y      | Y      |
| Disabled               |       |      |         |         |        | Y      |       |        |        |
| Suspended              |       |      |         |         | Y      | Y      |       |        | Y      |
| Stopped                | Y     |      | Y       |         |        | Y      |       |        | Y      |
| Service Update Failed  |       |      |         |         |        | Y      |       |        |        |
| DisableFailed          |       |      |         |         |        | Y      |       |        |        |
| EnableFailed           |       |      |         |         |        | Y      |       |        |        |
| StartFailed            | Y     | Y    | Y       |         |        | Y      |       | Y      |        |
| StopFailed             | Y     | Y    | Y       |         |        | Y      |       | Y      |        |
| RestartFailed          | Y     | Y    | Y       |         |        | Y      |       | Y      |        |
| SuspendedFailed        |       |      |         | Y       | Y      | Y      |       |        |        |
| ResumeFailed           |       |      |         | Y       | Y      | Y      |       |        |        |
| CreatedFailed          |       |      |         |         |        | Y      |       |        |        |
| RestoreFailed          |       |      |         |         |        | Y      |       |        |        |
| ConfigUpdateFailed     |       |      | Y       |         |        | Y      |       | Y      |        |
| ScaleFailed            |       |      |         |         |        | Y      | Y     |        |        |
"""
_LINES = [[cell.strip() for cell in line.strip("|").split("|")] for line in CHART.strip().splitlines()]
OPERATIONS = _LINES[0][1:]
ROWS = {cells[0]: dict(zip(OPERATIONS, cells[1:], strict=True)) for cells in _LINES[1:]}

OUTCOMES = {
    # operation: (from, transitional, to, to after failure)
    "Start": ("Stopped", "Starting", "Active", "StartFailed"),
    "Stop": ("Active", "Stopping", "Stopped", "StopFailed"),
    "Disable": ("Active", "Disabling", "Disabled", "DisableFailed"),
    "Enable": ("Disabled", "Enabling", "Active", "EnableFailed"),
    "Restart": ("Active", "Restarting", "Active", "RestartFailed"),
    "Suspend": ("Active", "Suspending", "Suspended", "SuspendedFailed"),
    "Resume": ("Suspended", "Resuming", "Active", "ResumeFailed"),
    "Scale": ("Active", "Updating", "Active", "ScaleFailed"),
    "Update": ("Active", "Updating", "Active", "ConfigUpdateFailed"),
    "Backup": ("Suspended", "BackingUp", "Suspended", "Suspended"),
}
