"""Two Airflows work on the same services, storage account and archive, and give their runs the same ids."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from biztalk_services.flows.watchdog import SETTLING

from stack import Ports, Stack
from tests.field.nights import DURATIONS, SETTINGS, begin_night, check_suspensions, end_of_night
from tests.system.world import BACKUP, BACKUP_OPERATIONS, CATALOG, Night, World

BLUE_ONLY, GREEN_ONLY, BOTH = "contosoorders", "ContosoRetail", ("contosoeurope", "contosonordic")
ALL = (BLUE_ONLY, *BOTH, GREEN_ONLY)
BACKED_UP = "backed up"


@pytest.fixture(scope="module")
def airflows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """The two: blue, to whose stack emulator and Azurite belong, and green beside it."""
    blue = Stack(
        tmp_path_factory.mktemp("blue"),
        Ports.free(),
        emulator_options=["--durations", json.dumps(DURATIONS)],
        airflow_settings=SETTINGS,
    )
    with blue.up():
        green = Stack(tmp_path_factory.mktemp("green"), Ports.free(), airflow_settings=SETTINGS, beside=blue)
        with green.up():
            yield World.of(blue), World.of(green)


@pytest.fixture(scope="module")
def nights(airflows: tuple[World, World]) -> tuple[Night, Night]:
    """Two nights of one id that begin at the same time, on two services of their own and two that both want."""
    wanted = ([BLUE_ONLY, *BOTH], [*BOTH, GREEN_ONLY])
    after = airflows[0].last_seq()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(begin_night, airflows, ["same"] * 2, wanted))
        blue, green = threads.map(end_of_night, airflows, ["same"] * 2, [after] * 2)
    return blue, green


def opened(world: World, folder: str) -> list[str]:
    """The blobs in a folder of the archive."""
    return [blob.name for blob in world.blobs.get_container_client(CATALOG).list_blobs(folder)]


@pytest.mark.parametrize("service", ALL)
def test_each_service_is_suspended_backed_up_resumed_once(nights, service):
    last = max(nights, key=lambda night: len(night.operations(service)))  # one may have ended before the other
    assert last.operations(service) == BACKUP_OPERATIONS
    assert last.states[service] == "Active"


def test_what_one_airflow_alone_wants_it_gets(nights):
    assert [night.report[own]["outcome"] for night, own in zip(nights, (BLUE_ONLY, GREEN_ONLY), strict=True)] == [
        BACKED_UP,
        BACKED_UP,
    ]


@pytest.mark.parametrize("service", BOTH)
def test_what_both_want_one_gets_and_the_other_is_refused(nights, service):
    got = [night for night in nights if night.report[service]["outcome"] == BACKED_UP]
    refused = [night for night in nights if night not in got]
    assert len(got) == len(refused) == 1
    row = refused[0].report[service]
    assert (row["failed_step"], row["backup"]) == ("check_backup", None)
    assert f"run {refused[0].service_runs[service]} of {BACKUP} in Airflow" in row["reason"]
    assert refused[0].state == "failed"


@pytest.mark.parametrize("service", ALL)
def test_the_report_names_the_backup_of_its_own_run(nights, airflows, service):
    (reference,) = airflows[0].catalog("references", service).items()
    for night in nights:
        if service in night.report and night.report[service]["outcome"] == BACKED_UP:
            assert night.backup(service) == reference[0]


def test_each_airflow_has_an_id_of_its_own(nights, airflows):
    references = {name: airflows[0].catalog("references", name) for name in (BLUE_ONLY, GREEN_ONLY)}
    runs = [each["run"] for found in references.values() for each in found.values()]
    assert [run["run_id"].partition("__")[0] for run in runs] == ["same", "same"]
    assert all(run["airflow"] for run in runs)
    assert runs[0]["airflow"] != runs[1]["airflow"]


def test_no_lock_and_no_suspension_record_is_left(nights, airflows):
    locks = [name for name in opened(airflows[0], "claims/") if not name.startswith("claims/taken-over/")]
    assert (locks, opened(airflows[0], "suspensions/open/")) == ([], [])


def test_no_watchdog_resumes_amid_the_other_airflows_backup(nights, airflows):
    """The run of this id in the other Airflow has ended long ago, and that Airflow is started anew meanwhile."""
    blue, green = airflows
    begin_night(green, "again", [GREEN_ONLY])
    assert end_of_night(green, "again", blue.last_seq()).state == "success"
    after = blue.last_seq()
    with suspended(blue, "again", BLUE_ONLY):
        until_decided = time.monotonic() + SETTLING.total_seconds() + 5
        assert check_suspensions(green, "at-once") == left_alone(blue)
        green.stack.stop()
        green.stack.start()
        begin_night(green, "meanwhile", [BLUE_ONLY])
        refused = end_of_night(green, "meanwhile", after)
        time.sleep(max(0, until_decided - time.monotonic()))
        assert check_suspensions(green, "after-a-restart") == left_alone(blue)
        assert check_suspensions(blue, "its-own") == []
        assert blue.state(BLUE_ONLY) == "Suspended"

    night = end_of_night(blue, "again", after)
    assert (night.state, night.report[BLUE_ONLY]["outcome"]) == ("success", BACKED_UP)
    assert night.operations(BLUE_ONLY) == BACKUP_OPERATIONS
    assert night.responses(BLUE_ONLY, "resume") == [202]
    assert refused.state == "failed"
    assert f"run {night.service_runs[BLUE_ONLY]} of {BACKUP} in Airflow" in refused.report[BLUE_ONLY]["reason"]


@contextmanager
def suspended(world: World, run_id: str, service: str) -> Iterator[None]:
    """A night of one service that stays suspended during the block: the DAG of its run is paused between two tries."""
    world.emulator.fault("status", "backup", service=service, count=1)
    after = world.last_seq()
    begin_night(world, run_id, [service])
    world.await_entry(service, after=after, operation="backup", status=503)
    world.airflow.pause(BACKUP)
    try:
        yield
    finally:
        world.airflow.patch(f"/dags/{BACKUP}", {"is_paused": False})


def left_alone(world: World) -> list[dict[str, str]]:
    """The decision of a watchdog to which the run that suspended the service is unknown."""
    address = f"{world.service(BLUE_ONLY)['cloud_service']}/{BLUE_ONLY}"
    return [{"service": address, "state": "Suspended", "action": "leave", "why": "its deadline has not passed"}]
