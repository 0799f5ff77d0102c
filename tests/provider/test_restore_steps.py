"""The steps of a restore that change something, one by one: once, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.connect import ConnectionSources
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, protocol_settings_of
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.numbers.ranges import property_name
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.flows.restore import (
    ControlNumbersOpenError,
    DeletionNotStartedError,
    NameNotFreeError,
    RestoreMismatchError,
)
from biztalk_services.model.control_numbers import EVER
from biztalk_services.model.errors import (
    BadRequestError,
    OperationNotAllowedError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ThrottledError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.operators.plan import PlanRestoreOperator
from biztalk_services.provider.operators.restore import (
    AdvanceControlNumbersOperator,
    DeleteServiceOperator,
    StartRestoreOperator,
    VerifyRestoreOperator,
)
from biztalk_services.provider.operators.suspend import ResumeUnlessDeletedOperator
from biztalk_services.provider.sensors import ServiceDeletedSensor, ServiceStateSensor
from biztalk_services.provider.waiting import WaitFailedError

from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE
from tests.provider.fakes import Died, EndedInTrigger, Run, dies_once, loses_response
from tests.provider.surroundings import AGREEMENT, Surroundings, fresh

pytestmark = pytest.mark.usefixtures("around")


@pytest.fixture
def emulator(around: Surroundings):
    return around.emulator


@pytest.fixture
def since(around: Surroundings) -> int:
    return around.mark()


def make_plan(origin: dict[str, Any], **request: Any) -> dict[str, Any]:
    """XCom of the plan of a restore."""
    run = Run()
    form = {"service": origin["service"], "backup": origin["container"], **request}
    run.execute(PlanRestoreOperator(task_id="plan", request=form), map_index=-1)
    return run.xcom("plan", map_index=-1)


def decides(task, error: Exception, tried: int = 1) -> str:
    return task.retry_policy.evaluate(error, tried, task.retries or 5).action.value


class TestDelete:
    @pytest.fixture
    def victim(self, around: Surroundings) -> str:
        name = fresh("victim")
        around.emulator.operation(around.emulator.create(name))
        around.emulator.reaches(name, "Active")
        return name

    @pytest.fixture
    def plan(self, victim: str, origin, around: Surroundings) -> dict[str, Any]:
        """The plan of a restore that replaces the victim."""
        form = {"target_name": victim, "existing_service_policy": "replace"}
        return make_plan(origin, **form, tracking_conn_id=around.new_database())

    @pytest.fixture
    def delete(self, victim: str, plan: dict[str, Any]) -> DeleteServiceOperator:
        return DeleteServiceOperator(task_id="delete", service=f"{CLOUD_SERVICE}/{victim}", plan=plan)

    @pytest.fixture
    def requests(self, victim: str, around: Surroundings, since: int) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [each for each in around.changes(since) if each["operation"] == "delete"]

    def deleted(self, run: Run, victim: str, operation_id: str | None, **options: Any) -> Any:
        options = {"service": f"{CLOUD_SERVICE}/{victim}", "deadline_minutes": 30} | options
        return run.execute(ServiceDeletedSensor(task_id="deleted", operation_id=operation_id, **options), map_index=-1)

    def test_it_is_deleted(self, delete, victim, run, around, requests):
        operation_id = run.execute(delete)["operation_id"]
        (request,) = requests()
        assert request["client_request_id"] == f"{run.airflow}:nightly:{run.run_id}:delete:-1:delete"
        assert operation_id
        reached = self.deleted(run, victim, operation_id)
        assert (reached["state"], reached["etag"]) == (None, None)
        assert reached["reached_at"]
        assert not around.exists(victim)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    def test_the_response_is_lost_after_it_was_taken(self, kind, delete, victim, run, emulator, around, requests):
        emulator.fault(kind, "delete", service=victim, count=1)
        run.execute(delete)
        self.deleted(run, victim, None)
        assert run.execute(delete) == {"operation_id": None}
        assert len(requests()) == 1
        assert not around.exists(victim)

    @pytest.mark.parametrize(
        "fault", [{"kind": "reset-before"}, {"kind": "status", "status": 500, "code": "InternalError"}]
    )
    def test_the_response_is_lost_before(self, fault, delete, victim, run, emulator, requests):
        emulator.fault(operation="delete", service=victim, count=1, **fault)
        for _ in range(2):
            with pytest.raises(DeletionNotStartedError, match=r"it is Active\. It is not requested again") as caught:
                run.execute(delete)
            assert decides(delete, caught.value) == "fail"
        assert (len(requests()), emulator.state(victim)) == (1, "Active")

    def test_the_worker_dies_before_the_request(self, delete, victim, run, emulator, requests, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesClient, "delete", after=False)
        with pytest.raises(Died):
            run.execute(delete)
        with pytest.raises(DeletionNotStartedError):
            run.execute(delete)
        assert (requests(), emulator.state(victim)) == ([], "Active")

    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_worker_dies_after_it(self, arrived, delete, victim, run, around, requests, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesClient, "delete", after=True)
        with pytest.raises(Died):
            run.execute(delete)
        if arrived:
            self.deleted(run, victim, None)
        assert run.execute(delete) == {"operation_id": None}
        self.deleted(run, victim, None)
        assert len(requests()) == 1

    def test_the_worker_dies_before_the_intent_is_stored(self, delete, victim, run, requests):
        run.store("delete").dies_at = "delete"
        with pytest.raises(Died):
            run.execute(delete)
        assert requests() == []
        assert run.execute(delete)["operation_id"]
        assert len(requests()) == 1

    def test_not_the_service_that_was_approved(self, delete, victim, run, emulator, around):
        emulator.update(victim, CustomDomainUrl="changed.example")
        emulator.reaches(victim, "Active")
        with pytest.raises(PreconditionFailedError) as caught:
            run.execute(delete)
        assert decides(delete, caught.value) == "fail"
        assert around.exists(victim)

    def test_a_service_that_reported_no_etag(self, delete, plan, run):
        delete.plan = plan | {"existing": plan["existing"] | {"etag": None}}
        assert run.execute(delete)["operation_id"]

    def test_a_request_that_was_not_taken_is_sent_again(self, delete, victim, run, emulator, around, requests):
        emulator.fault("status", "delete", service=victim, count=1, retry_after=1)
        with pytest.raises(ThrottledError) as caught:
            run.execute(delete)
        assert decides(delete, caught.value) == "retry"
        self.deleted(run, victim, run.execute(delete)["operation_id"])
        assert len(requests()) == 2

    @pytest.mark.parametrize("known", [True, False])
    def test_a_deletion_that_fails(self, known, delete, victim, run, emulator):
        emulator.fault("operation-fails", "delete", service=victim, count=1, message="It is needed.")
        operation_id = run.execute(delete)["operation_id"]
        with pytest.raises((EndedInTrigger, WaitFailedError), match="It is needed"):
            self.deleted(run, victim, operation_id if known else None)

    def test_a_deletion_that_does_not_end(self, delete, victim, run, emulator):
        emulator.fault("stuck", "delete", service=victim, count=1)
        operation_id = run.execute(delete)["operation_id"]
        with pytest.raises(EndedInTrigger, match=rf"{victim} to be deleted \(deadline"):
            self.deleted(run, victim, operation_id, deadline_minutes=1)
        emulator.force(victim, "Active")


BY_US = {
    "found_state": "Active", "suspended_by_us": True, "expected_state": "Suspended", "operation_id": None,
    "requested_at": "2026-02-24T02:00:00+00:00",
}  # fmt: skip


class TestResumeUnlessDeleted:
    def resume(self, **options: Any) -> ResumeUnlessDeletedOperator:
        arguments = {"suspension": BY_US, "deleted": None, "deadline_minutes": 15, "service": SERVICE} | options
        return ResumeUnlessDeletedOperator(task_id="resume", **arguments)

    def test_what_was_not_deleted_is_active_again(self, run, emulator):
        emulator.force(NAME, "Suspended")
        assert run.execute(self.resume())["state"] == "Active"
        assert emulator.state(NAME) == "Active"

    def test_what_was_deleted_is_fine(self, run, since, around):
        task = self.resume(service=f"{CLOUD_SERVICE}/deleted-one")
        assert run.execute(task)["state"] is None
        assert around.changes(since) == []

    @pytest.mark.parametrize("pushed_as", [json.dumps, dict])
    def test_what_was_seen_deleted_is_not_polled(self, pushed_as, run, emulator, since, around):
        emulator.force(NAME, "Suspended")
        deleted = {"state": None, "etag": None, "reached_at": "2026-01-01T02:00:00+00:00", "service": None}
        assert run.execute(self.resume(deleted=pushed_as(deleted))) == deleted
        assert (emulator.state(NAME), around.changes(since)) == ("Suspended", [])

    def test_a_deletion_under_way_is_waited_for(self, run, emulator, since, around):
        emulator.fault("stuck", "delete", service=NAME, count=1)
        response = emulator.request("DELETE", emulator.path(NAME, through=False))
        task = self.resume(retries=70)
        with pytest.raises(OperationNotAllowedError, match="is being deleted") as caught:
            run.execute(task)
        assert decides(task, caught.value) == "retry"
        assert [each["operation"] for each in around.changes(since)] == ["delete"]
        emulator.release(response)
        emulator.operation(response)
        assert run.execute(task)["state"] is None

    def test_what_was_found_suspended_stays_suspended(self, run, emulator, since, around):
        emulator.force(NAME, "Suspended")
        theirs = BY_US | {"found_state": "Suspended", "suspended_by_us": False}
        assert run.execute(self.resume(suspension=theirs))["state"] == "Suspended"
        assert around.changes(since) == []


class TestRestore:
    @pytest.fixture
    def name(self) -> str:
        return fresh("target")

    @pytest.fixture
    def database(self, around: Surroundings, name: str) -> str:
        return around.new_database(name)

    @pytest.fixture
    def restore(self, around, origin, name, database, blobs) -> Callable[..., StartRestoreOperator]:
        plan = make_plan(origin, target_name=name, tracking_conn_id=database)

        def make(**options: Any) -> StartRestoreOperator:
            arguments = {"service": f"{CLOUD_SERVICE}/{name}", "plan": plan, "retries": 280} | options
            return StartRestoreOperator(task_id="restore", **arguments)

        return make

    @pytest.fixture
    def started(self, around, name, since) -> Callable[[], int]:
        return lambda: len(around.operations("restore", since, name))

    def arrives(self, run: Run, name: str, operation_id: str | None) -> Any:
        sensor = ServiceStateSensor(
            task_id="wait",
            service=f"{CLOUD_SERVICE}/{name}",
            expected="Suspended",
            operation_id=operation_id,
            deadline_minutes=120,
        )
        return run.execute(sensor, map_index=-1)

    def again(self, restore, run, name, started, operation_id: bool) -> None:
        """Another try adopts what was started, and so does one after that."""
        first = run.execute(restore())
        assert bool(first["operation_id"]) == operation_id
        self.arrives(run, name, first["operation_id"])
        assert run.execute(restore()) == first
        assert started() == 1

    def test_it_is_requested_once(self, restore, run, name, started):
        self.again(restore, run, name, started, True)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html", "reset-before"])
    def test_the_response_is_lost(self, kind, restore, run, name, emulator, started):
        emulator.fault(kind, "restore", service=name, count=1)
        loses_response(run, restore())
        self.again(restore, run, name, started, kind in ("reset-before", "html"))

    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_worker_dies_after_the_request(self, arrived, restore, run, name, emulator, started, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesClient, "start_restore", after=True)
        with pytest.raises(Died):
            run.execute(restore())
        if arrived:
            emulator.reaches(name, "Suspended")
        self.again(restore, run, name, started, False)

    @pytest.mark.parametrize("moment", ["intent", "request"])
    def test_the_worker_dies_before_it(self, moment, restore, run, name, started, monkeypatch):
        if moment == "intent":
            run.store("restore").dies_at = "restore"
        else:
            dies_once(monkeypatch, BizTalkServicesClient, "start_restore", after=False)
        with pytest.raises(Died):
            run.execute(restore())
        assert started() == 0
        self.again(restore, run, name, started, True)

    def test_a_name_that_is_held_is_requested_again(self, restore, run, name, emulator, started):
        self.held(emulator, name)
        task = restore()
        with pytest.raises(NameNotFreeError, match="is not free yet") as caught:
            run.execute(task)
        decision = task.retry_policy.evaluate(caught.value, 1, 280)
        assert (decision.action.value, decision.retry_delay.total_seconds()) == ("retry", 3.0)
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0})
        self.again(restore, run, name, started, True)

    def test_a_name_that_is_held_until_the_deadline(self, restore, run, name, emulator, started):
        self.held(emulator, name)
        with pytest.raises(NameNotFreeError):
            run.execute(restore())
        task = restore(name_deadline_minutes=0)
        with pytest.raises(NameNotFreeError, match="is still not free 0 minutes after") as caught:
            run.execute(task)
        assert decides(task, caught.value) == "fail"
        assert started() == 0

    @staticmethod
    def held(emulator, name: str) -> None:
        emulator.operation(emulator.create(name))
        emulator.reaches(name, "Active")
        emulator.give_up(name)
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 3600})

    def test_a_busy_service_is_requested_again(self, restore, run, name, emulator, started):
        emulator.fault("status", "restore", service=name, count=1, retry_after=7)
        with pytest.raises(ThrottledError) as caught:
            run.execute(restore())
        assert decides(restore(), caught.value) == "retry"
        self.again(restore, run, name, started, True)

    def test_an_existing_service_is_not_changed(self, restore, run, name, emulator, started):
        emulator.operation(emulator.create(name))
        task = restore()
        with pytest.raises(OperationNotAllowedError, match=r"already exists .* No request was sent") as caught:
            run.execute(task)
        assert (decides(task, caught.value), started()) == ("fail", 0)

    def test_a_service_that_was_created_meanwhile_is_not_ours(self, restore, run, name, emulator, started):
        emulator.fault("reset-before", "restore", service=name, count=1)
        loses_response(run, restore())
        emulator.operation(emulator.create(name))
        emulator.reaches(name, "Active")
        with pytest.raises(OperationNotAllowedError, match="not by a restore") as caught:
            run.execute(restore())
        assert (decides(restore(), caught.value), started()) == ("fail", 0)

    def test_a_value_that_the_service_refuses(self, restore, run, name, around, database, started):
        """Airflow's own connection to the database's file shows no wrong password."""
        known = around.new_database()
        around.connect(database, around.sql({**LOGIN, "database": known.partition("sql_")[2]}, "anything"))
        with pytest.raises(BadRequestError) as caught:
            run.execute(restore())
        assert "refused user name and password" in str(caught.value)
        assert "canary-password" not in str(caught.value)
        assert (decides(restore(), caught.value), started()) == ("fail", 0)

    def test_a_restore_that_fails_shows_the_services_message(self, restore, run, name, emulator):
        emulator.fault("operation-fails", "restore", service=name, count=1, message="The moon is in the way.")
        operation_id = run.execute(restore())["operation_id"]
        with pytest.raises((EndedInTrigger, WaitFailedError), match="The moon is in the way"):
            self.arrives(run, name, operation_id)


LOGIN = {"server": "tcp:other.example", "database": "", "user": "me", "password": "canary-password"}


class Restored:
    """A service that was restored, and the plan of that."""

    def __init__(self, around: Surroundings, origin: dict[str, Any], **request: Any) -> None:
        self.around, self.run, self.name = around, Run(), fresh("restored")
        request = {"target_name": self.name, "tracking_conn_id": around.new_database(self.name)} | request
        self.plan = make_plan(origin, **request)
        self.at = {"service": f"{CLOUD_SERVICE}/{self.name}"}
        self.run.execute(StartRestoreOperator(task_id="restore", plan=self.plan, **self.at), map_index=-1)
        around.emulator.reaches(self.name, "Suspended")

    def planned(self, **request: Any) -> dict[str, Any]:
        """The plan with other choices."""
        return self.plan | {"request": self.plan["request"] | request}

    def verify(self, plan: dict[str, Any] | None = None) -> Any:
        task = VerifyRestoreOperator(task_id="verify", plan=plan or self.plan, **self.at)
        return self.run.execute(task, map_index=-1)

    def advance(self, plan: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        task = AdvanceControlNumbersOperator(task_id="advance", plan=plan or self.plan, **self.at)
        return self.run.execute(task, map_index=-1)["numbers"]

    def raised(self, since: int) -> list[dict[str, Any]]:
        return [each for each in self.around.changes(since) if each["operation"] == "merge_protocol_settings"]


@pytest.fixture
def restored(around: Surroundings, origin) -> Restored:
    return Restored(around, origin)


class TestVerify:
    def test_equal_but_for_what_was_requested(self, restored):
        verified = restored.verify()
        assert restored.run.xcom("verify", "differences", -1) == []
        assert any("TrackingStoreConnectionString" in each for each in verified["expected"])
        assert any(each.startswith("Service changed") for each in verified["expected"])

    def test_a_difference_is_named(self, restored, around):
        around.edit("Changed in the portal", name=restored.name)
        with pytest.raises(RestoreMismatchError) as caught:
            restored.verify()
        assert "Partner Fabrikam: Description changed" in str(caught.value)
        assert caught.value.advice == "stop"
        assert "It is Suspended" in str(caught.value)
        (difference,) = restored.run.xcom("verify", "differences", -1)
        assert difference in str(caught.value)

    def test_a_requested_change_that_is_missing_is_named(self, restored):
        target = restored.plan["target"] | {"settings": {"edition": "premium", "unit_count": 3}}
        values = [
            value | {"shown": value["shown"].replace("Tracking", "Elsewhere")} for value in restored.plan["values"]
        ]
        with pytest.raises(RestoreMismatchError) as caught:
            restored.verify(restored.plan | {"target": target, "values": values})
        assert "Setting Edition was to be premium, and is standard." in str(caught.value)
        assert "Setting UnitCount was to be 3, and is 1." in str(caught.value)
        assert "Setting TrackingStoreConnectionString was to be" in str(caught.value)

    def test_an_edition_that_was_not_requested(self, restored, monkeypatch):
        get = BizTalkServicesClient.get_service
        monkeypatch.setattr(
            BizTalkServicesClient, "get_service", lambda client, ref: replace(get(client, ref), edition="premium")
        )
        with pytest.raises(RestoreMismatchError, match="Setting Edition changed from 'standard' to 'premium'"):
            restored.verify()

    def test_nothing_was_recorded(self, restored):
        backup = restored.plan["backup"] | {"container": "unrecorded"}
        with pytest.raises(RestoreMismatchError, match="Backup unrecorded has no inventory"):
            restored.verify(restored.plan | {"backup": backup})

    def test_partner_management_that_is_not_reachable(self, restored, emulator):
        emulator.fault("status", "token")
        with pytest.raises(RestoreMismatchError, match="Partner management cannot be compared") as caught:
            restored.verify()
        assert caught.value.advice == "check", "it is tried again"
        emulator.admin("DELETE", "/faults")
        restored.verify()

    def test_no_connection_to_partner_management(self, restored, around):
        around.connect(f"biztalk_acs_{NAME}acs", None)
        with pytest.raises(RestoreMismatchError, match=f"there is no connection biztalk_acs_{NAME}acs"):
            restored.verify()


class TestAdvance:
    @pytest.fixture
    def restored(self, around: Surroundings, origin) -> Restored:
        around.traffic()
        return Restored(around, origin)

    def test_bounds_are_raised_once(self, restored, since, emulator):
        rows = restored.advance()
        requests = len(restored.raised(since))
        assert requests >= 1
        assert all(row["done"] for row in rows)
        assert restored.advance() == rows
        assert len(restored.raised(since)) == requests

    def test_numbers_used_between_plan_and_deletion_are_seen(self, restored, around):
        planned = {(row["agreement"], row["kind"]): row for row in restored.plan["control_numbers"]}
        around.traffic(messages=4)
        rows = {(row["agreement"], row["kind"]): row for row in restored.advance()}
        interchange = rows[AGREEMENT, "interchange"]
        assert interchange["latest"] > planned[AGREEMENT, "interchange"]["latest"]
        assert interchange["next"] == interchange["latest"] + 101
        assert interchange["source"].startswith("seen by tracking database of connection biztalk_tracking_")
        assert ", query " in interchange["source"]

    @pytest.mark.parametrize("after", [False, True])
    def test_the_worker_dies_at_a_raise(self, after, restored, since, around, monkeypatch):
        dies_once(monkeypatch, PartnerManagementClient, "merge", after=after)
        with pytest.raises(Died):
            restored.advance()
        rows = restored.advance()
        assert all(row["done"] for row in rows)
        assert restored.advance() == rows
        accepted = [each for each in restored.raised(since) if each["status"] == 204]
        assert len(accepted) == len({row["agreement"] for row in rows})

    def test_a_lost_response_to_a_raise(self, restored, emulator):
        emulator.fault("reset-after", "merge_protocol_settings", count=1)
        with pytest.raises(OutcomeUnknownError):
            restored.advance()
        assert all(row["done"] for row in restored.advance())

    def test_the_report_changes_nothing(self, restored, since):
        rows = restored.advance(restored.planned(control_numbers="report"))
        assert {row["done"] for row in rows} == {False}
        assert all(row["next"] <= row["highest"] for row in rows)
        assert restored.raised(since) == []

    def test_exact_numbers_are_not_even_read(self, restored, since, emulator):
        emulator.fault("status", "token")
        assert restored.advance(restored.planned(control_numbers="exact")) == []

    @pytest.mark.parametrize("policy", ["raise", "report"])
    def test_numbers_that_are_unknown(self, policy, restored, around, since):
        around.connect(f"biztalk_tracking_{NAME}", None)
        plan = restored.planned(control_numbers=policy)
        if policy == "raise":
            with pytest.raises(ControlNumbersOpenError, match="Which were used since the backup is unknown"):
                restored.advance(plan)
            assert restored.run.xcom("advance", "numbers", -1)
        else:
            assert not any(row["done"] for row in restored.advance(plan))
        assert restored.raised(since) == []

    def test_partner_management_that_refuses_the_key(self, restored, emulator, around, since):
        around.connect(f"biztalk_acs_{NAME}acs", around.access_control("wrong"))
        with pytest.raises(AccessControlError):
            restored.advance()
        assert restored.raised(since) == []


class TestStartingOver:
    """A range at its end that starts over: raised bounds alone would seem to be used up."""

    @pytest.fixture
    def restored(self, around: Surroundings) -> Restored:
        around.traffic()
        driver = driver_for("biztalk_default")
        used = driver.control_numbers_since(NAME, EVER)
        lasts = {kind: used.use_of(AGREEMENT, kind).latest for kind in ("interchange", "group")}
        sources = ConnectionSources(AirflowConnections(), BizTalkOptions())
        with sources.partner_management(driver.get_service(ServiceRef.parse(SERVICE))) as client:
            settings = protocol_settings_of(client.all_entities(ENTITY_SETS), AGREEMENT)
            changes = {property_name(kind, "UpperBound"): last + 2 for kind, last in lasts.items()}
            changes |= {property_name(kind, "Rollover"): True for kind in lasts}
            client.merge(settings["@id"], changes, settings["@etag"])
        reference = around.backed_up()
        around.traffic(messages=6)
        return Restored(around, reference, margin=5)

    def test_advanced_again_it_is_the_same(self, restored, since):
        rows = restored.advance()
        assert all(row["done"] for row in rows)
        assert any("the last before it starts over" in row["sentence"] for row in rows)
        requests = len(restored.raised(since))
        assert restored.advance() == rows
        assert len(restored.raised(since)) == requests
