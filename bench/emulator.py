"""Access to the emulator of a stack from a plain script: addresses, a session with the certificate, its journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import requests

from stack import Stack

SERVICE, CLOUD_SERVICE = "contosoorders", "contoso-west-us"

Change = tuple[str | None, str | None]
"""State before and after; None: there is no service."""


def session(stack: Stack) -> requests.Session:
    """With the management certificate and the headers that every request needs."""
    pki = stack.home / "emulator/pki"
    made = requests.Session()
    made.trust_env = False
    made.cert = (str(pki / "management.pem"), str(pki / "management.key"))
    made.verify = str(pki / "ca.pem")
    made.headers["x-ms-version"] = "2013-04-26"
    return made


def service_url(stack: Stack) -> str:
    """Pass-through address of the service that is measured (``.../~/biztalk/<name>``)."""
    return (
        f"https://127.0.0.1:{stack.ports.emulator}/{stack.emulator.subscription_id()}/cloudservices/{CLOUD_SERVICE}"
        f"/resources/biztalkservices/~/biztalk/{SERVICE}"
    )


def newest(stack: Stack) -> int:
    """Number of the journal's last entry."""
    return stack.emulator.get("/journal?limit=1")["newest"]


def changes_since(stack: Stack, seen: int) -> Mapping[Change, datetime]:
    """
    When the service went from one state to another; raises ``RuntimeError`` when it did so twice.

    :param seen: number of the journal's last entry before
    """
    entries = stack.emulator.get(f"/journal?after={seen}&service={SERVICE}&limit=1000")["entries"]
    changes = [entry for entry in entries if entry["kind"] == "state"]
    moments = {(entry["before"], entry["after"]): datetime.fromisoformat(entry["at"]) for entry in changes}
    if len(changes) != len(moments):
        raise RuntimeError(f"The journal has more changes than were requested: {changes}")
    return moments
