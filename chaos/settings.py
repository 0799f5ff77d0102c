"""Settings of Airflow for stacks that run fault injection or automated tests."""

from __future__ import annotations

LOW_CPU = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    # An idle scheduler takes a sixth of a core when it polls five times a second.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
}
"""Less idle work: the DAG files do not change, and other processes need the cores."""

OPERATION_SECONDS = {"suspend": 0.5, "backup": 1.0, "resume": 0.5, "delete": 0.5, "restore": 1.0}
"""Durations of the emulator's operations in the kill matrix, by kind of operation."""

FAST_FAILURE_DETECTION = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    # Tasks that a killed worker had received and not started are lost with it.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
}
"""Airflow detects a killed process within seconds; its defaults take minutes."""
