"""The service that most tests are about, and Airflow's connections to emulator and Azurite."""

from __future__ import annotations

from typing import Any

from biztalk_services.model.service import ServiceKey, ServiceRef

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, Azurite
from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess

CLOUD_SERVICE, NAME = "contoso-west-us", "contosoorders"
SERVICE = f"{CLOUD_SERVICE}/{NAME}"
SERVICE_KEY = ServiceKey(SUBSCRIPTION, ServiceRef.parse(SERVICE))
TRACKING = f"biztalk_tracking_{NAME}"


def management(emulator: EmulatorProcess) -> dict[str, Any]:
    """The connection to the emulator, its certificate and key in the connection itself."""
    pki = emulator.home / "pki"
    return {
        "conn_type": "biztalk_services",
        "host": "127.0.0.1",
        "port": emulator.port,
        "login": SUBSCRIPTION,
        "password": (pki / "management.key").read_text(),
        "extra": {"certificate": (pki / "management.pem").read_text(), "ca_bundle": str(pki / "ca.pem")},
    }


def storage(azurite: Azurite, **changes: Any) -> dict[str, Any]:
    """The connection to Azurite."""
    return {
        "conn_type": "wasb",
        "login": ACCOUNT,
        "password": KEY,
        "host": f"http://127.0.0.1:{azurite.port}/{ACCOUNT}",
        "extra": {"api_version": API_VERSION, "retry_total": 0},
    } | changes
