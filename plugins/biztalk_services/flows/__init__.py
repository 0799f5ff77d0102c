"""The use cases, without Airflow: operators, commands and pages call the same flows."""
