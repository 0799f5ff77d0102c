"""The plan of a restore and its confirmation: what is refused, what makes a plan outdated, who works on a service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import ServiceLockedError
from biztalk_services.archive.locks import Locks
from biztalk_services.flows.plan_restore import PlanOutdatedError, RestoreRefusedError
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.operators import plan as plan_module
from biztalk_services.provider.operators.backup import CheckBackupOperator
from biztalk_services.provider.operators.plan import PlanRestoreOperator

from tests.airflow_layer.connections import NAME, SERVICE, storage
from tests.airflow_layer.fakes import Run
from tests.airflow_layer.restoration import Restoration
from tests.airflow_layer.surroundings import CATALOG, Surroundings
from tests.catalog.azurite import free_port

REPLACE = {"service": NAME, "existing_service_policy": "replace"}
COPY = {"service": NAME, "target_name": "contosocopy"}


@pytest.fixture
def plan(run: Run) -> Callable[..., dict[str, Any]]:
    """Plans a restore; the plan."""

    def make(catalog: str = CATALOG, **request: Any) -> dict[str, Any]:
        task = PlanRestoreOperator(task_id="plan", request=request, catalog_container=catalog)
        run.execute(task, map_index=-1)
        return run.xcom("plan", map_index=-1)

    return make


@pytest.fixture
def refused(run: Run, plan, around: Surroundings) -> Callable[..., str]:
    """Plans a restore that is refused, whole in XCom, without a request that changes anything; the refusal."""

    def make(*rules: str, **request: Any) -> str:
        since = around.mark()
        with pytest.raises(RestoreRefusedError) as caught:
            plan(**request)
        told = str(caught.value)
        assert [f"[{rule}]" in told for rule in rules] == [True] * len(rules), told
        assert told.count("[") == len(rules), told
        assert "nothing was changed" in told
        assert run.xcom("plan", "failure", -1) == told
        document = run.xcom("plan", "document", -1)
        assert "### What speaks against it" in document
        assert around.changes(since) == []
        policy = PlanRestoreOperator(task_id="plan").retry_policy
        assert policy.evaluate(caught.value, 1, 5).action.value == "fail"
        return told

    return make


@pytest.fixture
def forged(blobs, origin) -> Callable[..., dict[str, Any]]:
    """A catalog whose reference of the backup says something else; the form that means it."""

    def make(**changes: Any) -> dict[str, Any]:
        catalog = f"catalog-{uuid4().hex[:12]}"
        reference = BackupReference.from_dict(origin)
        forgery = Catalog(blobs, catalog)
        forgery.publish(replace(reference, **changes))
        forgery.record_inventory(reference.container, Catalog(blobs, CATALOG).inventory(NAME, reference.container))
        return {"catalog": catalog, "backup": reference.container}

    return make


class TestRefused:
    def test_a_living_service_without_consent(self, refused, origin):
        told = refused("name-free", service=NAME, backup=origin["container"])
        assert f"Service {SERVICE} lives (Active)" in told

    def test_everything_at_once(self, refused, around, origin):
        around.connect(f"biztalk_acs_{NAME}acs", around.access_control("wrong"))
        form = {"service": NAME, "backup": origin["container"], "edition": "basic", "unit_count": 9}
        refused("edition-not-lower", "units-within-quota", "name-free", "value-works", **form)

    @pytest.mark.parametrize("name", ["tiny", "ends-with-a-dash-", "a-name-of-more-than-20-letters"])
    def test_a_name_that_no_service_can_have(self, name, refused, around, origin):
        form = {"tracking_conn_id": around.new_database(), "target_name": name}
        refused("target-name", service=NAME, backup=origin["container"], **form)

    def test_the_tracking_database_of_the_living_original(self, refused, origin):
        told = refused("tracking-database-own", **COPY, backup=origin["container"])
        assert "Make a new database" in told

    def test_a_name_that_lives_in_another_cloud_service(self, refused, origin):
        form = {**REPLACE, "target_scope": "contoso-north-europe", "backup": origin["container"]}
        assert "in another cloud service" in refused("name-free", **form)

    @pytest.mark.parametrize("edition", ["developer", "free"])
    def test_editions_without_restore(self, edition, refused, forged):
        refused("edition-has-restore", **REPLACE, **forged(edition=edition))
        refused("edition-has-restore", **REPLACE, **forged(), edition=edition)

    def test_another_subscription(self, refused, forged):
        told = refused("same-subscription", **REPLACE, **forged(subscription_id=str(uuid4())))
        assert "use its own connection" in told

    @pytest.mark.parametrize("version", ["1.0.9", None])
    def test_another_version(self, version, refused, forged):
        refused("same-version", **REPLACE, **forged(product_version=version))

    def test_more_than_the_edition_holds(self, refused, forged):
        told = refused("content-within-quota", **REPLACE, **forged(items={"agreements": 251}))
        assert "hold 250 agreements, and the backup has 251" in told

    def test_a_service_that_cannot_be_backed_up_before(self, refused, around, origin):
        around.emulator.force(NAME, "ScaleFailed")
        assert "ScaleFailed) cannot be backed up" in refused("way-back", **REPLACE, backup=origin["container"])

    def test_a_service_with_another_operation_under_way(self, refused, around, origin):
        around.emulator.fault("stuck", "restart", service=NAME, count=1)
        around.emulator.act(NAME, "restart")
        refused("living-may-be-deleted", "way-back", **REPLACE, backup=origin["container"])

    def test_batches_and_numbers_that_nobody_can_tell(self, refused, around, origin):
        around.connect(f"biztalk_tracking_{NAME}", None)
        told = refused("value-works", "control-numbers-settled", **REPLACE, backup=origin["container"])
        assert told.count(f"biztalk_tracking_{NAME}") > 1


class TestBackups:
    @pytest.fixture
    def bent(self, blobs, origin):
        """The backup's container, whose blobs are put right afterwards."""
        container = blobs.get_container_client(origin["container"])
        kept = {name: container.download_blob(name).readall() for name in container.list_blob_names()}
        yield container
        for name in container.list_blob_names():
            container.delete_blob(name)
        for name, content in kept.items():
            container.upload_blob(name, content)

    @pytest.mark.parametrize("how", ["tampered", "half", "a blob too many", "replaced as a whole"])
    def test_not_what_was_recorded(self, how, bent, refused, origin):
        descriptor = f"{origin['container']}.txt"
        if how == "tampered":
            bent.upload_blob("settings.json", b"{}", overwrite=True)
        elif how == "half":
            bent.delete_blob(descriptor)
        elif how == "a blob too many":
            bent.upload_blob("stowaway", b"x")
        else:
            document = json.loads(bent.download_blob(descriptor).readall())
            bent.upload_blob(descriptor, json.dumps(document, indent=7), overwrite=True)
        assert "is not whole" in refused("backup-whole", **REPLACE, backup=origin["container"])

    def test_a_container_that_is_gone(self, refused, forged):
        refused("backup-whole", **REPLACE, **forged(account="elsewhere"))

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({"service": NAME, "backup": "never-taken"}, "has no reference to backup never-taken"),
            ({"service": "nobody"}, "has no backup of service nobody"),
            ({"service": NAME, "backup": {"schema_version": 99}}, "schema version 99"),
        ],
    )
    def test_unknown(self, form, sentence, plan, around, run):
        since = around.mark()
        with pytest.raises(BackupServiceError, match=sentence) as caught:
            plan(**form)
        assert run.xcom("plan", "failure", -1) == str(caught.value)
        assert around.changes(since) == []

    def test_the_newest_is_not_known_when_a_record_cannot_be_read(self, plan, around, blobs, forged):
        catalog = forged()["catalog"]
        blobs.get_container_client(catalog).upload_blob(f"references/{NAME}/{NAME}-20990101-000000.json", b"torn")
        with pytest.raises(BackupServiceError, match="is not JSON"):
            plan(catalog, service=NAME)

    def test_storage_that_does_not_answer_is_tried_again(self, plan, around, azurite):
        account = storage(azurite, host=f"http://127.0.0.1:{free_port()}/devstoreaccount1")
        around.connect("biztalk_backup_storage", account)
        with pytest.raises(BackupServiceError) as caught:
            plan(**REPLACE)
        assert PlanRestoreOperator(task_id="p").retry_policy.evaluate(caught.value, 1, 5).action.value == "retry"


