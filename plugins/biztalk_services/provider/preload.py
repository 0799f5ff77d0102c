"""Imports what the tasks need. A process that has imported this hands all of it to the tasks that it forks; a task that
has to import for itself takes a second or two longer, and some of them run while a service is suspended."""

from __future__ import annotations

import importlib
import pkgutil

import airflow.providers.common.sql.hooks.sql
import airflow.providers.microsoft.azure.hooks.wasb
import airflow.sdk.definitions.decorators  # noqa: F401

import biztalk_services

_NOT_FOR_TASKS = (
    "biztalk_services.__main__",
    "biztalk_services.cli",
    "biztalk_services.provider.plugin",
    "biztalk_services.drivers.biztalk.shell",
)

for _module in pkgutil.walk_packages(biztalk_services.__path__, "biztalk_services."):
    if not _module.name.startswith(_NOT_FOR_TASKS):
        importlib.import_module(_module.name)
