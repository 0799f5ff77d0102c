"""Queries through Airflow's SQL hooks."""
