"""An emulator whose services can be deleted and restored, what surrounds them, and Airflow's connections to all of it.

The services use the tests' Azurite, and the names of deleted ones are free at once.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.archive.azurite import ACCOUNT, KEY, Azurite
from tests.emulator.driver import EmulatorProcess
from tests.provider.connections import CLOUD_SERVICE, NAME, management, storage
from tests.provider.fakes import Run
from tests.provider.walk import Night

CATALOG = "biztalk-backup-catalog"
ARCHIVE = f"biztalk_backup_storage/{CATALOG}"
AGREEMENT = "Northwind X12 send"
READS = {"GET"}
_numbers = itertools.count()

Connect = Callable[[str, dict[str, Any] | None], None]


def fresh(prefix: str) -> str:
    """A name of a service, database or connection never used before."""
    return f"{prefix}{time.time_ns() % 10**7}{next(_numbers)}"


@dataclass
class Surroundings:
    """
    :param connect: gives Airflow a connection, or takes it away.
    """

    emulator: EmulatorProcess
    azurite: Azurite
    connect: Connect

    @property
    def credentials(self) -> dict[str, Any]:
        """What the person knows who provisioned contosoorders."""
        document = json.loads((self.emulator.home / "sample-credentials.json").read_text())
        return document["services"][NAME]

    @property
    def secrets(self) -> list[str]:
        """Pieces of every secret that the connections hold."""
        pki = self.emulator.home / "pki"
        pems = "".join((pki / name).read_text() for name in ("management.key", "management.pem"))
        lines = [line for line in pems.splitlines() if line and "-----" not in line]
        known = self.credentials
        return [KEY[:20], known["access_control"]["key"], known["tracking_database"]["password"], *lines]

    def connections(self) -> None:
        """Airflow's connections to everything around contosoorders."""
        account, known = storage(self.azurite), self.credentials
        self.connect("biztalk_default", management(self.emulator))
        self.connect("biztalk_backup_storage", account)
        self.connect(f"biztalk_store_{ACCOUNT}", account)
        self.connect(f"biztalk_acs_{NAME}acs", self.access_control(known["access_control"]["key"]))
        database = known["tracking_database"]
        self.connect(f"biztalk_sql_{database['database'].lower()}", self.sql(database, f"biztalk_tracking_{NAME}"))
        self.connect(f"biztalk_tracking_{NAME}", self.file(database["database"]))

    def access_control(self, key: str, namespace: str = f"{NAME}acs") -> dict[str, Any]:
        return {
            "conn_type": "generic",
            "host": "https://127.0.0.1",
            "port": int(self.emulator.data_url.rpartition(":")[2]),
            "login": "owner",
            "password": key,
            "extra": {"namespace": namespace, "ca_bundle": str(self.emulator.home / "pki" / "ca.pem")},
        }

    @staticmethod
    def sql(database: dict[str, str], check_conn_id: str) -> dict[str, Any]:
        """A database as its service uses it; Airflow reaches its file by another connection."""
        return {
            "conn_type": "generic",
            "host": database["server"],
            "schema": database["database"],
            "login": database["user"],
            "password": database["password"],
            "extra": {"check_conn_id": check_conn_id},
        }

    def file(self, database: str) -> dict[str, Any]:
        """A database as Airflow reads it."""
        path = self.emulator.home / "tracking" / f"{database}.db"
        return {"conn_type": "sqlite", "host": str(path), "extra": {"mode": "ro"}}

    def new_database(self, service: str = "") -> str:
        """A new tracking database; returns the id of the connection to it, as a service uses it.

        :param service: the service that is to have it, to be read under its name.
        """
        name, password = fresh("Tracking"), fresh("sql-password-")
        self.emulator.admin("PUT", f"/world/databases/{name}", {"user": "me", "password": password})
        service = service or name
        self.connect(f"biztalk_tracking_{service.lower()}", self.file(name))
        login = {"server": "tcp:other.example", "database": name, "user": "me", "password": password}
        self.connect(f"biztalk_sql_{name.lower()}", self.sql(login, f"biztalk_tracking_{service.lower()}"))
        return f"biztalk_sql_{name.lower()}"

    def backed_up(self, name: str = NAME) -> dict[str, Any]:
        """Back a service up as at night, with its inventory; returns the reference."""
        night = Night(Run(), name, container=CATALOG).all()
        assert night.errors == {}
        return night.backup().xcom("publish_reference")

    def edit(self, text: str, partner: str = "Fabrikam", name: str = NAME) -> None:
        """Change the description of a partner, as in the portal."""
        partners = self.emulator.admin("GET", f"/services/{name}")["content"]["partners"]
        changed = next(each for each in partners if each["Name"] == partner) | {"Description": text}
        self.emulator.admin("POST", f"/services/{name}/content", {"partners": [changed]})

    def description(self, partner: str = "Fabrikam", name: str = NAME) -> str:
        partners = self.emulator.admin("GET", f"/services/{name}")["content"]["partners"]
        return next(each["Description"] for each in partners if each["Name"] == partner)

    def traffic(self, name: str = NAME, messages: int = 3, agreement: str = AGREEMENT) -> None:
        self.emulator.admin("POST", f"/services/{name}/messages", {"agreement": agreement, "messages": messages})

    def duplicates(self, name: str = NAME) -> dict[tuple[Any, ...], int]:
        """Control number -> how often a partner got it."""
        found = self.emulator.admin("GET", f"/services/{name}/duplicates")["duplicates"]
        return {(each["partner"], each["agreement"], each["kind"], each["number"]): each["times"] for each in found}

    def exists(self, name: str) -> bool:
        return self.emulator.raw_admin("GET", f"/services/{name}").status_code == 200

    def changes(self, after: int) -> list[dict[str, Any]]:
        """Requests since an entry of the journal that were to change something, also refused ones."""
        return [
            entry
            for entry in self.emulator.journal(after=after, kind="request")
            if entry["method"] not in READS and entry["operation"] != "token"
        ]

    def operations(self, kind: str, after: int, name: str = NAME) -> list[dict[str, Any]]:
        """Operations of a kind that really began on a service since an entry of the journal."""
        entries = self.emulator.journal(after=after, kind="operation", service=name)
        return [entry for entry in entries if (entry["event"], entry["operation"]) == ("started", kind)]

    def mark(self) -> int:
        """The newest entry of the journal."""
        return self.emulator.admin("GET", "/journal?limit=1")["newest"]

    def as_it_was(self, reference: dict[str, Any], etag: str) -> None:
        """Make contosoorders and what surrounds it what they were before the test.

        :param etag: that it had; with another one, it is restored out of a backup, onto an empty tracking database.
        """
        emulator, known = self.emulator, self.credentials
        emulator.admin("DELETE", "/faults")
        database, namespace = known["tracking_database"], known["access_control"]
        login = {"user": database["user"], "password": database["password"]}
        emulator.admin("PUT", f"/world/databases/{database['database']}", login)
        emulator.admin("PUT", f"/world/namespaces/{namespace['namespace']}", {"key": namespace["key"]})
        self._without_others()
        if self.exists(NAME):
            service = emulator.admin("GET", f"/services/{NAME}")
            if service["state"].endswith("ing"):
                emulator.force(NAME, "Active")
            if self.exists(NAME) and emulator.etag(NAME) == etag:
                if emulator.state(NAME) != "Active":
                    emulator.force(NAME, "Active")
                return
            emulator.give_up(NAME)
        emulator.admin("DELETE", f"/world/databases/{database['database']}")
        emulator.admin("PUT", f"/world/databases/{database['database']}", login)
        account = self.account_string()
        answer = emulator.restore(NAME, reference["container"], account, group=CLOUD_SERVICE)
        assert answer.status_code == 202, answer.text
        emulator.reaches(NAME, "Suspended")
        emulator.force(NAME, "Active")

    def _without_others(self) -> None:
        """The more services there are, the slower is everything."""
        for service in self.emulator.admin("GET", "/services")["services"]:
            name = service["name"]
            if not name.lower().startswith("contoso"):
                if service["state"].endswith("ing"):
                    # Perhaps it is deleted by now.
                    self.emulator.raw_admin("PUT", f"/services/{name}/state", {"state": "Active"})
                self.emulator.request("DELETE", self.emulator.path(name, through=False))

    def account_string(self) -> str:
        return storage_string(self.azurite)


def storage_string(azurite: Azurite) -> str:
    """The account as the services of the emulator use it."""
    endpoint = f"http://127.0.0.1:{azurite.port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint}"
