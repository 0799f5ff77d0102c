"""The plan of a restore and its confirmation: what is refused, what makes a plan outdated, who works on a service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import XComArg
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import ServiceLockedError, StorageError
from biztalk_services.flows.plan_restore import Planner, PlanOutdatedError, RestoreRefusedError
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import ExistingService, RestorePlan
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators.approval import NotApprovedError
from biztalk_services.provider.operators.backup import CheckBackupOperator
from biztalk_services.provider.operators.plan import PlanRestoreOperator

from tests.archive.azurite import free_port
from tests.archive.troubled_storage import Trouble, troubled
from tests.provider.connections import NAME, SERVICE, SERVICE_KEY, storage
from tests.provider.fakes import Run, TaskInstance
from tests.provider.surroundings import ARCHIVE, Surroundings
from tests.provider.walk import Restoration

REPLACE = {"service": NAME, "existing_service_policy": "replace"}
COPY = {"service": NAME, "target_name": "contosocopy"}


@pytest.fixture
def plan(run: Run) -> Callable[..., dict[str, Any]]:
    """Plans a restore; the plan."""

    def make(archive: str = ARCHIVE, **request: Any) -> dict[str, Any]:
        task = PlanRestoreOperator(task_id="plan", request=request, archive=archive)
        run.execute(task, map_index=-1)
        return run.xcom("plan", map_index=-1)

    return make


@pytest.fixture
def refused(run: Run, plan, around: Surroundings) -> Callable[..., str]:
    """Plans a restore that is refused, complete in XCom, without a request that changes anything; the refusal."""

    def make(*rules: str, **request: Any) -> str:
        since = around.mark()
        with pytest.raises(RestoreRefusedError) as caught:
            plan(**request)
        refusal = str(caught.value)
        assert [f"[{rule}]" in refusal for rule in rules] == [True] * len(rules), refusal
        assert refusal.count("[") == len(rules), refusal
        assert "nothing was changed" in refusal
        assert run.xcom("plan", "failure", -1) == refusal
        document = run.xcom("plan", "document", -1)
        assert "### Blocking issues" in document
        assert around.changes(since) == []
        policy = PlanRestoreOperator(task_id="plan").retry_policy
        assert policy.evaluate(caught.value, 1, 5).action.value == "fail"
        return refusal

    return make


@pytest.fixture
def archive(around: Surroundings) -> Archive:
    return open_archive(ARCHIVE)


@pytest.fixture
def forged(archive, origin) -> Callable[..., dict[str, Any]]:
    """An archive whose reference of the backup is another one; the form that means it."""

    def make(**changes: Any) -> dict[str, Any]:
        place = f"{ARCHIVE.partition('/')[0]}/catalog-{uuid4().hex[:12]}"
        reference = BackupReference.from_dict(origin)
        forgery = open_archive(place).catalog
        forgery.publish(replace(reference, **changes))
        forgery.record_inventory(reference.container, archive.catalog.inventory(NAME, reference.container))
        return {"archive": place, "backup": reference.container}

    return make


class TestRefused:
    def test_an_existing_service_without_consent(self, refused, origin):
        refusal = refused("name-free", service=NAME, backup=origin["container"])
        assert f"Service {SERVICE} already exists (Active)" in refusal

    def test_everything_at_once(self, refused, around, origin):
        around.connect(f"biztalk_acs_{NAME}acs", around.access_control("wrong"))
        form = {"service": NAME, "backup": origin["container"], "edition": "basic", "unit_count": 9}
        refused("edition-not-lower", "units-within-quota", "name-free", "value-works", **form)

    @pytest.mark.parametrize("name", ["tiny", "ends-with-a-dash-", "a-name-of-more-than-20-letters"])
    def test_an_invalid_name(self, name, refused, around, origin):
        form = {"tracking_conn_id": around.new_database(), "target_name": name}
        refused("target-name", service=NAME, backup=origin["container"], **form)

    def test_the_tracking_database_of_the_existing_original(self, refused, origin):
        refusal = refused("tracking-database-own", **COPY, backup=origin["container"])
        assert "Create a new database" in refusal

    def test_a_name_that_exists_in_another_scope(self, refused, origin):
        form = {**REPLACE, "target_scope": "contoso-north-europe", "backup": origin["container"]}
        assert "in another scope" in refused("name-free", **form)

    @pytest.mark.parametrize("edition", ["developer", "free"])
    def test_editions_without_restore(self, edition, refused, forged):
        refused("edition-has-restore", **REPLACE, **forged(edition=edition))
        refused("edition-has-restore", **REPLACE, **forged(), edition=edition)

    def test_another_subscription(self, refused, forged):
        refusal = refused("same-subscription", **REPLACE, **forged(subscription_id=str(uuid4())))
        assert "use its own connection" in refusal

    @pytest.mark.parametrize("version", ["1.0.9", None])
    def test_another_version(self, version, refused, forged):
        refused("same-version", **REPLACE, **forged(product_version=version))

    def test_more_than_the_edition_holds(self, refused, forged):
        refusal = refused("content-within-quota", **REPLACE, **forged(items={"agreements": 251}))
        assert "hold 250 agreements, and the backup has 251" in refusal

    def test_a_service_that_cannot_be_backed_up_before(self, refused, around, origin):
        around.emulator.force(NAME, "ScaleFailed")
        assert "ScaleFailed) cannot be backed up" in refused("safety-backup", **REPLACE, backup=origin["container"])

    def test_a_service_with_another_operation_under_way(self, refused, around, origin):
        around.emulator.fault("stuck", "restart", service=NAME, count=1)
        around.emulator.act(NAME, "restart")
        refused("existing-may-be-deleted", "safety-backup", **REPLACE, backup=origin["container"])

    def test_batches_and_numbers_that_are_unknown(self, refused, around, origin):
        around.connect(f"biztalk_tracking_{NAME}", None)
        refusal = refused("value-works", "control-numbers", **REPLACE, backup=origin["container"])
        assert refusal.count(f"biztalk_tracking_{NAME}") > 1


class TestBackups:
    @pytest.fixture
    def damaged(self, blobs, origin):
        """The backup's container, whose blobs are restored afterwards."""
        container = blobs.get_container_client(origin["container"])
        kept = {name: container.download_blob(name).readall() for name in container.list_blob_names()}
        yield container
        for name in container.list_blob_names():
            container.delete_blob(name)
        for name, content in kept.items():
            container.upload_blob(name, content)

    @pytest.mark.parametrize("how", ["tampered", "half", "a blob too many", "replaced as a whole"])
    def test_not_what_was_recorded(self, how, damaged, refused, origin):
        descriptor = f"{origin['container']}.txt"
        if how == "tampered":
            damaged.upload_blob("settings.json", b"{}", overwrite=True)
        elif how == "half":
            damaged.delete_blob(descriptor)
        elif how == "a blob too many":
            damaged.upload_blob("stowaway", b"x")
        else:
            document = json.loads(damaged.download_blob(descriptor).readall())
            damaged.upload_blob(descriptor, json.dumps(document, indent=7), overwrite=True)
        assert "is damaged" in refused("backup-whole", **REPLACE, backup=origin["container"])

    def test_a_container_that_does_not_exist(self, refused, forged):
        refused("backup-whole", **REPLACE, **forged(account="elsewhere"))

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"service": NAME, "backup": "never-taken"}, "has no reference to backup never-taken"),
            ({"service": "nobody"}, "has no backup of service nobody"),
            ({"service": NAME, "backup": {"schema_version": 99}}, "schema version 99"),
        ],
    )
    def test_an_unknown_backup(self, form, sentence, plan, around, run):
        since = around.mark()
        with pytest.raises(BackupServiceError, match=sentence) as caught:
            plan(**form)
        assert run.xcom("plan", "failure", -1) == str(caught.value)
        assert around.changes(since) == []

    def test_a_record_that_cannot_be_read_hides_the_newest(self, plan, around, blobs, forged):
        place = forged()["archive"]
        container = blobs.get_container_client(place.rpartition("/")[2])
        container.upload_blob(f"references/{NAME}/{NAME}-20990101-000000.json", b"torn")
        with pytest.raises(BackupServiceError, match="is not JSON"):
            plan(place, service=NAME)

    def test_storage_that_is_not_reachable_is_retried(self, plan, around, azurite):
        account = storage(azurite, host=f"http://127.0.0.1:{free_port()}/devstoreaccount1")
        around.connect("biztalk_backup_storage", account)
        with pytest.raises(BackupServiceError) as caught:
            plan(**REPLACE)
        assert PlanRestoreOperator(task_id="p").retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"


