"""Fleets: several subscriptions in one run, and more services than one run may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import DagRunTriggerException
from biztalk_services.flows.backup_report import BACKED_UP, FAILED, BackupOutcome, BackupsFailedError, require_success
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import AuthenticationError, BackupServiceError, ThrottledError
from biztalk_services.provider import base
from biztalk_services.provider.operators.find import (
    ALL_SERVICES,
    FURTHER,
    UNREAD,
    FindServicesOperator,
    PlanFurtherRunsOperator,
    further_run_id,
)

from tests.flows.test_find import FakeDriver, service
from tests.provider.connections import NAME
from tests.provider.fakes import Run
from tests.provider.walk import Night, load_dag

RUN_ID = re.compile(r"^[A-Za-z0-9_.~:+-]+$")
FORM = {"services": None, "label": "x", "kind": "manual", "start_before": "", "drain_deadline_minutes": 30}
FIND = {"task_id": "find", "conn_id": "north south"}


@pytest.fixture
def subscribe(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the connections lead to: a subscription, or an error."""

    def subscribe(**drivers: FakeDriver | Exception) -> None:
        def driver_for(conn_id: str) -> FakeDriver:
            found = drivers[conn_id]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(base, "driver_for", driver_for)

    return subscribe


def fleet(count: int, scope: str = "west") -> list[Any]:
    return [service(f"{scope}/orders{number:04}") for number in range(count)]


def found(run: Run, max_tries: int = 0, **options: Any) -> list[dict[str, Any]]:
    return run.execute(FindServicesOperator(**FIND | options), map_index=-1, max_tries=max_tries)


def further(run: Run) -> list[dict[str, Any]]:
    """The runs that a run starts."""
    run.params = run.params or FORM
    return run.execute(PlanFurtherRunsOperator(task_id="plan", find="find", start_before_minutes=240), map_index=-1)


# --- several subscriptions -------------------------------------------------------------------------------------------


def test_both_are_backed_up(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(2)), south=FakeDriver("0b51", fleet(2)))
    jobs = found(run)
    assert [f"{job['conn_id']}/{job['service']}" for job in jobs] == [
        f"{name}/west/orders000{number}" for name in ("north", "south") for number in range(2)
    ]
    assert len({job["backup_name"] for job in jobs}) == 4


def test_two_connections_to_one_are_refused(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(2)), south=FakeDriver("5F3C", fleet(2)))
    with pytest.raises(RefusedError, match=r"north and south lead to the same subscription .* option conn_id"):
        found(run)
    assert run.xcom("find", ALL_SERVICES, map_index=-1) is None


def test_what_cannot_be_listed_is_left_out_and_told(run, subscribe):
    subscribe(
        north=FakeDriver("5f3c", fleet(1), ["The entry at 2 has no name."]), south=AuthenticationError("Rejected.")
    )
    assert [job["conn_id"] for job in found(run, max_tries=5)] == ["north"]
    unread = ["The services of connection south cannot be listed. Rejected.", "The entry at 2 has no name."]
    assert run.xcom("find", UNREAD, map_index=-1) == unread


def test_what_may_pass_is_tried_again_first(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(1)), south=ThrottledError("Busy.", advice="retry"))
    with pytest.raises(ThrottledError, match="Busy"):
        found(run, max_tries=5)
    assert [job["conn_id"] for job in found(run, max_tries=0)] == ["north"]
    assert run.xcom("find", UNREAD, map_index=-1) == ["The services of connection south cannot be listed. Busy."]


def test_none_can_be_listed(run, subscribe):
    subscribe(north=AuthenticationError("Rejected."), south=AuthenticationError("Rejected."))
    with pytest.raises(BackupServiceError, match="Rejected"):
        found(run)


def test_what_was_not_named_does_not_matter(run, subscribe):
    subscribe(
        north=FakeDriver("5f3c", fleet(2), ["The entry at 2 has no name."]), south=AuthenticationError("Rejected.")
    )
    assert [job["service"] for job in found(run, services="north/west/orders0001")] == ["west/orders0001"]
    assert run.xcom("find", UNREAD, map_index=-1) == []


# --- more services than one run may have -----------------------------------------------------------------------------


