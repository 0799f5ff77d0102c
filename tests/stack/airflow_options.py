"""The options that Airflow and its providers describe."""

from __future__ import annotations

from collections.abc import Iterable


def unknown_options(variables: Iterable[str]) -> set[str]:
    """Those of the AIRFLOW__SECTION__OPTION variables that this Airflow does not describe."""
    from airflow.configuration import conf

    known = {
        f"AIRFLOW__{section.upper()}__{option.upper()}"
        for section, description in conf.configuration_description.items()
        for option in description["options"]
    }
    return {name for name in variables if name.startswith("AIRFLOW__")} - known