class TestValues:
    def test_a_rotated_key(self, refused, around, origin):
        around.emulator.admin("PUT", f"/world/namespaces/{NAME}acs", {"key": "another"})
        told = refused("value-works", **REPLACE, backup=origin["container"])
        assert f"AccessControlNamespace of connection biztalk_acs_{NAME}acs" in told

    def test_a_namespace_that_is_gone(self, refused, around, origin):
        around.emulator.admin("DELETE", f"/world/namespaces/{NAME}acs")
        refused("value-works", **REPLACE, backup=origin["container"])

    def test_a_database_that_is_gone(self, refused, around, origin):
        around.connect(f"biztalk_sql_{NAME}tracking", around.sql(around.credentials["tracking_database"], "gone"))
        told = refused("value-works", **REPLACE, backup=origin["container"])
        assert "cannot be reached through connection gone" in told

    def test_a_connection_that_there_is_not(self, refused, origin):
        form = {**REPLACE, "backup": origin["container"], "monitoring_conn_id": "nowhere"}
        assert "There is no connection nowhere" in refused("value-works", **form)

    @pytest.mark.parametrize(
        ("conn_id", "change", "sentence"),
        [
            (f"biztalk_acs_{NAME}acs", {"extra": {}}, "does not say the Access Control namespace"),
            (f"biztalk_sql_{NAME}tracking", {"schema": None}, "has no schema"),
            (f"biztalk_sql_{NAME}tracking", {"login": "a;b"}, "holds a semicolon"),
            ("biztalk_store_devstoreaccount1", {"password": "d3Jvbmc="}, "MonitoringStoreConnectionString"),
            ("biztalk_store_devstoreaccount1", {"password": None, "extra": {"sas_token": "sig=canary"}}, "account key"),
        ],
    )
    def test_a_connection_that_lacks_something(self, conn_id, change, sentence, around, origin, plan):
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
        assert restoration.troubles == {}
        meanwhile()
        since = around.mark()
        restoration.all()
        error = restoration.troubles["confirm_plan"]
        assert isinstance(error, PlanOutdatedError)
        assert "nothing was changed" in str(error)
        assert "Start another restore" in str(error)
        assert around.changes(since) == []
        assert str(error) in restoration.verdict
        return str(error)

    def test_the_service_was_edited(self, around, origin):
        told = self.outdated(around, lambda: around.edit("Changed"), **REPLACE, backup=origin["container"])
        assert "living.etag" in told
        assert "Partner Fabrikam" in told

    def test_its_state_changed(self, around, origin):
        def suspended():
            around.emulator.force(NAME, "Suspended")

        told = self.outdated(around, suspended, **REPLACE, backup=origin["container"])
        assert "living.state: Active -> Suspended" in told

    def test_it_was_deleted(self, around, origin):
        told = self.outdated(around, lambda: around.emulator.give_up(NAME), **REPLACE, backup=origin["container"])
        assert "living" in told

    def test_a_connection_leads_elsewhere(self, around, origin):
        login = {"server": "tcp:elsewhere", "database": "Other", "user": "u", "password": "canary-password"}

        def moved():
            around.connect(f"biztalk_sql_{NAME}tracking", around.sql(login, f"biztalk_tracking_{NAME}"))

        form = {"backup": origin["container"], "tracking_conn_id": f"biztalk_sql_{NAME}tracking"}
        told = self.outdated(around, moved, **REPLACE, **form)
        assert "values.TrackingStoreConnectionString" in told
        assert "elsewhere" in told
        assert "canary-password" not in told

    def test_a_key_was_rotated(self, around, origin):
        def rotated():
            around.emulator.admin("PUT", f"/world/namespaces/{NAME}acs", {"key": "another"})

        told = self.outdated(around, rotated, **REPLACE, backup=origin["container"])
        assert "values.AccessControlNamespace.check: passed -> failed" in told

    def test_the_plan_was_made_again_and_nobody_has_read_that_one(self, around, origin, run):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        around.edit("Changed after the approval")
        since = around.mark()
        del run.states["plan"]
        restoration.all()
        error = restoration.troubles["confirm_plan"]
        assert isinstance(error, PlanOutdatedError)
        assert "nobody has approved the new one; nothing was changed" in str(error)
        assert around.changes(since) == []

    def test_traffic_and_time_change_nothing(self, around, origin, run):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("approval")
        around.traffic(messages=3)
        restoration.until("free_the_name")
        assert restoration.troubles == {}
        assert restoration.said("confirm_plan")["hash"] == restoration.said("plan")["hash"]

    def test_a_refused_plan_that_somebody_marked_as_a_success_is_not_carried_out(self, around, origin, run):
        restoration = Restoration(run, service=NAME, backup=origin["container"]).until("unless_plan_only")
        assert restoration.states["plan"] == "failed"
        restoration.states["plan"] = "success"
        since = around.mark()
        restoration.all()
        assert isinstance(restoration.troubles["confirm_plan"], RestoreRefusedError)
        assert around.changes(since) == []

    def test_confirming_again_is_the_same(self, around, origin, run, blobs):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        first = restoration.step("confirm_plan")
        assert restoration.step("confirm_plan")["hash"] == first["hash"]
        assert Locks(blobs, CATALOG).of(NAME).run.run_id == run.run_id


