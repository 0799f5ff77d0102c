"""The command line for a person whose credentials are in the environment, and backups for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient
from biztalk_services.__main__ import main
from biztalk_services.archive import archive
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.records import Lock, SuspensionRecord
from biztalk_services.model.run import Run
from biztalk_services.model.service import Service, ServiceRef

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, Azurite
from tests.archive.samples import reference
from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess, eventually

CLOUD_SERVICE, NAME = "contoso-west-us", "contosoorders"
SERVICE = f"{CLOUD_SERVICE}/{NAME}"
RUN = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")


def management_environment(emulator: EmulatorProcess) -> dict[str, str]:
    """What a person sets to reach the emulator."""
    pki = emulator.home / "pki"
    return {
        "BIZTALK_SUBSCRIPTION": SUBSCRIPTION,
        "BIZTALK_CERTIFICATE": str(pki / "management.pem"),
        "BIZTALK_KEY": str(pki / "management.key"),
        "BIZTALK_HOST": "127.0.0.1",
        "BIZTALK_PORT": str(emulator.port),
        "BIZTALK_CA_BUNDLE": str(pki / "ca.pem"),
    }


def connection_string(port: int, key: str = KEY) -> str:
    """Of Azurite's account."""
    return f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};AccountName={ACCOUNT};AccountKey={key}"


def storage_environment(azurite: Azurite, catalog: str) -> dict[str, str]:
    """What a person sets to reach Azurite."""
    return {
        "AZURE_STORAGE_CONNECTION_STRING": connection_string(azurite.port),
        "BIZTALK_STORAGE_API_VERSION": API_VERSION,
        "BIZTALK_CATALOG": catalog,
    }


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs commands in this process; checks that nothing they print holds a secret."""

    secrets: list[str]
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Result:
        try:
            code = main(words)
        except SystemExit as ending:
            code = ending.code
        result = Result(code, *self.capsys.readouterr())
        assert not any(secret in result.out + result.err for secret in self.secrets)
        return result


@dataclass
class Archive:
    """Backups, locks and suspension records in a catalog of its own."""

    client: BlobServiceClient
    container: str
    emulator: EmulatorProcess

    @property
    def account(self) -> StorageAccount:
        return StorageAccount(self.client)

    @property
    def opened(self) -> archive.Archive:
        return archive.Archive(self.account, self.container)

    @property
    def catalog(self) -> Catalog:
        return self.opened.catalog

    @property
    def suspensions(self) -> SuspensionRecords:
        return self.opened.suspensions

    def backed_up(self, name: str = NAME, *, backup: str = "", **changes: Any) -> BackupReference:
        """A real backup of a service, read back and published; the service is Active before and after."""
        backup, now = backup or f"{name.lower()}-{uuid4().hex[:12]}", datetime.now(UTC)
        with self.management() as client:
            ref = next(each.ref for each in client.list_services() if each.ref.name == name)
            client.suspend(ref, client_request_id="test")
            service = self._reaches(client, ref, "Suspended")
            client.start_backup(
                ref,
                store_connection_string=self.account.connection_string(),
                backup_name=backup,
                client_request_id="test",
            )
            eventually(lambda: self.client.get_blob_client(backup, f"{backup}.txt").exists())
            self._reaches(client, ref, "Suspended")
            client.resume(ref, client_request_id="test")
            self._reaches(client, ref, "Active")
        content = read_back(BackupTarget(self.account, backup))
        taken = reference(
            backup,
            account=ACCOUNT,
            blobs=content.blobs,
            service=ref.name,
            scope=ref.scope,
            subscription_id=SUBSCRIPTION,
            edition=service.edition,
            product_version=service.version,
            region=service.region,
            etag=service.etag,
            created_at=now,
            started_at=now,
            finished_at=now,
            items=content.items,
        )
        return self.published(taken, **changes)

    def inventory(self, name: str = NAME) -> Inventory:
        """What a service holds now."""
        access = self.known(name)["access_control"]
        with self.management() as client:
            service = next(each for each in client.list_services() if each.ref.name == name)
        with PartnerManagementClient(
            name,
            namespace=access["namespace"],
            key=access["key"],
            endpoint=self.emulator.data_url,
            ca_bundle=self.emulator.home / "pki/ca.pem",
        ) as partners:
            return inventory_of(service, partners.all_entities(ENTITY_SETS), taken_at=datetime.now(UTC))

    def known(self, service: str = NAME) -> dict[str, Any]:
        """The credentials that a person has who provisioned a service."""
        return json.loads((self.emulator.home / "sample-credentials.json").read_text())["services"][service]

    def published(self, taken: BackupReference, **changes: Any) -> BackupReference:
        return self.catalog.publish(replace(taken, **changes))[0]

    def suspended(self, name: str = NAME, *, minutes_left: float = -5, **changes: Any) -> SuspensionRecord:
        """A suspension record of a service, which is Suspended now."""
        self.emulator.force(name, "Suspended")
        return self.record(f"{CLOUD_SERVICE}/{name}", minutes_left=minutes_left, **changes)

    def record(self, service: str, *, minutes_left: float = -5, **changes: Any) -> SuspensionRecord:
        now = datetime.now(UTC)
        values = {
            "service": service,
            "subscription_id": SUBSCRIPTION,
            "run": RUN,
            "reason": "backup",
            "opened_at": now - timedelta(hours=2),
            "resume_by": now + timedelta(minutes=minutes_left),
        }
        record = SuspensionRecord(**values | changes)
        self.suspensions.open(record)
        return record

    def locked(self, service: str = SERVICE, *, minutes_left: float = 60) -> Lock:
        lock = Lock(service, SUBSCRIPTION, RUN, "backup", datetime.now(UTC) + timedelta(minutes=minutes_left))
        self.opened.locks.take(lock, has_ended=lambda run: True)
        return lock

    def closed(self) -> list[dict[str, Any]]:
        """The suspension records that are closed."""
        container = self.client.get_container_client(self.container)
        names = [blob.name for blob in container.list_blobs("suspensions/closed/")]
        return [json.loads(container.download_blob(name).readall()) for name in names]

    def management(self) -> BizTalkServicesClient:
        pki = self.emulator.home / "pki"
        credentials = ManagementCredentials(
            certificate_path=pki / "management.pem", private_key_path=pki / "management.key"
        )
        return BizTalkServicesClient(
            SUBSCRIPTION, credentials, host="127.0.0.1", port=self.emulator.port, ca_bundle=pki / "ca.pem"
        )

    @staticmethod
    def _reaches(client: BizTalkServicesClient, ref: ServiceRef, state: str) -> Service:
        return eventually(lambda: (service := client.get_service(ref)).state == state and service)


def secrets_of(emulator: EmulatorProcess) -> list[str]:
    """Pieces of every secret that the commands use."""
    lines = (emulator.home / "pki/management.key").read_text().splitlines()
    known = json.loads((emulator.home / "sample-credentials.json").read_text())["services"]
    keys = [each["access_control"]["key"] for each in known.values()]
    passwords = [each["tracking_database"]["password"] for each in known.values()]
    return [KEY[:20], *keys, *passwords, *(line for line in lines if line and "-----" not in line)]


def requests(emulator: EmulatorProcess, after: int, operation: str) -> list[dict[str, Any]]:
    """Requests of a kind that came to the emulator, also refused ones."""
    entries = emulator.journal(after=after, kind="request")
    return [entry for entry in entries if entry["operation"] == operation]


def last_seq(emulator: EmulatorProcess) -> int:
    """Number of the journal's last entry."""
    return emulator.admin("GET", "/journal?limit=1")["newest"]
