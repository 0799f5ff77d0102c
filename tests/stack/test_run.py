"""A run as it is shown: its steps, its table and its exit code, from recorded responses of Airflow and the emulator."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from stack.progress import Progress, steps_table
from stack.report import result_table, shortcomings
from stack.steps import Step, current_steps, failed_tasks

RECORDED = json.loads((Path(__file__).parent / "recorded/nightly_run.json").read_text())
FINDING, CHECKING, DRAINING, BACKING_UP, VERIFYING, SECOND_WAVE, ENDED = RECORDED["snapshots"]
FLEET = ["contosoeurope", "contosonordic", "contosoorders", "ContosoRetail"]


def shown(snapshot) -> dict[str, tuple[str, str]]:
    return {step.service: (step.task, step.state) for step in current_steps(snapshot)}


def text(renderable) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


# Steps


def test_before_the_services_are_known_the_common_task_is_shown():
    assert shown(FINDING) == {"(all services)": ("find_services", "running")}


def test_services_are_named_and_sorted_without_regard_to_case():
    assert [step.service for step in current_steps(CHECKING)] == FLEET


def test_each_service_is_where_it_is():
    assert shown(DRAINING)["contosoeurope"] == ("wait_until_drained", "running")
    assert shown(DRAINING)["contosoorders"] == ("wait_for_slot", "waiting")


def test_concurrent_tasks_are_shown_together_since_the_first():
    (step,) = [step for step in current_steps(BACKING_UP) if step.service == "ContosoRetail"]
    assert (step.task, step.state) == ("back_up + recheck_batches", "running")
    assert step.since == datetime(2026, 11, 28, 22, 17, 56, 122660, tzinfo=UTC)


def test_at_the_end_every_service_is_done():
    assert {state for _, state in shown(ENDED).values()} == {"done"}
    assert failed_tasks(ENDED) == []


def test_a_failed_task_is_shown_although_others_end_later():
    broken = copy.deepcopy(ENDED)
    for instance in broken:
        if instance["map_index"] == 0 and instance["task_id"] == "service.back_up":
            instance["state"] = "failed"
        if instance["map_index"] == 0 and instance["task_id"] == "service.wait_for_backup":
            instance["state"] = "upstream_failed"
    assert shown(broken)["contosoeurope"] == ("back_up", "failed")
    assert failed_tasks(broken) == ["back_up (contosoeurope)"]


def test_a_retry_that_is_due_is_shown():
    retried = copy.deepcopy(CHECKING)
    for instance in retried:
        if instance["task_id"] == "service.check_backup":
            instance["state"] = "up_for_retry"
    assert shown(retried)["ContosoRetail"] == ("check_backup", "will be tried again")


def test_other_mapped_steps_are_of_the_whole_run():
    further = [DRAINING[0] | {"task_id": "start_further_runs", "map_index": index} for index in range(9)]
    running, failed = ([each | {"state": state} for each in further] for state in ("running", "failed"))
    steps = current_steps([*DRAINING, *running])
    assert [step.service for step in steps] == [*FLEET, "(all services)"]
    assert (steps[-1].task, steps[-1].state) == ("start_further_runs", "running")
    assert failed_tasks([*DRAINING, *failed]) == ["start_further_runs"] * 9


# Display


def test_the_live_table_has_service_step_state_and_since_when():
    since = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    table = text(steps_table([Step("contoso", "back_up", "waiting", since)], now=since.replace(second=42)))
    assert table.splitlines()[0].split() == ["service", "step", "state", "since"]
    assert table.splitlines()[1].split()[:3] == ["contoso", "back_up", "waiting"]
    assert f"{since.astimezone():%H:%M:%S} (42 s)" in table


def test_without_a_terminal_each_change_is_one_plain_line():
    console = Console(file=io.StringIO(), width=200)
    with Progress(console) as progress:
        for snapshot in RECORDED["snapshots"]:
            progress.show(current_steps(snapshot))
            progress.show(current_steps(snapshot))
    lines = console.file.getvalue().splitlines()
    assert "\x1b" not in console.file.getvalue()
    changes = [line.split(maxsplit=1)[1] for line in lines]
    assert len(changes) == len(set(changes))
    assert changes[0] == "(all services)  find_services: running"
    for service in FLEET:
        assert f"{service}  publish_reference: done" in changes


def test_names_with_brackets_are_shown_as_they_are():
    step = Step("[/x/y]", "[contoso]", ":smile:", None)
    assert text(steps_table([step], datetime.now(UTC))).splitlines()[1].split() == ["[/x/y]", "[contoso]", ":smile:"]
    console = Console(file=io.StringIO(), width=200)
    with Progress(console) as progress:
        progress.show([step])
    assert console.file.getvalue().endswith("  [/x/y]  [contoso]: :smile:\n")


def test_on_a_terminal_nothing_of_the_live_table_is_left_behind():
    console = Console(file=io.StringIO(), width=200, force_terminal=True, force_interactive=True)
    with Progress(console) as progress:
        progress.show(current_steps(DRAINING))
        assert "wait_until_drained" in console.file.getvalue()
    # Rich moves up and erases every line of a transient display.
    assert console.file.getvalue().count("\x1b[2K") >= len(FLEET)


# Result


def test_the_result_table_has_a_row_for_every_service():
    table = text(result_table(RECORDED["report"]))
    lines = {line.split()[0]: line for line in table.splitlines()[1:]}
    assert set(lines) == {*FLEET, "contosodev", "contosotrial"}
    assert lines["contosoeurope"].split()[1:4] == ["backed", "up", RECORDED["report"][0]["backup"]]
    assert "Active" in lines["contosoeurope"]
    assert " s " in lines["contosoeurope"]
    assert "no backup in this edition" in lines["contosodev"]


def test_the_result_table_has_what_failed():
    row = RECORDED["report"][0] | {
        "outcome": "failed",
        "failed_step": "back_up",
        "reason": "The account key was refused.",
        "backup": None,
        "items": None,
        "suspended_seconds": None,
        "state": None,
    }
    table = text(result_table([row]))
    assert "failed at back_up: The account key was refused." in table
    assert "unknown" in table


def test_the_result_table_shows_brackets_as_they_are():
    row = RECORDED["report"][0] | {"failed_step": "back_up", "reason": "[/x/y] of [contoso]"}
    assert "at back_up: [/x/y] of [contoso]" in text(result_table([row]))


# Exit code


def changed(rows, name, **fields):
    key = "service" if "service" in rows[0] else "name"
    return [row | fields if row[key] == name else row for row in rows]


def test_a_run_without_fault_has_no_shortcomings():
    assert shortcomings(RECORDED["report"], RECORDED["services"]) == []


def test_an_inactive_service_counts_whatever_the_report_has():
    services = changed(RECORDED["services"], "contosonordic", state="Suspended")
    (fault,) = shortcomings(RECORDED["report"], services)
    assert "contosonordic is Suspended by the emulator's record" in fault


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "failed", "reason": "The account key was refused."},
        {"outcome": "no backup in this edition"},
        {"backup": None},
    ],
)
def test_a_service_without_a_backup_counts(fields):
    (fault,) = shortcomings(changed(RECORDED["report"], "ContosoRetail", **fields), RECORDED["services"])
    assert fault.startswith("ContosoRetail was not backed up")


def test_a_service_that_the_report_forgets_counts():
    report = [row for row in RECORDED["report"] if row["service"] != "contosoorders"]
    assert shortcomings(report, RECORDED["services"]) == ["contosoorders is missing in the report."]


def test_an_empty_report_is_no_success():
    assert len(shortcomings([], RECORDED["services"])) == len(FLEET)


def test_a_report_about_an_unknown_service_counts():
    report = [*RECORDED["report"], RECORDED["report"][0] | {"service": "ghost"}]
    assert shortcomings(report, RECORDED["services"]) == [
        "ghost is in the report, but the emulator has no such service."
    ]


@pytest.mark.parametrize("edition", ["free", "developer"])
def test_editions_without_backups_do_not_count(edition):
    services = [*RECORDED["services"], {"name": "other", "edition": edition, "state": "Stopped"}]
    assert shortcomings(RECORDED["report"], services) == []
