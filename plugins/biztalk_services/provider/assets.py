"""The assets that other DAGs can be scheduled on."""

from __future__ import annotations

from airflow.sdk import Asset

BACKUPS = Asset("biztalk-services-backups")
"""Gets an event for every backup reference that is published; its ``extra`` names service, account and container."""
