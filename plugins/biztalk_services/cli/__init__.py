"""The command line, for the day on which there is no Airflow: one function a command."""
