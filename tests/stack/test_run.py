"""A run as it is shown: its steps, its table and its exit code, from recorded responses of Airflow and the emulator."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from stack import progress as shown_progress
from stack.night import Night
from stack.progress import Progress, steps_table
from stack.report import result_table, shortcomings
from stack.steps import Step, current_steps, failed_tasks
from tests.stack.nights import FLEET, RECORDED, RUN_ID, Airflow, recorded

SINCE = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def text(renderable) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


# Steps of one run


def instance(task_id: str, state: str | None, seconds: float | None = 0) -> dict:
    since = None if seconds is None else (SINCE + timedelta(seconds=seconds)).isoformat()
    return {"task_id": task_id, "state": state, "start_date": since}


def test_the_task_that_is_under_way_is_shown():
    instances = [instance("plan", "success"), instance("approval", "awaiting_input", 5), instance("report", None, None)]
    assert current_steps(instances, whole_run="orders") == [
        Step("orders", "approval", "waiting for a person", SINCE + timedelta(seconds=5))
    ]


def test_where_nothing_is_under_way_nothing_is_shown():
    assert current_steps([instance("plan", "success"), instance("approval", "scheduled", None)]) == []


def test_concurrent_tasks_are_shown_together_since_the_first():
    instances = [instance("replace.suspend", "running", 9), instance("replace.plan", "deferred", 3)]
    assert current_steps(instances) == [
        Step("(all services)", "plan + suspend", "waiting + running", SINCE + timedelta(seconds=3))
    ]


def test_a_retry_that_is_due_is_shown():
    (step,) = current_steps([instance("suspend", "up_for_retry")])
    assert step.state == "will be tried again"


def test_failed_tasks_are_named():
    instances = [instance("b.suspend", "failed"), instance("plan", "failed"), instance("report", "upstream_failed")]
    assert failed_tasks(instances) == ["plan", "suspend"]


# Display


def test_the_live_table_has_service_step_state_and_since_when():
    table = text(steps_table([Step("contoso", "back_up", "waiting", SINCE)], now=SINCE.replace(second=42)))
    assert table.splitlines()[0].split() == ["service", "step", "state", "since"]
    assert table.splitlines()[1].split()[:3] == ["contoso", "back_up", "waiting"]
    assert f"{SINCE.astimezone():%H:%M:%S} (42 s)" in table


def test_without_a_terminal_each_change_is_one_plain_line():
    console = Console(file=io.StringIO(), width=200)
    airflow = Airflow(recorded())
    night = Night(airflow, RUN_ID)
    with Progress(console) as progress:
        for _ in airflow.looks:
            airflow.run("", "")
            for _ in range(2):
                progress.show([*night.look().steps, *current_steps(airflow.now.parent)])
    lines = console.file.getvalue().splitlines()
    assert "\x1b" not in console.file.getvalue()
    changes = [line.split(maxsplit=1)[1] for line in lines]
    assert changes[0] == "(all services)  find_services: running"
    for service in FLEET:
        of_service = [change for change in changes if change.startswith(f"{service} ")]
        assert of_service[-1] == f"{service}  biztalk_backup: done"
        assert all(change != after for change, after in itertools.pairwise(of_service))


def test_without_a_terminal_how_far_the_whole_is_stands_there_now_and_then(monkeypatch):
    console, clock = Console(file=io.StringIO(), width=200), [0.0]
    monkeypatch.setattr(shown_progress.time, "monotonic", lambda: clock[0])
    with Progress(console) as progress:
        for second in range(60):
            clock[0] = second
            progress.show([], f"{second // 5} of 60 [done].")
    lines = [line.split(maxsplit=1)[1] for line in console.file.getvalue().splitlines()]
    assert lines == ["0 of 60 [done].", "3 of 60 [done].", "6 of 60 [done].", "9 of 60 [done]."]


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
        progress.show([Step(each, "back_up", "running", SINCE) for each in FLEET], "0 of 4 done.")
        assert "back_up" in console.file.getvalue()
        assert "0 of 4 done." in console.file.getvalue()
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