def all_runs(size: int, form: dict[str, Any]) -> list[tuple[Run, list[dict[str, Any]]]]:
    """A run, and every run that follows from it, with their jobs."""
    waiting, done = [Run(params=FORM | form)], []
    while waiting:
        run = waiting.pop(0)
        jobs = found(run, services=run.params["services"] or (), most_services=size)
        done.append((run, jobs))
        waiting += [Run(run_id=each["trigger_run_id"], params=each["conf"]) for each in further(run)]
    return done


@pytest.mark.parametrize("size", [100, 1000, 2000])
def test_2500_services_under_the_real_limit(size, subscribe):
    limit = conf.getint("core", "max_map_length")
    assert limit == 1024
    subscribe(north=FakeDriver("5f3c", fleet(1200)), south=FakeDriver("0b51", fleet(1300)))
    runs = all_runs(size, {})
    assert max(len(jobs) for _, jobs in runs) == min(size, limit)
    addresses = [f"{job['conn_id']}/{job['service']}" for _, jobs in runs for job in jobs]
    assert len(addresses) == len(set(addresses)) == 2500
    assert len(runs) == -(-2500 // min(size, limit))
    assert len({run.run_id for run, _ in runs}) == len(runs)
    for run, jobs in runs:
        chosen = run.xcom("find", ALL_SERVICES, map_index=-1)
        assert [each["service"] for each in chosen] == [job["service"] for job in jobs]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_low_limit_of_airflow_leaves_no_service_out(limit, subscribe, monkeypatch):
    """The last further run takes the rest, and splits it again."""
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", str(limit))
    subscribe(north=FakeDriver("5f3c", fleet(12)), south=FakeDriver("0b51"))
    runs = all_runs(100, {})
    assert sorted(job["service"] for _, jobs in runs for job in jobs) == [f"west/orders{n:04}" for n in range(12)]
    assert all(len(jobs) <= limit for _, jobs in runs)
    assert len({run.run_id for run, _ in runs}) == len(runs)


def test_another_try_plans_the_same_runs(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(250)), south=FakeDriver("0b51"))
    ids = []
    for _ in range(2):
        found(run)
        ids.append([each["trigger_run_id"] for each in further(run)])
    assert ids[0] == ids[1]
    assert [name.startswith(f"{run.run_id}__part{number}-") for number, name in enumerate(ids[0], 2)] == [True, True]


def test_other_services_after_a_clear_are_other_runs(run, subscribe):
    """A run of the first id would be there already, without the services that are new."""
    subscribe(north=FakeDriver("5f3c", fleet(200)), south=FakeDriver("0b51"))
    found(run)
    (before,) = further(run)
    subscribe(north=FakeDriver("5f3c", fleet(200)[1:] + fleet(1, "east")), south=FakeDriver("0b51"))
    found(run)
    (after,) = further(run)
    assert before["trigger_run_id"] != after["trigger_run_id"]


@pytest.mark.parametrize("run_id", ["manual__1", "scheduled__2026-11-28T02:00:00+00:00", "x" * 250, "y" * 249])
def test_airflow_takes_the_ids(run_id):
    names = [further_run_id(run_id, number, ["north/west/orders"]) for number in (2, 25, 1025)]
    assert all(RUN_ID.match(name) and len(name) <= 250 for name in names)
    assert len(set(names)) == 3


def test_a_further_run_is_as_its_first(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(101)), south=FakeDriver("0b51"))
    run.run_type = "scheduled"
    found(run)
    (planned,) = further(run)
    start_before = datetime.fromisoformat(planned["conf"].pop("start_before"))
    same = {name: value for name, value in FORM.items() if name != "start_before"}
    assert planned["conf"] == same | {"services": ["north/west/orders0100"], "kind": "nightly"}
    assert abs(start_before - datetime.now(UTC) - timedelta(hours=4)) < timedelta(minutes=1)


@pytest.mark.parametrize("start_before", ["2026-11-28T04:00:00+01:00"])
def test_a_limit_of_the_form_stays(run, subscribe, start_before):
    subscribe(north=FakeDriver("5f3c", fleet(101)), south=FakeDriver("0b51"))
    found(run)
    run.params = FORM | {"start_before": start_before, "kind": "manual"}
    (planned,) = further(run)
    assert (planned["conf"]["start_before"], planned["conf"]["kind"]) == (start_before, "manual")


