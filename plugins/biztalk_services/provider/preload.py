"""Has in memory what the tasks need. A process that has imported this hands all of it to the tasks that it forks; a task
that has to make it for itself takes a second or two longer, and some of them run while a service is suspended.

No connection is opened here and no thread started: a fork would break either.
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
import jinja2.ext  # noqa: F401
from airflow.sdk.listener import get_listener_manager

import biztalk_services
from biztalk_services.model.requests import BackupRequest
from biztalk_services.provider.form import form
from biztalk_services.provider.settings import Settings

_NOT_FOR_TASKS = (
    "biztalk_services.__main__",
    "biztalk_services.cli",
    "biztalk_services.provider.plugin",
    "biztalk_services.drivers.biztalk.shell",
)

for _module in pkgutil.walk_packages(biztalk_services.__path__, "biztalk_services."):
    if not _module.name.startswith(_NOT_FOR_TASKS):
        importlib.import_module(_module.name)

get_listener_manager()  # with the plugins, which each task would look for anew
Settings.load()
form(BackupRequest)
