"""The restore runbook works."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from stack.settings import STORAGE_ACCOUNT
from tests.documents import MARKED
from tests.system.runbook import AGREEMENT, CHANGED, CLOUD_SERVICE, DRILL, RUNBOOK, SERVICE, Block, follow
from tests.system.world import Night, World, fits_descriptor

ORDER = [
    "prepare", "check", "choose", "plan", "start", "approve", "follow", "record", "ranges", "advance", "resume",
    "compare", "drill", "delete the drill", "reject",
]  # fmt: skip
REPLACED = ["suspend", "backup", "delete", "restore"]


@pytest.fixture(scope="module")
def blocks(world: World, good_night: Night, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Block]:
    """Every block, after it was run."""
    return follow(world, tmp_path_factory.mktemp("runbook"))


@pytest.fixture(scope="module")
def report(blocks) -> dict[str, Any]:
    """The report of the run."""
    return json.loads(blocks["follow"].output.partition("\n}")[0] + "}")


@pytest.fixture(scope="module")
def record(blocks, world: World) -> dict[str, Any]:
    """The record of the restore in the catalog."""
    (kept,) = world.catalog("restores", SERVICE).values()
    return kept


@pytest.fixture(scope="module")
def backup(good_night: Night) -> str:
    """Name of the backup that the runbook chooses."""
    return good_night.backup(SERVICE)


def test_the_blocks_are_in_the_expected_order():
    assert [name for name, _ in MARKED.findall(RUNBOOK.read_text())] == ORDER


def test_its_commands_need_only_bash_curl_python_and_library():
    text = "\n".join(text for _, text in MARKED.findall(RUNBOOK.read_text()))
    assert not re.search(r"\b(jq|az|sudo|airflow [a-z]|pip|wget|xmllint)\s", text)


def test_checking_lists_services_and_backups(blocks, backup):
    assert f"{SERVICE} Active" in blocks["check"].lines
    assert any(line.startswith(f"{backup}\t") and "drained" in line for line in blocks["check"].lines)
    assert json.loads(blocks["choose"].output)["agreements"] > 0


@pytest.mark.parametrize("name", ["prepare", "check", "choose", "plan", "start", "record", "ranges", "compare"])
def test_reading_changes_nothing(blocks, name):
    assert blocks[name].operations == []


def test_the_plan_alone_can_be_read(blocks, backup):
    plan = blocks["plan"]
    assert f"## Restore {STORAGE_ACCOUNT}/{backup} as {CLOUD_SERVICE}/{SERVICE}" in plan.output
    for heading in ("Steps", "Data loss and manual follow-up", "Rules"):
        assert f"### {heading}" in plan.output
    assert plan.lines[-1] == "plan only"


def test_the_run_waits_for_a_person_and_shows_them_the_plan(blocks):
    assert blocks["start"].lines[0] == "awaiting_input"
    assert "### Steps" in blocks["start"].output
    assert re.fullmatch("[0-9a-f]{64}", blocks["start"].lines[-1])


def test_after_approval_it_is_backed_up_deleted_and_restored(blocks, report, backup, world):
    assert "Approve" in blocks["approve"].output
    assert (report["outcome"], report["state"]) == ("restored", "Suspended")
    assert report["backup"] == f"{STORAGE_ACCOUNT}/{backup}"
    assert report["differences"] == []
    assert blocks["approve"].operations + blocks["follow"].operations == REPLACED
    endings = [each for each in world.emulator.journal(service=SERVICE, kind="operation") if each["event"] == "ended"]
    assert {each["status"] for each in endings} == {"Succeeded"}
    assert f"{SERVICE} Suspended" in blocks["follow"].lines


def test_the_record_has_approver_plan_and_duration(blocks, record):
    assert blocks["record"].lines[0] == "restored"
    assert record["approved_by"] == "Anonymous"
    assert record["plan"]["hash"] == blocks["start"].lines[-1]
    assert record["seconds"] > 1


def test_the_existing_service_was_backed_up_before_deletion(record, world):
    run_id = record["run"]["run_id"]
    (safety,) = [each for each in world.catalog("references", SERVICE).values() if each["run"]["run_id"] == run_id]
    assert safety["label"] == f"before the restore {run_id}"
    assert fits_descriptor(world.content(safety["container"]), safety["container"])


def test_no_partner_receives_a_control_number_twice(report, world):
    assert report["numbers"]
    assert all(row["done"] and row["next"] == row["highest"] + 101 for row in report["numbers"])
    world.pass_messages(SERVICE)
    assert world.duplicates(SERVICE) == []


def test_control_numbers_can_be_advanced_by_hand(blocks):
    assert any(line.startswith(f"{AGREEMENT}\tInterchange\t") for line in blocks["ranges"].lines)
    assert blocks["advance"].lines[-1] == "50000"


def test_the_service_is_resumed_by_hand(blocks):
    assert blocks["resume"].operations == ["resume"]
    assert blocks["resume"].state == "Active"


def test_later_changes_show_in_plan_and_inventory_diff(blocks, world):
    for name in ("plan", "compare"):
        assert CHANGED in blocks[name].output
    assert len(blocks["compare"].lines) == 2
    assert CHANGED not in str(world.service(SERVICE)["content"]["partners"])


def test_the_drill_is_restored_beside_the_service_and_deleted(blocks, world):
    assert "restored" in blocks["drill"].lines
    assert blocks["drill"].operations == ["restore"]
    assert blocks["drill"].state == "Active"
    assert blocks["delete the drill"].operations == ["delete"]
    assert world.state(DRILL) is None


def test_a_rejected_plan_changes_nothing(blocks):
    assert blocks["reject"].lines[-1] == "refused"
    assert blocks["reject"].operations == []
    assert blocks["reject"].state == "Active"
