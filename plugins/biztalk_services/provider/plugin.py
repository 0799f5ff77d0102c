"""Makes known to Airflow what it has to look up by name; the installed package registers it by an entry point."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from biztalk_services.provider.deadlines import RunCreated


class BizTalkServicesPlugin(AirflowPlugin):
    name = "biztalk_services"
    deadline_references = [RunCreated]  # noqa: RUF012 - Airflow declares it as an instance's

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Where plugins are loaded at the start of a process, have in memory then what the tasks need that it forks."""
        if not conf.getboolean("core", "lazy_load_plugins"):
            import biztalk_services.provider.preload  # noqa: F401
