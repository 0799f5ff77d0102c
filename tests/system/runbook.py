"""Runs the restore runbook: its marked blocks, from top to bottom in one shell against the stack."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from stack.emulator_api import sample_credentials
from stack.parts import ROOT
from stack.ports import HOST
from stack.settings import STORAGE_ACCOUNT, STORAGE_KEY, base_environment, storage_endpoint
from tests.documents import MARKED, Shell
from tests.system.world import CATALOG, World

RUNBOOK = ROOT / "docs/runbook-restore.md"
SERVICE, CLOUD_SERVICE, DRILL = "ContosoRetail", "contoso-west-us", "contosodrill"
AGREEMENT, CHANGED = "Tailspin X12 send", "changed after the backup"


@dataclass(frozen=True)
class Block:
    """A block that was run.

    :param output: its output
    :param operations: operations that the emulator began meanwhile, on the service and on the drill's
    :param state: state of the service after it
    """

    output: str
    operations: list[str]
    state: str | None

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def follow(world: World, folder: Path) -> dict[str, Block]:
    """Every marked block, after it was run.

    Since the backup that the runbook restores, the service has sent messages, and one of its partners was changed.

    :param folder: for the shell
    """
    world.pass_messages(SERVICE)
    partner = world.service(SERVICE)["content"]["partners"][0] | {"Description": CHANGED}
    world.emulator.admin("POST", f"/services/{SERVICE}/content", {"partners": [partner]})
    world.airflow.wait_for_dag("biztalk_restore")
    shell = Shell(environment(world, world.new_database(DRILL), folder), folder)
    found = {}
    try:
        for name, text in MARKED.findall(RUNBOOK.read_text()):
            before = world.last_seq()
            output = shell.run(name, text)
            found[name] = Block(output, operations_since(world, before), world.state(SERVICE))
    finally:
        shell.close()
    return found


def environment(world: World, drill_connection: str, folder: Path) -> dict[str, str]:
    """The variables that the runbook requires."""
    management, access = world.stack.connections["biztalk_default"], sample_credentials(world.stack.home / "emulator")
    namespace, key = (access[SERVICE]["access_control"][part] for part in ("namespace", "key"))
    (folder / "key").write_text(key)
    data = f"https://{HOST}:{world.stack.ports.emulator_data}"
    base = base_environment()
    return base | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), base.get("PATH", os.defpath)]),
        "PYTHONPATH": str(ROOT / "plugins"),
        "AIRFLOW": world.stack.url,
        "SERVICE": SERVICE,
        "CLOUD_SERVICE": CLOUD_SERVICE,
        "CATALOG": f"{storage_endpoint(world.stack.ports)}/{CATALOG}",
        "SAS": generate_container_sas(
            STORAGE_ACCOUNT,
            CATALOG,
            account_key=STORAGE_KEY,
            permission=ContainerSasPermissions(read=True, list=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        ),
        "MANAGEMENT": f"https://{HOST}:{world.stack.ports.emulator}/{management['login']}",
        "CERTIFICATE": management["extra"]["certificate_path"],
        "KEY": management["extra"]["private_key_path"],
        "CA": management["extra"]["ca_bundle"],
        "ACS": f"{data}/{namespace}.accesscontrol.windows.net",
        "PARTNERS": f"{data}/{SERVICE}.biztalk.windows.net/default/$PartnerManagement",
        "ACS_KEY_FILE": str(folder / "key"),
        "AGREEMENT": AGREEMENT,
        "KIND": "Interchange",
        "NEXT": "50000",
        "DRILL": DRILL,
        "DRILL_TRACKING": drill_connection,
    }


def operations_since(world: World, after: int) -> list[str]:
    entries = world.emulator.journal(after=after, kind="operation")
    return [each["operation"] for each in entries if each["event"] == "started" and each["service"] in (SERVICE, DRILL)]
