"""`make backup` from the run to its exit code, with recorded responses of Airflow and the emulator."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stack import backup, watch
from stack.backup import run_backup
from stack.errors import StackError
from tests.stack import nights
from tests.stack.nights import RECORDED, RUN_ID, Airflow, instance, jobs, recorded, run

FOREIGN = "Storage reported [/x/y] about [contoso] :smile: [red]."


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time passes only between two looks."""
    passed = [0.0]
    for module in (watch, backup):
        monkeypatch.setattr(
            module,
            "time",
            SimpleNamespace(
                monotonic=lambda: passed[0], sleep=lambda seconds: passed.__setitem__(0, passed[0] + seconds)
            ),
        )


@pytest.fixture(autouse=True)
def estimates(monkeypatch):
    """What the estimates say; the runs that they were asked for are in ``asked``."""

    class Estimates:
        sentence = "Ends about 03:40 to 03:55 UTC, by 6 earlier nights."
        asked: list[str] = []  # noqa: RUF012

        def __init__(self, stack, run_id):
            self.asked.append(run_id)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.asked.append("ended")

        def latest(self):
            return self.sentence

    monkeypatch.setattr(Estimates, "asked", [])
    monkeypatch.setattr(backup, "Estimate", Estimates)
    return Estimates


def stack(report, looks=None, **more):
    airflow = Airflow(looks or recorded(), report=report, **more)
    emulator = SimpleNamespace(services=lambda: RECORDED["services"])
    return SimpleNamespace(airflow=airflow, emulator=emulator, url=airflow.url)


def test_a_run_without_fault_ends_with_zero(capsys):
    assert run_backup(stack(RECORDED["report"])) == 0
    assert "Every service that can have a backup has a new, verified one" in capsys.readouterr().out


def test_a_failed_run_ends_with_one_although_the_report_is_fine(capsys):
    assert run_backup(stack(RECORDED["report"], state="failed")) == 1
    assert "The run ended as failed; failed tasks: none." in capsys.readouterr().out


def test_what_failed_is_named(capsys):
    look = nights.Look(
        jobs(2),
        parent=[{"task_id": "back_up_services", "state": "failed", "start_date": None}],
        runs=[run(0, "failed"), run(1, "success")],
        instances=[instance(0, "back_up", "failed")],
    )
    assert run_backup(stack(RECORDED["report"], [look], state="failed")) == 1
    assert "failed tasks: back_up_services, back_up (service000)." in capsys.readouterr().out


def test_how_far_the_night_is_and_when_it_ends(capsys, estimates):
    night = [
        nights.Look(jobs(60), runs=[run(each, "success") for each in range(done)] + [run(done, "running")])
        for done in range(40)
    ]
    run_backup(stack(RECORDED["report"], night))
    out = capsys.readouterr().out
    assert f"0 of 60 services done, 1 at work, 59 waiting. {estimates.sentence}" in out
    assert "service001" not in out
    assert estimates.asked == [RUN_ID, "ended"]


def test_a_night_of_many_services_is_looked_at_seldom():
    few, many = (
        stack(RECORDED["report"], [nights.Look(jobs(services), runs=[run(0, "running")])] * 40) for services in (4, 60)
    )
    for each in (few, many):
        run_backup(each)
    counted = [sum(state == "running" for _, state in each.airflow.requests) for each in (few, many)]
    assert counted == [40, 8]


def test_messages_of_others_are_printed_unchanged(capsys):
    row = RECORDED["report"][0] | {"outcome": "failed", "failed_step": "back_up", "reason": FOREIGN, "backup": None}
    assert run_backup(stack([row, *RECORDED["report"][1:]])) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert f"failed at back_up: {FOREIGN}" in output
    assert f"was not backed up: {FOREIGN}" in output


@pytest.mark.parametrize("dag_id", ["biztalk_nightly_backup", "biztalk_backup"])
def test_a_paused_dag_is_refused_before_a_run_is_made(dag_id):
    paused = stack(RECORDED["report"], paused=(dag_id,))
    with pytest.raises(StackError, match=rf"{dag_id} is paused.*unpause it at http"):
        run_backup(paused)
    assert not paused.airflow.triggered
