"""Two Airflows with one storage account, one subscription, and runs of the same ids.

In one process they differ in what their Airflow variable holds. Two whole stacks are in tests/field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import AlreadyPublishedError
from biztalk_services.flows.backup_report import BACKED_UP, FAILED
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.model.run import RunState
from biztalk_services.model.steps import BackupJob
from biztalk_services.provider.base import TaskJournal, run_state
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.identity import VARIABLE, AirflowIdError, airflow_id
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator, FindSuspensionsOperator
from biztalk_services.provider.service_runs import service_run_id

from tests.archive.samples import reference
from tests.conftest import AIRFLOW_ID
from tests.provider.connections import NAME, SERVICE, SERVICE_KEY
from tests.provider.fakes import Run, StateStore
from tests.provider.walk import Night

BLUE, GREEN = "b10e0000", "64ee0000"
SAME = "scheduled__2026-01-01T02:00:00+00:00"


def run_of_night(airflow: str) -> RecordedRun:
    return RecordedRun("biztalk_nightly_backup", SAME, airflow)


def run_of_service(airflow: str) -> RecordedRun:
    job = BackupJob("biztalk_default", SERVICE, "any")
    return RecordedRun("biztalk_backup", service_run_id(SAME, job), airflow)


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


@pytest.fixture
def archive(connections: None, container: str) -> Archive:
    return open_archive(f"biztalk_backup_storage/{container}")


@pytest.fixture
def night(connections: None, clock: object, container: str) -> Callable[[str], Night]:
    """A night of one service, of the same ids in every Airflow."""
    return lambda airflow: Night(Run(run_id=SAME, airflow=airflow), NAME, container=container)


def decisions(airflow: str, container: str) -> list[str]:
    """What the watchdog of an Airflow decides, whose run of these ids has ended."""
    run, places = Run(airflow=airflow), {"archive": f"biztalk_backup_storage/{container}"}
    found = run.execute(FindSuspensionsOperator(task_id="find", **places), map_index=-1)
    return [run.execute(CheckSuspensionOperator(task_id="check", found=each, **places))["action"] for each in found]


def test_the_second_leaves_what_the_first_works_on_alone(night, container, archive, emulator, operations, before):
    first = night(BLUE)
    first.backup().until("back_up")
    lock, (record,) = archive.locks.of(SERVICE_KEY), archive.suspensions.list_open()[0]
    assert (lock.run, record.run) == (run_of_service(BLUE), run_of_service(BLUE))

    second = night(GREEN).all()
    (row,) = second.outcome
    assert (row["outcome"], row["failed_step"], row["backup"]) == (FAILED, "check_backup", None)
    assert f"is locked by run {lock.run.run_id} of biztalk_backup in Airflow {BLUE}" in row["reason"]
    assert decisions(GREEN, container) == ["leave"]
    assert archive.locks.of(SERVICE_KEY) == lock, "its report releases its own locks only"
    assert archive.suspensions.list_open() == ([record], [])
    assert emulator.state(NAME) == "Suspended"

    assert first.all().outcome[0]["outcome"] == BACKED_UP
    assert (archive.locks.of(SERVICE_KEY), archive.suspensions.list_open()) == (None, ([], []))
    assert [len(operations(each)) for each in ("suspend", "backup", "resume")] == [1, 1, 1]
    requests = emulator.journal(after=before, kind="request", service=NAME)
    ids = {each["client_request_id"] for each in requests if each["operation"] in ("suspend", "backup", "resume")}
    assert {each.partition(":")[0] for each in ids} == {BLUE}


def test_both_back_it_up_one_after_the_other(night, container, archive, operations):
    for airflow in (BLUE, GREEN):
        assert night(airflow).all().failure is None
    backups = archive.catalog.list_references(NAME)
    assert {each.run for each in backups} == {run_of_service(BLUE), run_of_service(GREEN)}
    assert len(operations("suspend")) == 2


def test_the_report_does_not_take_the_others_backup_for_its_own(night, container, archive):
    """One of this name, of a run of the same ids, without an XCom of the step that publishes."""
    own = night(BLUE).until("report")
    backup = own.backup()
    published = archive.catalog.read(NAME, backup.backup_name)
    blobs = archive.account.client.get_container_client(container)
    blobs.delete_blob(f"references/{NAME}/{published.container}.json")
    values = published.to_dict()
    values["run"]["airflow"] = GREEN
    archive.catalog.publish(BackupReference.from_dict(values))
    for place in [place for place in backup.run.xcoms if place[0] == "publish_reference"]:
        del backup.run.xcoms[place]
    backup.states["publish_reference"] = "failed"
    (row,) = own.report()
    assert (row["outcome"], row["failed_step"], row["backup"]) == (FAILED, "publish_reference", None)


def test_a_reference_of_the_others_run_is_not_adopted(archive):
    ours = reference()
    values = ours.to_dict()
    values["run"]["airflow"] = GREEN
    archive.catalog.publish(BackupReference.from_dict(values))
    with pytest.raises(AlreadyPublishedError):
        archive.catalog.publish(ours)
    archive.catalog.quarantine(BackupReference.from_dict(values), "It changed.")
    with pytest.raises(AlreadyPublishedError):
        archive.catalog.quarantine(ours, "It changed.")


@pytest.mark.parametrize("airflow", [GREEN, ""])
@pytest.mark.parametrize("here", ["active", "ended", "unknown"])
def test_what_is_known_of_the_others_run(airflow, here):
    """Nothing, whatever this Airflow knows of one of these ids."""
    run = Run(active_runs={SAME} if here == "active" else set(), unknown_runs={SAME} if here == "unknown" else set())
    assert run_state(run.context("find", -1)["ti"], run_of_night(airflow)) is RunState.UNKNOWN


def test_a_journal_entry_of_another_owner_does_not_count():
    store = StateStore()
    for airflow in (BLUE, GREEN):
        journal = TaskJournal(store, str(run_of_night(airflow)))
        assert journal.get("moment") is None
        journal.set("moment", {"at": airflow})
        assert journal.get("moment") == {"at": airflow}


# --- which Airflow this is -------------------------------------------------------------------------------------------


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of an Airflow that has just been installed."""
    stored: dict[str, str] = {}
    monkeypatch.setattr(Variable, "get", lambda key, default=None: stored.get(key, default))
    monkeypatch.setattr(Variable, "set", lambda key, value, description=None: stored.update({key: value}))
    monkeypatch.setattr(Variable, "keys", lambda prefix: [key for key in stored if key.startswith(prefix)])
    airflow_id.cache_clear()
    yield stored
    airflow_id.cache_clear()


