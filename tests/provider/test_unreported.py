"""The alert for a run that ended without its report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from biztalk_services.provider.unreported import UnreportedNotifier

SUBJECT = "A night ended without its report"
CONTEXT = {"dag": SimpleNamespace(dag_id="nightly"), "run_id": "manual__1"}
"""What Airflow gives the callback of a run that it gave up: no task instance, no run."""


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Whether there is an alert, where the report has this state and has left this."""

    def alerts(state: str | None, left: dict[str, Any], context: dict[str, Any] = CONTEXT) -> bool:
        states = {"manual__1": {} if state is None else {"report": state}}

        def states_of(*, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
            assert (dag_id, task_ids, run_ids) == ("nightly", ["report"], ["manual__1"])
            return states

        def left_by(*, key: str, dag_id: str, task_id: str, run_id: str) -> Any:
            assert (dag_id, task_id, run_id) == ("nightly", "report", "manual__1")
            return left.get(key)

        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(states_of))
        monkeypatch.setattr(XCom, "get_one", staticmethod(left_by))
        UnreportedNotifier(subject=SUBJECT).notify(context)
        return f"{SUBJECT} (DAG nightly, run manual__1)" in "".join(capfd.readouterr())

    return alerts


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ("success", {"return_value": []}),
        ("failed", {"return_value": [{}], "failure": "1 of 1 services was not backed up."}),
        ("failed", {"failure": "The report could not be made (KeyError)."}),
    ],
)
def test_a_report_that_ended_by_itself_needs_no_other_alert(state, left, alerts):
    assert not alerts(state, left)


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_report_that_a_person_marked_is_alerted(state, alerts):
    assert alerts(state, {})


@pytest.mark.parametrize("state", ["skipped", "removed", "upstream_failed", None, "running", "up_for_retry"])
@pytest.mark.parametrize("left", [{}, {"failure": "Of an earlier try."}])
def test_a_report_that_did_not_end_is_alerted(state, left, alerts):
    assert alerts(state, left)


def test_the_usual_context(alerts):
    run = SimpleNamespace(dag_id="nightly", run_id="manual__1")
    assert alerts("skipped", {}, CONTEXT | {"dag_run": run, "ti": None})
