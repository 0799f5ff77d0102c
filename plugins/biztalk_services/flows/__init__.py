"""The use cases, without Airflow: what an operator, a command or a page asks for, a flow answers."""
