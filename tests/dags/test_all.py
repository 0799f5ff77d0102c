"""What holds for every DAG."""

from __future__ import annotations

import json

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseOperator
from airflow.serialization.serialized_objects import DagSerialization
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.provider.waiting import Waiting

from tests.conftest import ROOT
from tests.dags.processes import result_of

FILES = sorted((ROOT / "dags").glob("*.py"))


NEVER_REPEATED = (
    "replace.delete",
    "delete_without_backup.delete",
    "find_suspensions",
    "check_suspension",
    "check_backup_ages",
    "check_connections",
)
"""Nothing is tried again that deletes, nor what comes again in minutes, nor what a person looks at."""


def every_task(dags) -> list[BaseOperator]:
    return [task for dag in dags.dags.values() for task in dag.tasks]


def test_each_file_is_one_dag_of_its_name(dags):
    assert dags.import_errors == {}
    assert sorted(dags.dags) == [file.stem for file in FILES]
    assert dags.dags
    for dag_id, dag in dags.dags.items():
        assert dag.fileloc.endswith(f"/{dag_id}.py")


def test_each_is_explained_owned_and_found(dags):
    for dag in dags.dags.values():
        assert dag.doc_md
        assert dag.doc_md.lstrip().startswith("#")
        assert dag.description
        assert dag.dag_display_name != dag.dag_id
        assert "biztalk" in dag.tags
        assert dag.owner == "biztalk"


def test_each_is_free_of_cycles_and_has_no_catchup(dags):
    for dag in dags.dags.values():
        dag.check_cycle()
        assert dag.catchup is False


def test_each_has_params_that_its_own_form_accepts(dags):
    for dag in dags.dags.values():
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema.get("title"), name
            if param.has_value:
                param.resolve()


def test_no_task_carries_a_copy_of_the_form(dags):
    assert [task.task_id for task in every_task(dags) if task.params] == []


def test_each_survives_serialization(dags):
    for dag in dags.dags.values():
        once = DagSerialization.to_dict(dag)
        again = DagSerialization.from_dict(json.loads(json.dumps(once)))
        assert sorted(again.task_dict) == sorted(dag.task_dict)
        for task_id, task in dag.task_dict.items():
            assert again.task_dict[task_id].downstream_task_ids == task.downstream_task_ids


def test_parsing_twice_gives_the_same(dags):
    again = DagBag(dag_folder=ROOT / "dags")
    for dag_id, dag in dags.dags.items():
        assert DagSerialization.to_dict(again.dags[dag_id]) == DagSerialization.to_dict(dag)


def test_every_task_is_retried_as_its_errors_advise(dags):
    for task in every_task(dags):
        if not type(task).__module__.startswith("biztalk_services") or task.task_id in NEVER_REPEATED:
            continue
        # A retry of what begins in the triggerer polls on a worker first.
        assert task.retries >= (1 if task.start_from_trigger else 2), task.task_id
        policy = task.retry_policy
        assert policy.evaluate(BackupServiceError("Busy.", advice="retry"), 1, 5).action.value == "retry"


def test_every_wait_has_a_deadline(dags):
    waits = [task for task in every_task(dags) if isinstance(task, Waiting)]
    assert waits
    for task in waits:
        assert task.deadline_minutes, task.task_id


def test_no_connection_stands_in_a_dag(dags):
    for dag in dags.dags.values():
        text = json.dumps(DagSerialization.to_dict(dag))
        for secret in ("PRIVATE KEY", "AccountKey", "password", "127.0.0.1"):
            assert secret not in text


@pytest.fixture(scope="module")
def parsed() -> dict[str, object]:
    """What a fresh process holds after it parsed all DAGs, and how long that took."""
    program = """
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
began = time.process_time()
bag = DagBag(dag_folder=sys.argv[1])
took = time.process_time() - began
print("RESULT", json.dumps({"errors": bag.import_errors, "modules": sorted(sys.modules), "seconds": took}))
"""
    return result_of(program, str(ROOT / "dags"))


def test_parsing_loads_nothing_that_only_a_task_needs(parsed):
    assert parsed["errors"] == {}
    heavy = (
        "azure",
        "requests",
        "msal",
        "sqlite_utils",
        "biztalk_services.drivers.biztalk.wire.client",
    )
    assert [name for name in heavy if name in parsed["modules"]] == []
    archive = [name for name in parsed["modules"] if name.startswith("biztalk_services.archive.")]
    assert archive == ["biztalk_services.archive.errors"]
    assert "biztalk_services.provider.settings" in parsed["modules"]


def test_parsing_is_quick(parsed):
    assert parsed["seconds"] < 3
