"""Makes known to Airflow what it has to look up by name; the installed package registers it by an entry point."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from biztalk_services.deadlines import RunCreated


class BizTalkServicesPlugin(AirflowPlugin):
    name = "biztalk_services"
    deadline_references = (RunCreated,)
