"""Backups and backup references in blob storage. Knows no Airflow."""
