"""Everything about the emulator's behaviour that may be changed while it runs."""

from __future__ import annotations

import copy
from typing import Any

from biztalk_emulator.operations import KINDS

DEFAULTS: dict[str, Any] = {
    "durations": {
        "create": 3.0,
        "update": 2.0,
        "scale": 2.0,
        "service_update": 2.0,
        "suspend": 1.5,
        "resume": 1.5,
        "restart": 2.0,
        "start": 1.5,
        "stop": 1.5,
        "disable": 1.0,
        "enable": 1.0,
        "sync_keys": 0.5,
        "backup": 6.0,
        "restore": 8.0,
        "delete": 1.5,
        "create_cloud_service": 0.5,
        "delete_cloud_service": 0.5,
    },
    "envelope_seconds": 1.0,
    "name_hold_seconds": 10.0,
    "traffic_tick_seconds": 1.0,
    "token_seconds": 28800.0,
    "profile": {
        "backup_precondition": "strict-rest",
        "developer_backup": "no",
        "version_equality": "seed",
        "version_minimum": "strict",
        "backup_status": "202",
        "poll_status": "202",
        "paging": "pages",
    },
}

PROFILE_CHOICES = {
    "backup_precondition": ("strict-rest", "chart"),
    "developer_backup": ("no", "yes"),
    "version_equality": ("seed", "later"),
    "version_minimum": ("strict", "lenient"),
    "backup_status": ("202", "200"),
    "poll_status": ("202", "200"),
    "paging": ("pages", "whole", "ignored", "refused"),
}

assert set(DEFAULTS["durations"]) == set(KINDS)


class SettingsError(ValueError):
    """A setting was refused; the message names it and what is possible."""


def merged(current: dict[str, Any], change: Any) -> dict[str, Any]:
    """Return `current` with `change` applied (same tree, only the named leaves differ).

    :raises SettingsError: for an unknown name or an impossible value.
    """
    result = copy.deepcopy(current)
    for name, value in _mapping(change, "settings").items():
        if name == "durations":
            for kind, seconds in _mapping(value, name).items():
                _known(kind, result[name], "durations")
                result[name][kind] = _seconds(f"durations.{kind}", seconds)
        elif name == "profile":
            for switch, choice in _mapping(value, name).items():
                _known(switch, PROFILE_CHOICES, "profile")
                if str(choice) not in PROFILE_CHOICES[switch]:
                    raise SettingsError(
                        f"profile.{switch} cannot be {choice!r}; choose one of {', '.join(PROFILE_CHOICES[switch])}."
                    )
                result[name][switch] = str(choice)
        else:
            _known(name, result, "settings")
            result[name] = _seconds(name, value)
    if result["traffic_tick_seconds"] < 0.05:
        raise SettingsError("traffic_tick_seconds must be at least 0.05.")
    return result


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{name} must be an object of names and values.")
    return value


def _known(name: str, known: Any, where: str) -> None:
    if name not in known:
        raise SettingsError(f"{name!r} is unknown in {where}; known are {', '.join(sorted(known))}.")


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise SettingsError(f"{name} must be a number of seconds between 0 and 86400.")
    return float(value)