def test_the_first_step_makes_the_id(variables):
    made = airflow_id()
    assert len(made) == 8
    assert int(made, 16) >= 0
    assert variables == {VARIABLE: made}
    airflow_id.cache_clear()
    assert airflow_id() == made


def test_two_airflows_make_two_ids(variables):
    first = airflow_id()
    variables.clear()
    airflow_id.cache_clear()
    assert airflow_id() != first


def test_no_second_id_is_made_while_airflow_does_not_answer(variables, monkeypatch):
    """Airflow's ``get`` gives the default when its API server is away."""
    variables[VARIABLE] = BLUE
    monkeypatch.setattr(Variable, "get", lambda key, default=None: default)
    with pytest.raises(AirflowIdError, match="cannot be read now"):
        airflow_id()

    def away(prefix: str) -> list[str]:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    monkeypatch.setattr(Variable, "keys", away)
    with pytest.raises(AirflowIdError, match="API_SERVER_ERROR") as raised:
        airflow_id()
    assert raised.value.advice == "retry"
    assert variables == {VARIABLE: BLUE}


@pytest.mark.parametrize("value", ["blue", "0"])
def test_a_person_may_choose_the_id(variables, value):
    variables[VARIABLE] = value
    assert airflow_id() == value


def test_of_two_steps_that_make_one_the_later_counts(variables, monkeypatch):
    def set_by_both(key: str, value: str, description: str | None = None) -> None:
        variables[key] = "made-by-the-other"

    monkeypatch.setattr(Variable, "set", set_by_both)
    assert airflow_id() == "made-by-the-other"


def test_a_clone_that_keeps_the_variable_takes_runs_for_its_own(run):
    """Why the documentation says to delete it in a copy of Airflow's database."""
    ti = run.context("find", -1)["ti"]
    assert run_state(ti, run_of_night(AIRFLOW_ID)) is RunState.ENDED
