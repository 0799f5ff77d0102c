"""docs/break-glass.md works: its marked blocks, run from top to bottom in one shell that has no Airflow."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from biztalk_services.__main__ import main
from biztalk_services.model.backup import backup_name
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef

from tests.cli.shell import (
    CLOUD_SERVICE,
    NAME,
    SERVICE,
    Archive,
    last_seq,
    management_environment,
    storage_environment,
)
from tests.conftest import ROOT
from tests.documents import MARKED, Shell
from tests.emulator.driver import SUBSCRIPTION

DOCUMENT = ROOT / "docs/break-glass.md"
QUIESCED = "contoso-west-us/ContosoRetail"
CODE = re.compile(r"\n?\[ended with (\d+)\]$")
BLOCKS = [
    "what is suspended", "resume what is due", "resume one", "check again", "which backups", "one backup",
    "is it whole", "what would a restore do", "what is there now", "what changed",
]  # fmt: skip
READS = [name for name in BLOCKS if not name.startswith("resume")]


@dataclass(frozen=True)
class Block:
    """
    :param output: what a block printed
    :param code: exit code of its last command
    :param done: operations that the emulator started meanwhile
    """

    output: str
    code: int
    done: list[tuple[str, str]]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


@pytest.fixture(scope="module")
def archive(azurite, shared_emulator):
    with azurite.client() as client:
        yield Archive(client, f"catalog-{uuid4().hex}", shared_emulator)


def key(name: str) -> ServiceKey:
    return ServiceKey(SUBSCRIPTION, ServiceRef(CLOUD_SERVICE, name))


@pytest.fixture(scope="module")
def backup(archive) -> str:
    """The newest backup of the service: after it a partner was edited, and a run ended that had suspended it."""
    now = datetime.now(UTC)
    started = now - timedelta(hours=24, minutes=37)
    when = {"started_at": started, "finished_at": started + timedelta(minutes=6), "label": None}
    taken = archive.backed_up(backup=backup_name(key(NAME), started), **when)
    archive.catalog.record_inventory(taken.container, archive.inventory())
    archive.backed_up("ContosoRetail", backup=backup_name(key("ContosoRetail"), started), **when)
    partner = archive.emulator.admin("GET", f"/services/{NAME}")["content"]["partners"][0]
    edited = partner | {"Description": "edited since the backup"}
    archive.emulator.admin("POST", f"/services/{NAME}/content", {"partners": [edited]})
    run = Run("biztalk_nightly_backup", "scheduled__2026-11-25T01:00:00+00:00", "3f0a11bc")
    archive.suspended(run=run, minutes_left=-22)
    archive.emulator.force("ContosoRetail", "Suspended")
    return taken.container


@pytest.fixture(scope="module")
def environment(archive, azurite, backup, tmp_path_factory) -> dict[str, str]:
    """The variables that the document requires; Airflow cannot be imported."""
    folder = tmp_path_factory.mktemp("without-airflow")
    (folder / "airflow.py").write_text("raise ImportError('Airflow is not available.')\n")
    (folder / "acs-key").write_text(archive.known()["access_control"]["key"])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return (
        kept
        | management_environment(archive.emulator)
        | storage_environment(azurite, archive.container)
        | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "plugins")]),
            "BIZTALK_ACS_KEY_FILE": str(folder / "acs-key"),
            "BIZTALK_ENDPOINT": archive.emulator.data_url,
            "SERVICE": SERVICE,
            "QUIESCED": QUIESCED,
            "BACKUP": backup,
        }
    )


@pytest.fixture(scope="module")
def blocks(archive, environment, tmp_path_factory) -> dict[str, Block]:
    """Every marked block of the document, after it was run."""
    emulator, blocks = archive.emulator, {}
    shell = Shell(environment, tmp_path_factory.mktemp("break-glass"), careful=False)
    try:
        for name, text in MARKED.findall(DOCUMENT.read_text()):
            before = last_seq(emulator)
            output = shell.run(name, f'{text}echo "[ended with $?]"')
            entries = emulator.journal(after=before, kind="operation")
            done = [(each["operation"], each["service"]) for each in entries if each["event"] == "started"]
            blocks[name] = Block(CODE.sub("", output), int(CODE.search(output)[1]), done)
    finally:
        shell.close()
    return blocks


def test_the_blocks_are_in_the_expected_order():
    assert [name for name, _ in MARKED.findall(DOCUMENT.read_text())] == BLOCKS


def test_its_commands_are_those_of_the_library_alone():
    lines = [line for _, text in MARKED.findall(DOCUMENT.read_text()) for line in text.splitlines()]
    assert all(line.startswith(("python -m biztalk_services ", "    ")) for line in lines)


def test_what_is_suspended_and_by_whom(blocks):
    status = blocks["what is suspended"]
    assert status.code == 1
    (line,) = [line for line in status.lines if line.startswith(SERVICE)]
    assert "Suspended" in line
    assert "DUE since" in line
    assert status.lines[-1].startswith(f"Due: {SERVICE}.")


def test_what_is_due_is_resumed_and_nothing_else(blocks):
    resumed = blocks["resume what is due"]
    assert (resumed.code, resumed.done) == (0, [("resume", NAME)])
    assert f"{SERVICE} is Active." in resumed.lines


def test_a_service_that_is_named_is_resumed(blocks):
    resumed = blocks["resume one"]
    assert (resumed.code, resumed.done) == (0, [("resume", "ContosoRetail")])
    assert blocks["check again"].code == 0
    assert "Suspended" not in blocks["check again"].output


@pytest.mark.parametrize("name", READS)
def test_reading_changes_nothing(blocks, name):
    assert blocks[name].done == []


def test_which_backups_there_are(blocks, backup):
    listed = blocks["which backups"]
    assert listed.code == 0
    assert [line.split()[0].rpartition("-2")[0][:6] for line in listed.lines] == ["", "contos", "contos"]
    assert json.loads(blocks["one backup"].output)["container"] == backup


def test_the_backup_is_whole(blocks, backup):
    assert blocks["is it whole"].code == 0
    assert "were read back and are what was recorded." in blocks["is it whole"].output


def test_the_plan_names_what_would_be_lost(blocks, backup):
    plan = blocks["what would a restore do"]
    assert plan.code == 0
    assert f"as {SERVICE} (standard" in plan.lines[0]
    assert "edited since the backup" in plan.output


def test_what_changed_since_the_backup(blocks):
    assert blocks["what is there now"].code == 0
    assert blocks["what changed"].code == 1
    assert "edited since the backup" in blocks["what changed"].output


def test_the_table_of_exit_codes_names_all_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^ {4}([a-z-]+)\b", capsys.readouterr().out, re.MULTILINE)
    table = re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert table == commands