class TestValues:
    def test_a_rotated_key(self, refused, around, origin):
        around.emulator.admin("PUT", f"/world/namespaces/{NAME}acs", {"key": "another"})
        refusal = refused("value-works", **REPLACE, backup=origin["container"])
        assert f"AccessControlNamespace of connection biztalk_acs_{NAME}acs" in refusal

    def test_a_namespace_that_was_deleted(self, refused, around, origin):
        around.emulator.admin("DELETE", f"/world/namespaces/{NAME}acs")
        refused("value-works", **REPLACE, backup=origin["container"])

    def test_a_database_that_was_deleted(self, refused, around, origin):
        around.connect(f"biztalk_sql_{NAME}tracking", around.sql(around.credentials["tracking_database"], "gone"))
        refusal = refused("value-works", **REPLACE, backup=origin["container"])
        assert "cannot be reached through connection gone" in refusal

    def test_a_connection_that_does_not_exist(self, refused, origin):
        form = {**REPLACE, "backup": origin["container"], "monitoring_conn_id": "nowhere"}
        assert "There is no connection nowhere" in refused("value-works", **form)

    @pytest.mark.parametrize(
        ("conn_id", "change", "sentence"),
        [
            (f"biztalk_acs_{NAME}acs", {"extra": {}}, "does not name the Access Control namespace"),
            (f"biztalk_sql_{NAME}tracking", {"schema": None}, "has no schema"),
            ("biztalk_store_devstoreaccount1", {"password": "d3Jvbmc="}, "MonitoringStoreConnectionString"),
            ("biztalk_store_devstoreaccount1", {"password": None, "extra": {"sas_token": "sig=canary"}}, "account key"),
        ],
    )
    def test_a_connection_without_a_field(self, conn_id, change, sentence, around, origin, plan):
        known = json.loads(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"])
        around.connect(conn_id, known | change)
        with pytest.raises(RestoreRefusedError, match="value-works") as caught:
            plan(**REPLACE, backup=origin["container"])
        assert sentence in str(caught.value)
        assert "canary" not in str(caught.value)
        assert "d3Jvbmc=" not in str(caught.value)


class TestOutdated:
    """Something changes while the person reads the plan."""

    def outdated(self, around: Surroundings, meanwhile: Callable[[], Any], **form: Any) -> str:
        restoration = Restoration(Run(), **form).until("approval")
        assert restoration.errors == {}
        meanwhile()
        since = around.mark()
        restoration.all()
        error = restoration.errors["confirm_plan"]
        assert isinstance(error, PlanOutdatedError)
        assert "nothing was changed" in str(error)
        assert "Start another restore" in str(error)
        assert around.changes(since) == []
        assert str(error) in restoration.failure
        return str(error)

    def test_the_service_was_edited(self, around, origin):
        changes = self.outdated(around, lambda: around.edit("Changed"), **REPLACE, backup=origin["container"])
        assert "existing.etag" in changes
        assert "Partner Fabrikam" in changes

    def test_its_state_changed(self, around, origin):
        def suspended():
            around.emulator.force(NAME, "Suspended")

        changes = self.outdated(around, suspended, **REPLACE, backup=origin["container"])
        assert "existing.state: Active -> Suspended" in changes

    def test_it_was_deleted(self, around, origin):
        changes = self.outdated(around, lambda: around.emulator.give_up(NAME), **REPLACE, backup=origin["container"])
        assert "existing.state: Active -> nothing" in changes

    def test_a_connection_leads_elsewhere(self, around, origin):
        login = {"server": "tcp:elsewhere", "database": "Other", "user": "u", "password": "canary-password"}

        def moved():
            around.connect(f"biztalk_sql_{NAME}tracking", around.sql(login, f"biztalk_tracking_{NAME}"))

        form = {"backup": origin["container"], "tracking_conn_id": f"biztalk_sql_{NAME}tracking"}
        changes = self.outdated(around, moved, **REPLACE, **form)
        assert "values.TrackingStoreConnectionString" in changes
        assert "elsewhere" in changes
        assert "canary-password" not in changes

    def test_a_key_was_rotated(self, around, origin):
        def rotated():
            around.emulator.admin("PUT", f"/world/namespaces/{NAME}acs", {"key": "another"})

        changes = self.outdated(around, rotated, **REPLACE, backup=origin["container"])
        assert "values.AccessControlNamespace.check: passed -> failed" in changes

    def test_the_plan_was_made_again_and_is_not_approved(self, around, origin, run):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        around.edit("Changed after the approval")
        since = around.mark()
        del run.states["plan"]
        restoration.all()
        error = restoration.errors["confirm_plan"]
        assert isinstance(error, PlanOutdatedError)
        assert "the new one is not approved; nothing was changed" in str(error)
        assert around.changes(since) == []

    def test_the_plan_is_made_again_while_it_is_read(self, around, origin, run):
        """The person approves what they were shown, and not what the step holds by then."""
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("approval")
        shown = restoration.xcom("plan")["hash"]

        def made_again():
            around.edit("Changed while it is read")
            restoration.step("plan")

        since = around.mark()
        restoration.until("free_the_name", meanwhile=made_again)
        assert restoration.xcom("approval", "plan_hash") == shown != restoration.xcom("plan")["hash"]
        error = restoration.errors["confirm_plan"]
        assert isinstance(error, PlanOutdatedError)
        assert "the new one is not approved; nothing was changed" in str(error)
        assert [each for each in around.changes(since) if each["port"] == "management"] == []

    def test_a_plan_that_is_not_approved_in_time(self, around, origin, run):
        restoration = Restoration(run, **REPLACE, backup=origin["container"], approval_hours=2).until("approval")
        task = restoration.task("approval")
        with pytest.raises(NotApprovedError) as caught:
            task.execute_complete(
                run.context("approval", -1, task.retries, task), {"error": "It is late.", "error_type": "timeout"}
            )
        assert str(caught.value) == "The plan was not approved within 2:00:00. Nothing was changed."
        assert run.xcom("approval", "failure", -1) == str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 2).action.value == "fail"

    def test_traffic_and_time_change_nothing(self, around, origin, run):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("approval")
        around.traffic(messages=3)
        restoration.until("free_the_name")
        assert restoration.errors == {}
        assert restoration.xcom("confirm_plan")["hash"] == restoration.xcom("plan")["hash"]

    def test_a_refused_plan_that_was_marked_as_a_success(self, around, origin, run):
        restoration = Restoration(run, service=NAME, backup=origin["container"]).until("unless_plan_only")
        assert restoration.states["plan"] == "failed"
        restoration.states["plan"] = "success"
        since = around.mark()
        restoration.all()
        assert isinstance(restoration.errors["confirm_plan"], RestoreRefusedError)
        assert around.changes(since) == []

    def test_confirming_again_is_the_same(self, around, origin, run, archive):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        first = restoration.step("confirm_plan")
        assert restoration.step("confirm_plan")["hash"] == first["hash"]
        assert archive.locks.of(SERVICE_KEY).run.run_id == run.run_id


