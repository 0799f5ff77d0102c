"""What the stack asks the emulator, by its admin port and in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

ANSWER_SECONDS = 10


class EmulatorApi:
    """The emulator's admin port. Methods raise `requests.RequestException` when it cannot answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def healthy(self) -> bool:
        try:
            return self.get("/health").get("status") == "healthy"
        except (requests.RequestException, ValueError):
            return False

    def subscription_id(self) -> str:
        return self.get("/health")["subscription_id"]

    def services(self) -> list[dict]:
        """Every service as it is now, by the emulator's own books."""
        return self.get("/services")["services"]

    def tracking_databases(self) -> dict[str, Path]:
        """Service name -> its SQLite tracking database, for those that have one."""
        named = {service["name"]: service["tracking_database"] for service in self.services()}
        return {name: Path(database) for name, database in named.items() if database}

    def get(self, path: str) -> Any:
        answer = self._session.get(f"{self.url}{path}", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.json()
