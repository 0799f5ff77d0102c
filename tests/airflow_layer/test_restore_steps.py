"""The steps of a restore that change something, one by one: once, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, protocol_settings_of
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.numbers.ranges import property_name
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.flows.restore import (
    ControlNumbersOpenError,
    DeletionNotStartedError,
    NameNotFreeError,
    RestoreMismatchError,
)
from biztalk_services.hooks.inventory import partner_management
from biztalk_services.hooks.tracking import used_since
from biztalk_services.model.control_numbers import EVER
from biztalk_services.model.errors import (
    BadRequestError,
    OperationNotAllowedError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ThrottledError,
)
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.hook import BizTalkServicesHook
from biztalk_services.provider.operators.plan import PlanRestoreOperator
from biztalk_services.provider.operators.restore import (
    AdvanceControlNumbersOperator,
    DeleteServiceOperator,
    StartRestoreOperator,
    VerifyRestoreOperator,
)
from biztalk_services.provider.operators.suspend import ResumeUnlessDeletedOperator
from biztalk_services.provider.sensors import ServiceDeletedSensor, ServiceStateSensor
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.waiting import WaitFailedError

from tests.airflow_layer.connections import CLOUD_SERVICE, NAME, SERVICE
from tests.airflow_layer.fakes import Died, EndedInTrigger, Run, dies_once, loses_the_answer
from tests.airflow_layer.surroundings import AGREEMENT, Surroundings, fresh

pytestmark = pytest.mark.usefixtures("around")


@pytest.fixture
def emulator(around: Surroundings):
    return around.emulator


@pytest.fixture
def since(around: Surroundings) -> int:
    return around.mark()


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
    def delete(self, victim: str, emulator) -> DeleteServiceOperator:
        service = f"{CLOUD_SERVICE}/{victim}"
        return DeleteServiceOperator(task_id="delete", service=service, etag=emulator.etag(victim))

    @pytest.fixture
    def asked(self, victim: str, around: Surroundings, since: int) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [each for each in around.changes(since) if each["operation"] == "delete"]

    def gone(self, run: Run, victim: str, operation_id: str | None, **options: Any) -> Any:
        service = f"{CLOUD_SERVICE}/{victim}"
        options = {"deadline_minutes": 30} | options
        return run.execute(
            ServiceDeletedSensor(task_id="gone", service=service, operation_id=operation_id, **options), map_index=-1
        )

    def test_it_goes(self, delete, victim, run, around, asked):
        operation_id = run.execute(delete)["operation_id"]
        (request,) = asked()
        assert request["client_request_id"] == f"nightly:{run.run_id}:delete:0:delete"
        assert operation_id
        assert "gone_at" in str(self.gone(run, victim, operation_id))
        assert not around.exists(victim)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html"])
    def test_the_answer_is_lost_after_it_was_taken(self, kind, delete, victim, run, emulator, around, asked):
        emulator.fault(kind, "delete", service=victim, count=1)
        run.execute(delete)
        self.gone(run, victim, None)
        assert run.execute(delete) == {"operation_id": None}
        assert len(asked()) == 1
        assert not around.exists(victim)

    @pytest.mark.parametrize(
        "fault", [{"kind": "reset-before"}, {"kind": "status", "status": 500, "code": "InternalError"}]
    )
    def test_the_answer_is_lost_before(self, fault, delete, victim, run, emulator, asked):
        emulator.fault(operation="delete", service=victim, count=1, **fault)
        for _ in range(2):
            with pytest.raises(DeletionNotStartedError, match=r"it is Active\. It is not asked for again") as caught:
                run.execute(delete)
            assert decides(delete, caught.value) == "fail"
        assert (len(asked()), emulator.state(victim)) == (1, "Active")

    def test_the_worker_dies_before_the_request(self, delete, victim, run, emulator, asked, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "delete", after=False)
        with pytest.raises(Died):
            run.execute(delete)
        with pytest.raises(DeletionNotStartedError):
            run.execute(delete)
        assert (asked(), emulator.state(victim)) == ([], "Active")

    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_worker_dies_after_it(self, arrived, delete, victim, run, around, asked, monkeypatch):
        dies_once(monkeypatch, BizTalkServicesHook, "delete", after=True)
        with pytest.raises(Died):
            run.execute(delete)
        if arrived:
            self.gone(run, victim, None)
        assert run.execute(delete) == {"operation_id": None}
        self.gone(run, victim, None)
        assert len(asked()) == 1

    def test_the_worker_dies_before_the_intent_is_stored(self, delete, victim, run, asked):
        run.store("delete").dies_at = "asked"
        with pytest.raises(Died):
            run.execute(delete)
        assert asked() == []
        assert run.execute(delete)["operation_id"]
        assert len(asked()) == 1

    def test_not_the_service_that_was_approved(self, delete, victim, run, emulator, around):
        emulator.update(victim, CustomDomainUrl="changed.example")
        emulator.reaches(victim, "Active")
        with pytest.raises(PreconditionFailedError) as caught:
            run.execute(delete)
        assert decides(delete, caught.value) == "fail"
        assert around.exists(victim)

    def test_a_template_without_an_etag_is_none(self, delete, run):
        delete.etag = "None"
        assert run.execute(delete)["operation_id"]

    def test_a_request_that_was_not_taken_is_asked_for_again(self, delete, victim, run, emulator, around, asked):
        emulator.fault("status", "delete", service=victim, count=1, retry_after=1)
        with pytest.raises(ThrottledError) as caught:
            run.execute(delete)
        assert decides(delete, caught.value) == "retry"
        self.gone(run, victim, run.execute(delete)["operation_id"])
        assert len(asked()) == 2

    @pytest.mark.parametrize("known", [True, False])
    def test_a_deletion_that_fails(self, known, delete, victim, run, emulator):
        emulator.fault("operation-fails", "delete", service=victim, count=1, message="It is needed.")
        operation_id = run.execute(delete)["operation_id"]
        with pytest.raises((EndedInTrigger, WaitFailedError), match="It is needed"):
            self.gone(run, victim, operation_id if known else None)

    def test_a_deletion_that_does_not_end(self, delete, victim, run, emulator):
        emulator.fault("stuck", "delete", service=victim, count=1)
        operation_id = run.execute(delete)["operation_id"]
        with pytest.raises(EndedInTrigger, match=f"{victim} to be gone until"):
            self.gone(run, victim, operation_id, deadline_minutes=1)
        emulator.force(victim, "Active")


BY_US = {"found_state": "Active", "suspended_by_us": True, "expected_state": "Suspended", "operation_id": None}


class TestBringBack:
    def bring_back(self, **options: Any) -> ResumeUnlessDeletedOperator:
        given = {"suspension": BY_US, "gone": None, "deadline_minutes": 15, "service": SERVICE} | options
        return ResumeUnlessDeletedOperator(task_id="bring_back", **given)

    def test_what_was_not_deleted_is_active_again(self, run, emulator):
        emulator.force(NAME, "Suspended")
        assert run.execute(self.bring_back())["state"] == "Active"
        assert emulator.state(NAME) == "Active"

    def test_what_was_deleted_is_fine(self, run, since, around):
        task = self.bring_back(service=f"{CLOUD_SERVICE}/deleted-one")
        assert run.execute(task)["state"] is None
        assert around.changes(since) == []

    @pytest.mark.parametrize("told", [json.dumps, dict])
    def test_what_was_seen_to_be_gone_is_not_looked_at(self, told, run, emulator, since, around):
        emulator.force(NAME, "Suspended")
        gone = told({"gone_at": "2026-01-01T02:00:00+00:00"})
        assert run.execute(self.bring_back(gone=gone)) == {
            "state": None, "etag": None, "seen_at": "2026-01-01T02:00:00+00:00"
        }  # fmt: skip
        assert (emulator.state(NAME), around.changes(since)) == ("Suspended", [])

    def test_a_deletion_under_way_is_waited_for(self, run, emulator, since, around):
        emulator.fault("stuck", "delete", service=NAME, count=1)
        answer = emulator.request("DELETE", emulator.path(NAME, through=False))
        task = self.bring_back(retries=70)
        with pytest.raises(OperationNotAllowedError, match="is being deleted") as caught:
            run.execute(task)
        assert decides(task, caught.value) == "retry"
        assert [each["operation"] for each in around.changes(since)] == ["delete"]
        emulator.release(answer)
        emulator.operation(answer)
        assert run.execute(task)["state"] is None

    def test_what_somebody_else_suspended_stays_so(self, run, emulator, since, around):
        emulator.force(NAME, "Suspended")
        theirs = {"found_state": "Suspended", "suspended_by_us": False, "operation_id": None}
        assert run.execute(self.bring_back(suspension=theirs))["state"] == "Suspended"
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
        form = {"service": NAME, "backup": origin["container"], "target_name": name, "tracking_conn_id": database}
        planned = Run()
        planned.execute(PlanRestoreOperator(task_id="plan", request=form), map_index=-1)
        left = {key: planned.xcom("plan", key, -1) for key in ("request", "stored")}

        def make(**options: Any) -> StartRestoreOperator:
            plan = planned.xcom("plan", map_index=-1)
            given = {"service": f"{CLOUD_SERVICE}/{name}", "plan": plan, "retries": 280} | left | options
            return StartRestoreOperator(task_id="restore", **given)

        return make

    @pytest.fixture
    def begun(self, around, name, since) -> Callable[[], int]:
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

    def again(self, restore, run, name, begun, operation_id: bool) -> None:
        """Another try goes on with what was begun, and so does one after that."""
        first = run.execute(restore())
        assert bool(first["operation_id"]) == operation_id
        self.arrives(run, name, first["operation_id"])
        assert run.execute(restore()) == first
        assert begun() == 1

    def test_asked_for_once(self, restore, run, name, begun):
        self.again(restore, run, name, begun, True)

    @pytest.mark.parametrize("kind", ["reset-after", "truncated", "html", "reset-before"])
    def test_the_answer_is_lost(self, kind, restore, run, name, emulator, begun):
        emulator.fault(kind, "restore", service=name, count=1)
        loses_the_answer(run, restore())
        self.again(restore, run, name, begun, kind in ("reset-before", "html"))

    @pytest.mark.parametrize("arrived", [False, True])
    def test_the_worker_dies_after_the_request(self, arrived, restore, run, name, emulator, begun):
        run.store("restore").dies_at = "begun"
        with pytest.raises(Died):
            run.execute(restore())
        if arrived:
            emulator.reaches(name, "Suspended")
        self.again(restore, run, name, begun, False)

    @pytest.mark.parametrize("moment", ["intent", "request"])
    def test_the_worker_dies_before_it(self, moment, restore, run, name, begun, monkeypatch):
        if moment == "intent":
            run.store("restore").dies_at = "intent"
        else:
            dies_once(monkeypatch, BizTalkServicesHook, "restore", after=False)
        with pytest.raises(Died):
            run.execute(restore())
        assert begun() == 0
        self.again(restore, run, name, begun, True)

    def test_a_name_that_is_held_is_tried_again_until_it_is_free(self, restore, run, name, emulator, begun):
        self.held(emulator, name)
        task = restore()
        with pytest.raises(NameNotFreeError, match="is not free yet") as caught:
            run.execute(task)
        decision = task.retry_policy.evaluate(caught.value, 1, 280)
        assert (decision.action.value, decision.retry_delay.total_seconds()) == ("retry", 3.0)
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0})
        self.again(restore, run, name, begun, True)

    def test_and_given_up_at_the_deadline(self, restore, run, name, emulator, begun):
        self.held(emulator, name)
        with pytest.raises(NameNotFreeError):
            run.execute(restore())
        task = restore(name_deadline_minutes=0)
        with pytest.raises(NameNotFreeError, match="is still not free 0 minutes after") as caught:
            run.execute(task)
        assert decides(task, caught.value) == "fail"
        assert begun() == 0

    @staticmethod
    def held(emulator, name: str) -> None:
        emulator.operation(emulator.create(name))
        emulator.reaches(name, "Active")
        emulator.give_up(name)
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 3600})

    def test_a_busy_service_is_asked_again(self, restore, run, name, emulator, begun):
        emulator.fault("status", "restore", service=name, count=1, retry_after=7)
        with pytest.raises(ThrottledError) as caught:
            run.execute(restore())
        assert decides(restore(), caught.value) == "retry"
        self.again(restore, run, name, begun, True)

    def test_a_service_that_lives_is_not_touched(self, restore, run, name, emulator, begun):
        emulator.operation(emulator.create(name))
        task = restore()
        with pytest.raises(OperationNotAllowedError, match=r"lives .* Nothing was asked for") as caught:
            run.execute(task)
        assert (decides(task, caught.value), begun()) == ("fail", 0)

    def test_a_service_that_somebody_made_meanwhile_is_not_ours(self, restore, run, name, emulator, begun):
        emulator.fault("reset-before", "restore", service=name, count=1)
        loses_the_answer(run, restore())
        emulator.operation(emulator.create(name))
        emulator.reaches(name, "Active")
        with pytest.raises(OperationNotAllowedError, match="not by a restore") as caught:
            run.execute(restore())
        assert (decides(restore(), caught.value), begun()) == ("fail", 0)

    def test_a_value_that_the_service_refuses(self, restore, run, name, around, database, begun):
        """Airflow's own connection to the database's file shows no wrong password."""
        known = around.new_database()
        around.connect(database, around.sql({**LOGIN, "database": known.partition("sql_")[2]}, "anything"))
        with pytest.raises(BadRequestError) as caught:
            run.execute(restore())
        assert "refused user name and password" in str(caught.value)
        assert "canary-password" not in str(caught.value)
        assert (decides(restore(), caught.value), begun()) == ("fail", 0)

    def test_a_restore_that_fails_is_told_in_the_services_words(self, restore, run, name, emulator):
        emulator.fault("operation-fails", "restore", service=name, count=1, message="The moon is in the way.")
        operation_id = run.execute(restore())["operation_id"]
        with pytest.raises((EndedInTrigger, WaitFailedError), match="The moon is in the way"):
            self.arrives(run, name, operation_id)


LOGIN = {"server": "tcp:other.example", "database": "", "user": "me", "password": "canary-password"}


class Restored:
    """A service that was restored, and what the plan left."""

    def __init__(self, around: Surroundings, reference: dict[str, Any], **form: Any) -> None:
        self.around, self.run, self.name = around, Run(), fresh("restored")
        request = {"service": reference["service"], "backup": reference["container"], "target_name": self.name}
        request |= {"tracking_conn_id": around.new_database(self.name)} | form
        self.run.execute(PlanRestoreOperator(task_id="plan", request=request), map_index=-1)
        self.at = {"service": f"{CLOUD_SERVICE}/{self.name}"}
        left = {key: self.run.xcom("plan", key, -1) for key in ("request", "reference", "stored")}
        self.about = {"plan": self.run.xcom("plan", map_index=-1), **left}
        stored = self.about.pop("stored")
        self.run.execute(
            StartRestoreOperator(
                task_id="restore", plan=self.about["plan"], request=self.about["request"], stored=stored, **self.at
            ),
            map_index=-1,
        )
        around.emulator.reaches(self.name, "Suspended")

    def verify(self, **changes: Any) -> Any:
        task = VerifyRestoreOperator(task_id="verify", **self.at, **self.about | changes)
        return self.run.execute(task, map_index=-1)

    def settle(self, **changes: Any) -> list[dict[str, Any]]:
        task = AdvanceControlNumbersOperator(task_id="settle", **self.at, **self.about | changes)
        return self.run.execute(task, map_index=-1)["numbers"]

    def raised(self, since: int) -> list[dict[str, Any]]:
        return [each for each in self.around.changes(since) if each["operation"] == "merge_protocol_settings"]


@pytest.fixture
def restored(around: Surroundings, origin) -> Restored:
    return Restored(around, origin)


class TestVerify:
    def test_equal_but_for_what_was_asked(self, restored):
        found = restored.verify()
        assert found["differences"] == []
        assert any("TrackingStoreConnectionString" in each for each in found["allowed"])
        assert any(each.startswith("Service changed") for each in found["allowed"])

    def test_a_difference_is_named(self, restored, around):
        around.edit("Somebody else was here", name=restored.name)
        with pytest.raises(RestoreMismatchError) as caught:
            restored.verify()
        assert "Partner Fabrikam: Description changed" in str(caught.value)
        assert "It is Suspended" in str(caught.value)
        (difference,) = restored.run.xcom("verify", "differences", -1)
        assert difference in str(caught.value)

    def test_what_was_asked_and_did_not_come_is_named(self, restored):
        target = restored.about["plan"]["target"] | {"edition": "premium", "unit_count": 3}
        values = restored.about["plan"]["values"]
        values = [value | {"shown": value["shown"].replace("Tracking", "Elsewhere")} for value in values]
        with pytest.raises(RestoreMismatchError) as caught:
            restored.verify(plan=restored.about["plan"] | {"target": target, "values": values})
        assert "Setting Edition was to be premium, and is standard." in str(caught.value)
        assert "Setting UnitCount was to be 3, and is 1." in str(caught.value)
        assert "Setting TrackingStoreConnectionString was to be" in str(caught.value)

    def test_an_edition_that_nobody_asked_for(self, restored, monkeypatch):
        see = BizTalkServicesHook.get_service
        monkeypatch.setattr(
            BizTalkServicesHook, "get_service", lambda hook, address: replace(see(hook, address), edition="premium")
        )
        with pytest.raises(RestoreMismatchError, match="Setting Edition changed from 'standard' to 'premium'"):
            restored.verify()

    def test_nothing_was_recorded(self, restored):
        with pytest.raises(RestoreMismatchError, match="nobody recorded what was in backup unrecorded"):
            restored.verify(reference=restored.about["reference"] | {"container": "unrecorded"})

    def test_partner_management_that_is_away(self, restored, emulator):
        emulator.fault("status", "token")
        with pytest.raises(RestoreMismatchError, match="Partner management cannot be compared"):
            restored.verify()

    def test_no_connection_to_it(self, restored, around):
        around.connect(f"biztalk_acs_{NAME}acs", None)
        with pytest.raises(RestoreMismatchError, match=f"there is no connection biztalk_acs_{NAME}acs"):
            restored.verify()


class TestSettle:
    @pytest.fixture
    def restored(self, around: Surroundings, origin) -> Restored:
        around.traffic()
        return Restored(around, origin)

    def test_raised_once(self, restored, since, emulator):
        rows = restored.settle()
        asked = len(restored.raised(since))
        assert asked >= 1
        assert all(row["done"] for row in rows)
        assert restored.settle() == rows
        assert len(restored.raised(since)) == asked

    @pytest.mark.parametrize("after", [False, True])
    def test_the_worker_dies_at_a_raise(self, after, restored, since, around, monkeypatch):
        dies_once(monkeypatch, PartnerManagementClient, "merge", after=after)
        with pytest.raises(Died):
            restored.settle()
        rows = restored.settle()
        assert all(row["done"] for row in rows)
        assert restored.settle() == rows
        accepted = [each for each in restored.raised(since) if each["status"] == 204]
        assert len(accepted) == len({row["agreement"] for row in rows})

    def test_an_answer_to_a_raise_that_is_lost(self, restored, emulator):
        emulator.fault("reset-after", "merge_protocol_settings", count=1)
        with pytest.raises(OutcomeUnknownError):
            restored.settle()
        assert all(row["done"] for row in restored.settle())

    def test_only_told(self, restored, since):
        request = restored.about["request"] | {"control_numbers": "report"}
        rows = restored.settle(request=request)
        assert {row["done"] for row in rows} == {False}
        assert all(row["next"] <= row["highest"] for row in rows)
        assert restored.raised(since) == []

    def test_not_even_looked_at(self, restored, since, emulator):
        emulator.fault("status", "token")
        request = restored.about["request"] | {"control_numbers": "exact"}
        assert restored.settle(request=request) == []

    @pytest.mark.parametrize("policy", ["raise", "report"])
    def test_numbers_that_nobody_knows(self, policy, restored, around, since):
        around.connect(f"biztalk_tracking_{NAME}", None)
        request = restored.about["request"] | {"control_numbers": policy}
        if policy == "raise":
            with pytest.raises(ControlNumbersOpenError, match="Nobody can say which were used"):
                restored.settle(request=request)
            assert restored.run.xcom("settle", "numbers", -1)
        else:
            assert not any(row["done"] for row in restored.settle(request=request))
        assert restored.raised(since) == []

    def test_partner_management_that_is_away(self, restored, emulator, around, since):
        around.connect(f"biztalk_acs_{NAME}acs", around.access_control("wrong"))
        with pytest.raises(AccessControlError):
            restored.settle()
        assert restored.raised(since) == []


class TestStartingOver:
    """A range at its end that starts over: raised bounds alone would look as if it were used up."""

    @pytest.fixture
    def restored(self, around: Surroundings) -> Restored:
        around.traffic()
        used = used_since(NAME, EVER, Settings.load())
        lasts = {kind: used.use_of(AGREEMENT, kind).latest for kind in ("interchange", "group")}
        service = BizTalkServicesHook().get_service(ServiceRef.parse(SERVICE))
        with partner_management(service, f"biztalk_acs_{NAME}acs") as client:
            settings = protocol_settings_of(client.all_entities(ENTITY_SETS), AGREEMENT)
            changes = {property_name(kind, "UpperBound"): last + 2 for kind, last in lasts.items()}
            changes |= {property_name(kind, "Rollover"): True for kind in lasts}
            client.merge(settings["@id"], changes, settings["@etag"])
        reference = around.backed_up()
        around.traffic(messages=6)
        return Restored(around, reference, margin=5)

    def test_settled_again_it_is_the_same(self, restored, since):
        rows = restored.settle()
        assert all(row["done"] for row in rows)
        assert any("the last before it starts over" in row["sentence"] for row in rows)
        asked = len(restored.raised(since))
        assert restored.settle() == rows
        assert len(restored.raised(since)) == asked