class TestOneRun:
    """Two runs never work on one service."""

    def confirmed(self, run: Run, origin) -> Restoration:
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("free_the_name")
        assert restoration.errors == {}
        return restoration

    def check(self, run: Run) -> Any:
        return run.execute(
            CheckBackupOperator(task_id="check", service=SERVICE, backup_name=f"{NAME}-{uuid4().hex[:8]}")
        )

    def test_a_night_leaves_a_service_that_is_restored_alone(self, around, origin, run):
        self.confirmed(run, origin)
        night = Run(active_runs={run.run_id})
        holder = rf"Service {SERVICE} is locked by run {run.run_id} of .* \(restore\)"
        with pytest.raises(ServiceLockedError, match=holder):
            self.check(night)
        night.active_runs.clear()
        assert self.check(night)["service"] == SERVICE

    def test_a_restore_leaves_a_service_that_is_backed_up_alone(self, refused, around, origin, run):
        night = Run()
        self.check(night)
        run.active_runs.add(night.run_id)
        assert f"is locked by run {night.run_id} " in refused("one-run", **REPLACE, backup=origin["container"])

    def test_the_backup_begins_while_the_plan_is_read(self, around, origin, run):
        night = Run()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("approval")
        self.check(night)
        run.active_runs.add(night.run_id)
        restoration.all()
        assert "rules.one-run" in str(restoration.errors["confirm_plan"])

    def test_the_backup_begins_after_the_last_check(self, around, origin, run, monkeypatch):
        night = Run()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        make = Planner.plan

        def lose_the_race(*arguments):
            plan = make(*arguments)
            self.check(night)
            run.active_runs.add(night.run_id)
            return plan

        monkeypatch.setattr(Planner, "plan", lose_the_race)
        restoration.step("confirm_plan")
        assert isinstance(restoration.errors["confirm_plan"], ServiceLockedError)

    def test_the_lock_of_a_run_that_has_ended(self, plan, around, origin):
        self.check(Run())
        assert plan(**REPLACE, backup=origin["container"])

    def test_the_lock_of_a_run_that_airflow_does_not_know(self, refused, around, origin, run):
        """Another Airflow's, or one whose database was lost; the lock expires."""
        stranger = Run()
        self.check(stranger)
        run.unknown_runs.add(stranger.run_id)
        refused("one-run", **REPLACE, backup=origin["container"])
        with pytest.raises(ServiceLockedError, match=r"until .* UTC\."):
            self.check(Run(unknown_runs={stranger.run_id}))

    def test_the_safety_backup_does_not_shorten_the_lock(self, around, origin, run, archive):
        restoration = self.confirmed(run, origin)
        before = archive.locks.of(SERVICE_KEY)
        restoration.until("replace.wait_until_drained")
        after = archive.locks.of(SERVICE_KEY)
        assert (after.run, after.purpose) == (before.run, "restore")
        assert after.until >= before.until


