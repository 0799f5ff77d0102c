"""Has in memory what the tasks need. A process that has imported this hands all of it to the tasks that it forks; a
task that has to make it for itself takes a second or two longer, and some of them run while a service is suspended.

No connection is opened here and no thread started: neither outlives a fork.
"""

from __future__ import annotations

import importlib
import pkgutil

import airflow.dag_processing.dagbag
import airflow.providers.common.sql.hooks.sql
import airflow.providers.microsoft.azure.hooks.wasb
import airflow.providers.standard.operators.empty
import airflow.sdk._shared.logging.remote
import airflow.sdk.definitions.decorators  # noqa: F401
from airflow.sdk import DAG
from airflow.sdk.listener import get_listener_manager

import biztalk_services
from biztalk_services.model.requests import BackupRequest
from biztalk_services.provider.form import form
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import default_args, service_backup

_NOT_FOR_TASKS = (
    "biztalk_services.__main__",
    "biztalk_services.cli",
    "biztalk_services.provider.plugin",
    "biztalk_services.drivers.biztalk.shell",
)

for _module in pkgutil.walk_packages(biztalk_services.__path__, "biztalk_services."):
    if not _module.name.startswith(_NOT_FOR_TASKS):
        importlib.import_module(_module.name)


def _begin_as_a_task_does() -> None:
    """Every task looks for plugins and makes its DAG and the environment of its templates. Done once before, much of
    that is remembered: plugins, schedules, regular expressions, which class is which."""
    get_listener_manager()
    settings = Settings.load()
    of_service = {"service": "{{ params.service }}"}
    with DAG(
        "preloaded", schedule=None, default_args=default_args(settings) | of_service, params=form(BackupRequest)
    ) as dag:
        service_backup(settings, ())
    dag.get_template_env().from_string(of_service["service"])


_begin_as_a_task_does()
