"""Registers the plugin where the library is only on the plugins path; an installed one registers itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("biztalk-services-airflow")
except PackageNotFoundError:
    from biztalk_services.provider.plugin import BizTalkServicesPlugin  # noqa: F401