class TestArchive:
    @pytest.mark.parametrize("code", ["AuthorizationFailure", "BlobImmutableDueToPolicy"])
    def test_one_that_cannot_be_written_stops_it_first(self, around, origin, run, azurite, code):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        since = around.mark()
        with troubled(azurite) as proxy:
            proxy.troubles = [Trouble("PUT", "/checks/", 409 if "Policy" in code else 403, code, count=9)]
            around.connect("biztalk_backup_storage", storage(azurite, host=proxy.url))
            restoration.all()
        error = restoration.errors["confirm_plan"]
        assert isinstance(error, StorageError)
        assert code in str(error)
        assert around.changes(since) == []


class TestXCom:
    """The plan is the one XCom from which the other steps take what they need."""

    @pytest.fixture
    def made(self, plan, origin, around) -> dict[str, Any]:
        return plan(**REPLACE, backup=origin["container"], resume_afterwards=True)

    def test_it_holds_everything_that_other_steps_need(self, made, run, origin, around, archive):
        plan = RestorePlan.from_dict(made)
        assert made["existing"] == {"state": "Active", "etag": around.emulator.etag(NAME)}
        assert made["request"]["backup"] == origin["container"]
        assert plan.backup == BackupReference.from_dict(origin)
        assert plan.stored == archive.catalog.inventory(NAME, origin["container"]).settings
        assert plan.safety_backup == f"{NAME}-{run.begun_at:%Y%m%d-%H%M%S}-{SERVICE_KEY.digest}"
        assert plan.request.resume_afterwards is True
        assert {value["check"] for value in made["values"]} == {"passed", "not possible"}
        keys = {key for task_id, _, key in run.xcoms if task_id == "plan"}
        assert keys == {"return_value", "document"}

    def test_it_comes_back_from_xcom_as_it_was(self, made):
        plan = RestorePlan.from_dict(json.loads(json.dumps(made)))
        assert plan.to_dict() == made
        assert plan.hash == made["hash"]

    def test_every_decisive_part_changes_the_hash(self, made):
        plan = RestorePlan.from_dict(made)
        request, target, existing = plan.request, plan.target, plan.existing
        changes: dict[str, list[Any]] = {
            "conn_id": ["another"],
            "request": [
                replace(request, margin=request.margin + 1),
                replace(request, resume_afterwards=False),
                replace(request, overrides={"acs_conn_id": "another"}),
            ],
            "backup": [replace(plan.backup, container="another"), replace(plan.backup, blobs=plan.backup.blobs[1:])],
            "stored": [plan.stored | {"UnitCount": "7"}],
            "target": [
                replace(target, service="another/one"),
                replace(target, settings=target.settings | {"unit_count": 7}),
            ],
            "existing": [None, replace(existing, state="Suspended"), ExistingService(existing.state, "another")],
            "replaces": [False],
            "safety_backup": [None],
            "rules": [plan.rules[1:], (replace(plan.rules[0], message="Another."), *plan.rules[1:])],
            "values": [
                plan.values[1:],
                *((replace(plan.values[0], **{part: "another"}), *plan.values[1:]) for part in ("shown", "origin")),
                (replace(plan.values[0], check="failed"), *plan.values[1:]),
            ],
            "differences": [(*plan.differences, "Another.")],
            "steps": [plan.steps[1:]],
        }
        same: dict[str, Any] = {
            "made_at": plan.made_at + timedelta(minutes=1),
            "losses": (),
            "control_numbers": (NumberRow("Another", "group", 1, 2, 3, True, "Another."),),
            "expected_seconds": 1.0,
        }
        assert {*changes, *same} == set(RestorePlan.__dataclass_fields__)
        for part, others in changes.items():
            for other in others:
                changed = replace(plan, **{part: other})
                assert changed.hash != plan.hash, part
                assert all(line.startswith(part) for line in changed.changes_since(plan)), part
                assert changed.changes_since(plan), part
                assert RestorePlan.from_dict(json.loads(json.dumps(changed.to_dict()))).hash == changed.hash, part
        for part, other in same.items():
            assert replace(plan, **{part: other}).hash == plan.hash, part
        reworded = (replace(plan.values[0], sentence="Another."), *plan.values[1:])
        assert replace(plan, values=reworded).hash == plan.hash
        assert replace(plan, safety_backup="another").hash == plan.hash, "its name follows from the run"

    def test_no_step_takes_the_document(self, around, origin, run, monkeypatch):
        """It is for people; a step that took it would not take what was approved."""
        pulled = set()
        pull = TaskInstance.xcom_pull

        def record(ti: TaskInstance, task_ids: str, key: str = "return_value", **options: Any) -> Any:
            pulled.add((task_ids, key))
            return pull(ti, task_ids, key, **options)

        monkeypatch.setattr(TaskInstance, "xcom_pull", record)
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).all()
        assert restoration.errors == {}
        assert {key for task_id, key in pulled if task_id == "plan"} == {"return_value", "failure"}
        fields = [getattr(task, name) for task in restoration.dag.tasks for name in task.template_fields]
        references = XComArg.iter_xcom_references(fields)
        assert {key for task, key in references if task.task_id == "plan"} == {"return_value"}
