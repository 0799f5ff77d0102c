"""The keys and passwords with which the sample fleet was provisioned: those of what surrounds its services."""

import json
import os
from pathlib import Path
from typing import Any

from ..connection_strings import database_name, pairs, parse_login


def write(path: Path, subscription: dict[str, Any]) -> None:
    """Write them down, for this user only, in a file that holds nothing else.

    :param subscription: what :func:`.sample_fleet.sample_subscription` made.
    """
    services = [each for group in subscription["cloud_services"] for each in group["services"]]
    document = {"services": {each["name"]: _credentials(each["settings"]) for each in services}}
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=1)


def _credentials(settings: dict[str, Any]) -> dict[str, Any]:
    text = settings["TrackingStoreConnectionString"]
    login = parse_login(text)
    server = next(value for name, value in pairs(text) if name.lower() == "data source")
    return {
        "access_control": {"namespace": settings["AccessControlNamespace"], "key": settings["AccessControlKey"]},
        "tracking_database": {
            "server": server,
            "database": database_name(text),
            "user": login.user,
            "password": login.password,
        },
    }
