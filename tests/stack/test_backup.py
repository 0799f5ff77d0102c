"""`make backup` from the run to its exit code, with recorded responses of Airflow and the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack.backup import run_backup
from stack.errors import StackError

RECORDED = json.loads((Path(__file__).parent / "recorded/nightly_run.json").read_text())
FOREIGN = "Storage reported [/x/y] about [contoso] :smile: [red]."


def stack(report, *, state="success", paused=False):
    triggered = []
    airflow = SimpleNamespace(
        url="http://127.0.0.1:1",
        triggered=triggered,
        wait_for_dag=lambda dag_id: None,
        get=lambda path: {"is_paused": paused},
        trigger=lambda dag_id: triggered.append(dag_id) or "run-1",
        run=lambda dag_id, run_id: {"state": state},
        healthy=lambda: True,
        task_instances=lambda dag_id, run_id: RECORDED["snapshots"][-1],
        xcom=lambda dag_id, run_id, task_id: report,
    )
    emulator = SimpleNamespace(services=lambda: RECORDED["services"])
    return SimpleNamespace(airflow=airflow, emulator=emulator, url=airflow.url)


def test_a_run_without_fault_ends_with_zero(capsys):
    assert run_backup(stack(RECORDED["report"])) == 0
    assert "Every service that can have a backup has a new, verified one" in capsys.readouterr().out


def test_a_failed_run_ends_with_one_although_the_report_is_fine(capsys):
    assert run_backup(stack(RECORDED["report"], state="failed")) == 1
    assert "The run ended as failed; failed tasks: none." in capsys.readouterr().out


def test_messages_of_others_are_printed_unchanged(capsys):
    row = RECORDED["report"][0] | {"outcome": "failed", "failed_step": "back_up", "reason": FOREIGN, "backup": None}
    assert run_backup(stack([row, *RECORDED["report"][1:]])) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert f"failed at back_up: {FOREIGN}" in output
    assert f"was not backed up: {FOREIGN}" in output


def test_a_paused_dag_is_refused_before_a_run_is_made(capsys):
    paused = stack(RECORDED["report"], paused=True)
    with pytest.raises(StackError, match=r"biztalk_nightly_backup is paused.*unpause it at http"):
        run_backup(paused)
    assert not paused.airflow.triggered