def test_few_services_need_no_further_run(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(100)), south=FakeDriver("0b51", [service("west/free", "free")]))
    assert len(found(run)) == 100
    assert further(run) == run.xcom("find", FURTHER, map_index=-1) == []
    assert len(run.xcom("find", ALL_SERVICES, map_index=-1)) == 101


# --- whole nights ----------------------------------------------------------------------------------------------------


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


@pytest.mark.usefixtures("connections", "fast_clock")
class TestNights:
    ONE_A_RUN: ClassVar = {"find_services": {"most_services": 1}}
    EMPTY: ClassVar = {"batches_are_empty": True}

    def test_what_is_too_much_for_a_run_is_backed_up_by_the_next(self, run, container):
        night = Night(run, NAME, "ContosoRetail", container=container, form=self.EMPTY, options=self.ONE_A_RUN).all()
        assert [row["service"] for row in night.outcome] == ["ContosoRetail"]
        assert night.failure is None
        (planned,) = night.started
        following = Run(run_id=planned["trigger_run_id"], run_type="operator_triggered")
        second = Night(following, container=container, form=planned["conf"], options=self.ONE_A_RUN).all()
        assert [(row["service"], row["outcome"]) for row in second.outcome] == [(NAME, BACKED_UP)]
        assert (second.failure, second.started) == (None, [])
        assert second.xcom("service.publish_reference")["kind"] == "manual"

    def test_a_further_run_that_could_not_be_started_makes_the_run_red(self, run, container):
        night = Night(run, NAME, "ContosoRetail", container=container, form=self.EMPTY, options=self.ONE_A_RUN).until(
            "report"
        )
        (planned,) = night.started
        run.active_runs.clear()
        run.unknown_runs.add(planned["trigger_run_id"])
        (row,) = night.report()
        assert row["outcome"] == BACKED_UP
        assert f"Run {planned['trigger_run_id']}, which was to back up 1 more services" in night.failure
        assert "could not be started. See the log of start_further_runs, and clear that task." in night.failure

    def test_a_broken_connection_makes_the_run_red_at_its_end(self, run, container, monkeypatch):
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", NAME)
        options = {"find_services": {"conn_id": "biztalk_absent biztalk_default"}}
        night = Night(run, container=container, options=options).all()
        (row,) = night.outcome
        assert (row["conn_id"], row["service"], row["outcome"]) == ("biztalk_default", NAME, BACKED_UP)
        assert night.failure.startswith(
            "Services may not have been backed up. The services of connection biztalk_absent"
        )


def test_services_of_one_name_are_told_apart_in_a_failure():
    rows = [
        BackupOutcome(name, service, "west", None, "basic", FAILED, "suspend", "Busy.")
        for name, service in (("north", "orders"), ("south", "Orders"), ("south", "retail"))
    ]
    with pytest.raises(BackupsFailedError) as caught:
        require_success(rows)
    for part in ("north/west/orders (suspend)", "south/west/Orders (suspend)", " retail (suspend)"):
        assert part in str(caught.value)
    assert rows[0].sentence().startswith("north/west/orders (basic): failed")


def test_further_runs_are_started_for_no_moment():
    """Airflow takes one run a moment of a DAG, so runs that are started at the same time for now could be refused."""
    task = load_dag("biztalk_nightly_backup").get_task("start_further_runs")
    fixed = {
        name: task.partial_kwargs[name]
        for name in ("trigger_dag_id", "logical_date", "skip_when_already_exists", "openlineage_inject_parent_info")
    }
    start = TriggerDagRunOperator(task_id="start", trigger_run_id="r__part2-0a1b2c", conf=dict(FORM), **fixed)
    with pytest.raises(DagRunTriggerException) as started:
        start.execute({})
    request = started.value
    assert (request.trigger_dag_id, request.dag_run_id) == ("biztalk_nightly_backup", "r__part2-0a1b2c")
    assert (request.logical_date, request.conf, request.skip_when_already_exists) == (None, FORM, True)