class TestOneJob:
    """Two runs never work on one service."""

    def confirmed(self, run: Run, origin) -> Restoration:
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("free_the_name")
        assert restoration.troubles == {}
        return restoration

    def check(self, run: Run) -> Any:
        return run.execute(
            CheckBackupOperator(task_id="check", service=SERVICE, backup_name=f"{NAME}-{uuid4().hex[:8]}")
        )

    def test_a_night_keeps_away_from_a_service_that_is_restored(self, around, origin, run):
        self.confirmed(run, origin)
        night = Run(others_that_run={run.run_id})
        with pytest.raises(ServiceLockedError, match=rf"Run {run.run_id} .* works on service {NAME} \(restore\)"):
            self.check(night)
        night.others_that_run.clear()
        assert self.check(night)["name"] == NAME

    def test_a_restore_keeps_away_from_a_service_that_is_backed_up(self, refused, around, origin, run):
        night = Run()
        self.check(night)
        run.others_that_run.add(night.run_id)
        assert f"Run {night.run_id}" in refused("one-job", **REPLACE, backup=origin["container"])

    def test_also_when_the_backup_begins_while_the_plan_is_read(self, around, origin, run):
        night = Run()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("approval")
        self.check(night)
        run.others_that_run.add(night.run_id)
        restoration.all()
        assert "rules.one-job" in str(restoration.troubles["confirm_plan"])

    def test_also_when_it_begins_after_the_last_look(self, around, origin, run, monkeypatch):
        night = Run()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("confirm_plan")
        made = plan_module.make_plan

        def made_and_lost_the_race(*arguments):
            plan = made(*arguments)
            self.check(night)
            run.others_that_run.add(night.run_id)
            return plan

        monkeypatch.setattr(plan_module, "make_plan", made_and_lost_the_race)
        restoration.step("confirm_plan")
        assert isinstance(restoration.troubles["confirm_plan"], ServiceLockedError)

    def test_a_run_that_has_ended_is_in_nobodys_way(self, plan, around, origin):
        self.check(Run())
        assert plan(**REPLACE, backup=origin["container"])

    def test_a_run_that_airflow_does_not_know_may_still_be_at_it(self, refused, around, origin, run):
        """Another Airflow's, or one whose database was lost; the claim ends by itself."""
        stranger = Run()
        self.check(stranger)
        run.unknown_runs.add(stranger.run_id)
        refused("one-job", **REPLACE, backup=origin["container"])
        with pytest.raises(ServiceLockedError, match=r"until .* UTC at the latest"):
            self.check(Run(unknown_runs={stranger.run_id}))

    def test_the_safety_backup_does_not_shorten_the_claim_of_its_restore(self, around, origin, run, blobs):
        restoration = self.confirmed(run, origin)
        before = Locks(blobs, CATALOG).of(NAME)
        restoration.until("replace.wait_until_drained")
        after = Locks(blobs, CATALOG).of(NAME)
        assert (after.run, after.purpose) == (before.run, "restore")
        assert after.until >= before.until


def test_what_the_plan_leaves_is_everything_that_the_others_need(plan, run, origin, around):
    made = plan(**REPLACE, backup=origin["container"], resume_afterwards=True)
    assert made["living"] == {"state": "Active", "etag": around.emulator.etag(NAME)}
    assert run.xcom("plan", "request", -1)["backup"] == origin["container"]
    assert run.xcom("plan", "reference", -1) == origin
    assert run.xcom("plan", "safety", -1) == {
        "backup_name": f"{NAME}-{run.run_after:%Y%m%d-%H%M%S}", "tracking_conn_id": f"biztalk_tracking_{NAME}"
    }  # fmt: skip
    assert run.xcom("plan", "resumption", -1)["suspended_by_us"] is True
    assert {value["check"] for value in made["values"]} == {"passed", "not possible"}
