"""The restore runbook does what it says: its marked blocks, run from top to bottom in one shell against the stack."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from stack.emulator_api import sample_credentials
from stack.parts import ROOT
from stack.ports import HOST
from stack.settings import STORAGE_ACCOUNT, STORAGE_KEY, base_environment, storage_endpoint
from tests.documents import MARKED, Shell
from tests.system.world import CATALOG, Night, World

RUNBOOK = ROOT / "docs/runbook-restore.md"
SERVICE, CLOUD_SERVICE, DRILL = "ContosoRetail", "contoso-west-us", "contosodrill"
AGREEMENT, CHANGED = "Tailspin X12 send", "changed after the backup"
ORDER = [
    "prepare", "look", "choose", "plan", "start", "approve", "follow", "record", "ranges", "settle", "resume",
    "compare", "drill", "delete the drill", "reject",
]  # fmt: skip
REPLACED = ["suspend", "backup", "delete", "restore"]


@dataclass(frozen=True)
class Block:
    """A block that was run.

    :param said: what it printed
    :param done: operations that the emulator began meanwhile, on the service and on the drill's
    :param state: state of the service after it
    """

    said: str
    done: list[str]
    state: str | None

    @property
    def lines(self) -> list[str]:
        return self.said.splitlines()


@pytest.fixture(scope="module")
def backup(world: World, good_night: Night) -> str:
    """Name of a backup after which the service has sent more messages, and one of its partners was changed."""
    world.pass_messages(SERVICE)
    partner = world.service(SERVICE)["content"]["partners"][0] | {"Description": CHANGED}
    world.emulator.admin("POST", f"/services/{SERVICE}/content", {"partners": [partner]})
    return good_night.backup(SERVICE)


@pytest.fixture(scope="module")
def drill_connection(world: World) -> str:
    """Connection to a tracking database for the drill."""
    return world.new_database(DRILL)


@pytest.fixture(scope="module")
def blocks(world: World, backup: str, drill_connection: str, tmp_path_factory) -> dict[str, Block]:
    """Every marked block of the runbook, after it was run."""
    folder = tmp_path_factory.mktemp("runbook")
    world.airflow.wait_for_dag("biztalk_restore")
    shell = Shell(environment(world, drill_connection, folder), folder)
    found = {}
    try:
        for name, text in MARKED.findall(RUNBOOK.read_text()):
            before = world.last_seq()
            said = shell.run(name, text)
            found[name] = Block(said, begun(world, before), world.state(SERVICE))
    finally:
        shell.close()
    return found


def environment(world: World, drill_connection: str, folder: Path) -> dict[str, str]:
    """What the runbook asks the reader to set."""
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
        "NEXT": "5000",
        "DRILL": DRILL,
        "DRILL_TRACKING": drill_connection,
    }


def begun(world: World, after: int) -> list[str]:
    entries = world.emulator.journal(after=after, kind="operation")
    return [each["operation"] for each in entries if each["event"] == "started" and each["service"] in (SERVICE, DRILL)]


def test_every_block_stands_in_the_order_of_the_story():
    assert [name for name, _ in MARKED.findall(RUNBOOK.read_text())] == ORDER


def test_its_commands_need_nothing_but_bash_curl_python_and_the_library():
    text = "\n".join(text for _, text in MARKED.findall(RUNBOOK.read_text()))
    assert not re.search(r"\b(jq|az|sudo|airflow [a-z]|pip|wget|xmllint)\s", text)


def test_looking_lists_services_and_backups(blocks, backup):
    assert f"{SERVICE} Active" in blocks["look"].lines
    assert any(line.startswith(f"{backup}\t") and "drained" in line for line in blocks["look"].lines)
    assert json.loads(blocks["choose"].said)["agreements"] > 0


@pytest.mark.parametrize("name", ["prepare", "look", "choose", "plan", "start", "record", "ranges", "compare"])
def test_reading_changes_nothing(blocks, name):
    assert blocks[name].done == []


def test_the_plan_alone_can_be_read(blocks, backup):
    plan = blocks["plan"]
    assert f"## Restore {STORAGE_ACCOUNT}/{backup} as {CLOUD_SERVICE}/{SERVICE}" in plan.said
    for heading in ("What will be done", "What will be lost, or is yours to do", "Rules"):
        assert f"### {heading}" in plan.said
    assert plan.lines[-1] == "planned only"


def test_the_run_waits_for_a_person_and_shows_them_the_plan(blocks):
    assert blocks["start"].lines[0] == "awaiting_input"
    assert "### What will be done" in blocks["start"].said
    assert re.fullmatch("[0-9a-f]{64}", blocks["start"].lines[-1])


def test_after_the_approval_the_service_is_backed_up_deleted_and_restored(blocks, backup):
    assert "Approve" in blocks["approve"].said
    report = json.loads(blocks["follow"].said.partition("\n}")[0] + "}")
    assert (report["outcome"], report["state"]) == ("restored", "Suspended")
    assert report["backup"] == f"{STORAGE_ACCOUNT}/{backup}"
    assert report["differences"] == []
    assert report["numbers"]
    assert blocks["approve"].done + blocks["follow"].done == REPLACED
    assert f"{SERVICE} Suspended" in blocks["follow"].lines


def test_the_record_in_the_catalog_is_of_this_run(blocks):
    assert blocks["record"].lines[0] == "restored"


def test_control_numbers_can_be_settled_by_hand(blocks, world):
    assert any(line.startswith(f"{AGREEMENT}\tInterchange\t") for line in blocks["ranges"].lines)
    assert blocks["settle"].lines[-1] == "5000"
    assert world.duplicates(SERVICE) == []


def test_the_service_is_resumed_by_hand(blocks):
    assert blocks["resume"].done == ["resume"]
    assert blocks["resume"].state == "Active"


def test_what_was_changed_since_the_backup_shows_in_the_plan_and_between_the_inventories(blocks, world):
    for name in ("plan", "compare"):
        assert CHANGED in blocks[name].said
    assert len(blocks["compare"].lines) == 2
    assert CHANGED not in str(world.service(SERVICE)["content"]["partners"])


def test_the_drill_is_restored_beside_the_service_and_deleted(blocks, world):
    assert "restored" in blocks["drill"].lines
    assert blocks["drill"].done == ["restore"]
    assert blocks["drill"].state == "Active"
    assert blocks["delete the drill"].done == ["delete"]
    assert world.state(DRILL) is None


def test_a_rejected_plan_changes_nothing(blocks):
    assert blocks["reject"].lines[-1] == "refused"
    assert blocks["reject"].done == []
    assert blocks["reject"].state == "Active"
