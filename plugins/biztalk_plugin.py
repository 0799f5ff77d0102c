"""Registers the plugin where the library is only on the plugins path; an installed one registers itself."""

from __future__ import annotations

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="biztalk_services"):
    from biztalk_services.plugin import BizTalkServicesPlugin  # noqa: F401
