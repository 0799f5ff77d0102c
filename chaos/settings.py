"""Settings of an Airflow that is killed or watched, and not worked with."""

from __future__ import annotations

FRUGAL = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    # A scheduler that has nothing to do takes a sixth of a core when it looks five times a second.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
}
"""No DAG file changes, and the cores are wanted by others."""

DURATIONS = {"suspend": 0.5, "backup": 1.0, "resume": 0.5, "delete": 0.5, "restore": 1.0}
"""Seconds by kind of the emulator's operations, where parts are killed."""

DEATHS_ARE_NOTICED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    # A worker that dies takes along what it has received and not begun.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}
"""Within seconds; Airflow's own defaults take minutes."""
