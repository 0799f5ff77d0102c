"""Every option with every kind of bad value: all DAGs load, each tells of its own bad options, and no other's."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.options import BACKUP, BACKUP_AGE, CHECK, EVERY_DAG, NIGHTLY, RESTORE, WATCHDOG
from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.misconfigured import TAG, page
from biztalk_services.provider.settings import Settings, all_options

from tests.conftest import ROOT

OPTIONS = {option.name: option for option in all_options()}
VALUES = ("", "0", "-1", "0.5", "1000000000", "text", '"text"', "a b;c")
FIRST = {
    NIGHTLY: "find_services",
    RESTORE: "plan",
    WATCHDOG: "find_suspensions",
    BACKUP_AGE: "check_backup_ages",
    CHECK: "check_connections",
}
LAST = "refuse_bad_options"


def parsed(*dag_ids: str) -> dict[str, DAG]:
    """DAGs out of their files."""
    return {dag_id: runpy.run_path(str(ROOT / f"dags/{dag_id}.py"))["dag"] for dag_id in dag_ids or EVERY_DAG}


def stored(dag: DAG) -> dict[str, Any]:
    """A DAG as Airflow stores it, without what tells of bad options."""
    serialized = DagSerialization.to_dict(dag)["dag"]
    tasks = {task["__var"]["task_id"]: task["__var"] for task in serialized["tasks"]}
    if tasks.pop(LAST, None):
        tasks["check_suspension"].pop("downstream_task_ids")
    return {
        "tasks": tasks,
        "timetable": serialized["timetable"],
        "params": dag.params.dump(),
        "deadlines": [each.interval for each in dag.deadline or ()],
    }


@pytest.fixture(scope="module")
def default() -> dict[str, dict[str, Any]]:
    return {dag_id: stored(dag) for dag_id, dag in parsed().items()}


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_option(name: str, value: str, *dag_ids: str) -> dict[str, DAG]:
        monkeypatch.setenv(f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}", value)
        return parsed(*dag_ids)

    return set_option


@pytest.mark.parametrize("name", OPTIONS)
def test_every_dag_loads_and_tells_of_its_own_bad_options(name, setting, default):
    for value in VALUES:
        dags = setting(name, value)
        problems = Settings.load().problems
        is_bad = name in {each.option for each in problems}
        for dag_id, dag in dags.items():
            owned = [str(each) for each in problems if dag_id in each.dags]
            assert bool(owned) == (is_bad and dag_id in OPTIONS[name].metadata["dags"])
            assert (dag.doc_md or "").startswith("### Misconfigured") == bool(owned)
            assert all(f"Option {name} is ".replace("_", r"\_") in dag.doc_md for _ in owned)
            assert (TAG in dag.tags) == bool(owned)
            told = dag.task_dict.get(LAST, dag.task_dict[FIRST[dag_id]])
            assert list(getattr(told, "problems", ())) == owned
            kept = stored(dag)
            assert kept == default[dag_id] or (value and not is_bad)


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if NIGHTLY in option.metadata["dags"]])
def test_the_run_of_a_service_is_refused_for_the_options_of_the_night(name, setting):
    dag = setting(name, "a b;c", BACKUP)[BACKUP]
    owned = [str(each) for each in Settings.load().problems if NIGHTLY in each.dags]
    assert dag.task_dict["check_backup"].problems == owned
    assert dag.doc_md.startswith("### Misconfigured") == bool(owned)


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if WATCHDOG not in option.metadata["dags"]])
def test_no_option_of_others_changes_the_watchdog(name, setting, default):
    for value in ("0", '"text"', str(OPTIONS[name].metadata["maximum"] or OPTIONS[name].metadata["example"])):
        assert stored(setting(name, value, WATCHDOG)[WATCHDOG]) == default[WATCHDOG]


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if WATCHDOG in option.metadata["dags"]])
def test_with_its_own_bad_options_it_is_red_at_its_end(name, setting):
    last = setting(name, "a b;c", WATCHDOG)[WATCHDOG].task_dict[LAST]
    assert last.upstream_task_ids == {"check_suspension"}
    assert (last.trigger_rule, last.retries) == ("all_done", 0)
    (callback,) = last.on_failure_callback
    assert isinstance(callback, FirstFailureNotifier)
    with pytest.raises(RefusedError, match=rf"\[options\] Option {name} is ") as caught:
        last.execute({})
    assert caught.value.advice == "stop"


class TestSchedule:
    def test_it_is_shown_back_with_its_next_five_times(self, setting):
        text = setting("schedule", "30 4,16 * * *", NIGHTLY)[NIGHTLY].doc_md
        assert "At 04:30 and 16:30 (`30 4,16 * * *`, Europe/Berlin). Its next times:" in text
        assert text.partition("Its next times:")[2].count("\n- ") == 5

    def test_none_is_no_schedule(self, setting):
        dag = setting("schedule", "none", NIGHTLY)[NIGHTLY]
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable.can_be_scheduled is False
        assert TAG not in dag.tags
        assert "started by hand only" in dag.doc_md

    @pytest.mark.parametrize("preset", ["@daily", "@midnight"])
    def test_presets_are_taken(self, preset, setting):
        dag = setting("schedule", preset, NIGHTLY)[NIGHTLY]
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable.can_be_scheduled
        assert f"At 00:00 (`{preset}`, Europe/Berlin)" in dag.doc_md

    def test_one_that_leaves_a_gap_is_refused_by_its_length(self, setting):
        dag = setting("schedule", "0 2 31 * *", NIGHTLY)[NIGHTLY]
        assert "leaves 1465 hours, from Monday 31 August" in dag.doc_md
        assert dag.timetable.expression == Settings().schedule


def test_markup_in_a_value_stays_text():
    assert r"is '0 2 \* \* \*\_\[x\](y)'" in page("### Title", ["Option schedule is '0 2 * * *_[x](y)'."])
