"""Fleets: several subscriptions in one night, and many services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from biztalk_services.flows.backup_report import BACKED_UP, FAILED, BackupOutcome, BackupsFailedError, require_success
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import AuthenticationError, BackupServiceError, ThrottledError
from biztalk_services.provider import base
from biztalk_services.provider.operators.find import ALL_SERVICES, UNREAD, FindServicesOperator
from biztalk_services.provider.operators.night import BackUpServicesOperator

from tests.flows.test_find import FakeDriver, service
from tests.provider.connections import NAME
from tests.provider.fakes import Run
from tests.provider.walk import Night

FORM = {
    "label": None,
    "kind": "manual",
    "drain_deadline_minutes": 30,
    "batches_are_empty": False,
    "unknown_batches_policy": "refuse",
    "refilled_batches_policy": "record",
}
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


# --- many services ---------------------------------------------------------------------------------------------------


def test_each_of_2500_services_has_a_run_of_its_own(run, subscribe):
    subscribe(north=FakeDriver("5f3c", fleet(1200)), south=FakeDriver("0b51", fleet(1300)))
    jobs, most = found(run), 0
    run.params = FORM
    operator = BackUpServicesOperator(
        task_id="back_up_services", find="find", at_once=25, ahead=500, window_minutes=240, longest_run_minutes=60
    )

    def they_end() -> None:
        nonlocal most
        at_work = [each for each in run.services.runs.values() if each.state == "running"]
        most = max(most, len(at_work))
        for each in at_work:
            each.state = "success"

    assert run.execute(operator, meanwhile=they_end) == {"services": 2500}
    assert most == 500
    started = [f"{each.conf['conn_id']}/{each.conf['service']}" for each in run.services.runs.values()]
    assert started == [f"{job['conn_id']}/{job['service']}" for job in jobs]
    assert len(run.services.requested) == 2500


# --- whole nights ----------------------------------------------------------------------------------------------------


@pytest.fixture
def container() -> str:
    return f"archive-{uuid4().hex[:12]}"


@pytest.mark.usefixtures("connections", "fast_clock")
class TestNights:
    def test_each_is_backed_up_in_its_run(self, run, container):
        """With its number of slots, more services than may be suspended at once."""
        one_slot = {"wait_for_slot": {"max_parallel": 1}}
        form = {"batches_are_empty": True, "kind": "nightly", "label": "a fleet"}
        night = Night(run, NAME, "ContosoRetail", container=container, form=form, options=one_slot).all()
        assert night.failure is None
        assert {row["service"]: row["outcome"] for row in night.outcome} == {
            NAME: BACKED_UP,
            "ContosoRetail": BACKED_UP,
        }
        published = [backup.xcom("publish_reference") for backup in night.backups]
        assert [each["run"]["run_id"] for each in published] == list(run.services.runs)
        assert {(each["kind"], each["label"]) for each in published} == {("nightly", "a fleet")}

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
