"""The command line, for the day on which there is no Airflow: one function a command, and one that adds its parser.

A command takes the parsed arguments and returns the exit code. BackupServiceError: nothing could be done (code 2).
"""
