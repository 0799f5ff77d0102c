"""Access to the emulator by its admin port and its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

RESPONSE_SECONDS = 60
"""A request waits for others before it, on a machine that is busy with all of Airflow."""
HEALTH_SECONDS = 10
"""Of one look whether it responds; who waits for that looks again."""


class EmulatorApi:
    """The emulator's admin port. Methods raise `requests.RequestException` when it does not respond."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def healthy(self) -> bool:
        """Whether it responds, and soon."""
        try:
            return self._json("GET", "/health", seconds=HEALTH_SECONDS).get("status") == "healthy"
        except (requests.RequestException, ValueError):
            return False

    def subscription_id(self) -> str:
        return self.get("/health")["subscription_id"]

    def services(self) -> list[dict]:
        """Every service as it is now, by the emulator's records."""
        return self.get("/services")["services"]

    def tracking_databases(self) -> dict[str, Path]:
        """Service name -> its SQLite tracking database, for those that have one."""
        named = {service["name"]: service["tracking_database"] for service in self.services()}
        return {name: Path(database) for name, database in named.items() if database}

    def service(self, name: str) -> dict:
        """One service with its settings, content and batches."""
        return self.get(f"/services/{name}")

    def send(self, service: str, agreement: str, messages: int = 1) -> dict:
        """Send messages through an agreement."""
        return self.post(f"/services/{service}/messages", {"agreement": agreement, "messages": messages})

    def send_interchanges(self, service: str, count: int) -> int:
        """Send interchanges through every agreement that numbers them; what it collects in a batch is released at once.

        :param count: through each of them.
        :returns: how many in all.
        """
        numbering = [each for each in self.service(service)["content"]["agreements"] if each["Protocol"] != "AS2"]
        for agreement in numbering:
            name = agreement["Name"]
            for _ in range(count if agreement.get("Batches") else 0):
                if (batch := self.send(service, name).get("batch")) and batch["messages"]:
                    self.post(f"/services/{service}/batches/release", {"agreement": name, "batch": batch["batch"]})
            if not agreement.get("Batches"):
                self.send(service, name, count)
        return count * len(numbering)

    def duplicates(self, service: str) -> list[dict]:
        """Control numbers that a partner of the service received twice."""
        return self.get(f"/services/{service}/duplicates")["duplicates"]

    def get(self, path: str) -> Any:
        return self._json("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._json("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._json("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self._json("DELETE", path)

    def _json(self, method: str, path: str, body: Any = None, seconds: float = RESPONSE_SECONDS) -> Any:
        response = self._session.request(method, f"{self.url}{path}", json=body, timeout=seconds)
        response.raise_for_status()
        return response.json()


def sample_credentials(home: Path) -> dict[str, dict]:
    """Keys and passwords of the sample fleet by service, as the person has them who provisioned it."""
    path = home / "sample-credentials.json"
    return json.loads(path.read_text())["services"] if path.exists() else {}
