"""Backups and what is recorded of them, in blob storage. Knows no Airflow and no kind of service."""
