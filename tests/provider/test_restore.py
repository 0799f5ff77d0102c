"""Restores from the plan to the report, with the steps of the DAG, against emulator and Azurite."""

from __future__ import annotations

import json
from typing import Any

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.flows.restore_report import FAILED, PLANNED, REFUSED, RESTORED
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.provider.connections import open_archive

from tests.archive.azurite import free_port
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import CLOUD_SERVICE, NAME, SERVICE, management
from tests.provider.fakes import Run
from tests.provider.surroundings import AGREEMENT, ARCHIVE, CATALOG, Surroundings, fresh
from tests.provider.walk import Restoration

pytestmark = pytest.mark.usefixtures("around")

CHANGES_OF_A_REPLACEMENT = ["suspend", "backup", "delete", "restore"]
REPLACE = {"service": NAME, "existing_service_policy": "replace"}


@pytest.fixture
def emulator(around: Surroundings):
    return around.emulator


@pytest.fixture
def archive(around: Surroundings) -> Archive:
    return open_archive(ARCHIVE)


def done(restoration: Restoration) -> dict[str, Any]:
    """The outcome of a restore that succeeded."""
    assert restoration.errors == {}
    assert restoration.outcome["outcome"] == RESTORED
    return restoration.outcome


def failed(restoration: Restoration, step: str) -> dict[str, Any]:
    """The outcome of a restore that changed something and failed at a step."""
    outcome = restoration.outcome
    assert (outcome["outcome"], restoration.states[step]) == (FAILED, "failed")
    assert restoration.failure == outcome["reason"] == restoration.xcom("report", "failure")
    return outcome


def records(blobs, service: str) -> list[dict[str, Any]]:
    container = blobs.get_container_client(CATALOG)
    names = container.list_blob_names(name_starts_with=f"restores/{service.lower()}/")
    return [json.loads(container.download_blob(name).readall()) for name in names]


def is_locked(archive: Archive, service: str = NAME) -> bool:
    key = ServiceKey(SUBSCRIPTION, ServiceRef.parse(f"{CLOUD_SERVICE}/{service}"))
    return archive.locks.of(key) is not None


def operations_since(around: Surroundings, mark: int) -> list[str]:
    """What was requested of the management API."""
    return [each["operation"] for each in around.changes(mark) if each["port"] == "management"]


class TestToANewName:
    def test_it_holds_what_the_backup_held(self, run, around, origin, emulator, archive):
        name, mark = fresh("copy"), around.mark()
        restoration = Restoration(run, service=NAME, target_name=name, tracking_conn_id=around.new_database(name))
        outcome = done(restoration.all())
        assert (outcome["service"], outcome["state"]) == (f"{CLOUD_SERVICE}/{name}", "Suspended")
        assert emulator.state(name) == "Suspended"
        assert (
            emulator.admin("GET", f"/services/{name}")["items"] == emulator.admin("GET", f"/services/{NAME}")["items"]
        )
        recorded = archive.catalog.inventory(NAME, origin["container"])
        assert f"All {len(recorded.items)} items" in restoration.xcom("verify_restore")["checked"]
        assert "Service contosoorders changed" not in str(outcome["differences"])
        assert operations_since(around, mark) == ["restore"]
        assert emulator.state(NAME) == "Active"

    def test_the_existing_original_does_not_matter(self, run, around):
        around.traffic()
        name = fresh("copy")
        conn_id = around.new_database(name)
        restoration = Restoration(
            run, service=NAME, target_name=name, tracking_conn_id=conn_id, resume_afterwards=True
        ).all()
        assert done(restoration)["state"] == "Active"
        assert {row["agreement"] for row in restoration.outcome["numbers"]} >= {AGREEMENT}
        assert all(row["done"] for row in restoration.outcome["numbers"])

    def test_higher_edition_and_more_units(self, run, around, emulator):
        name = fresh("copy")
        form = {"edition": "premium", "unit_count": 2, "tracking_conn_id": around.new_database(name)}
        restoration = Restoration(run, service=NAME, target_name=name, **form).all()
        done(restoration)
        service = emulator.admin("GET", f"/services/{name}")
        assert (service["edition"], service["settings"]["UnitCount"]) == ("premium", 2)
        expected = " ".join(restoration.xcom("verify_restore")["expected"])
        for setting in ("Edition", "UnitCount", "TrackingStoreConnectionString"):
            assert f"Setting {setting} changed" in expected

    def test_a_backup_by_its_reference(self, run, around, origin):
        name = fresh("copy")
        form = {"backup": origin, "target_name": name, "tracking_conn_id": around.new_database(name)}
        assert done(Restoration(run, service=NAME, **form).all())["backup"].endswith(origin["container"])


class TestToTheSameName:
    def test_backs_up_deletes_and_restores(self, run, around, origin, emulator, blobs, archive):
        before, _ = around.description(), around.edit("Latecomer")
        since = around.mark()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).all()
        outcome = done(restoration)
        assert (outcome["state"], outcome["approved_by"]) == ("Suspended", "ada")
        assert operations_since(around, since) == CHANGES_OF_A_REPLACEMENT
        assert "Latecomer" in " ".join(restoration.xcom("plan")["differences"])
        safety = restoration.xcom("replace.publish_reference")
        reference = archive.catalog.read(NAME, safety["container"])
        assert (reference.run.run_id, reference.kind) == (run.run_id, "safety")
        assert safety["container"] == restoration.xcom("plan")["safety_backup"]
        inventory = archive.catalog.inventory(NAME, safety["container"])
        assert "Latecomer" in inventory.to_bytes().decode()
        assert around.description() == before
        (record,) = [each for each in records(blobs, NAME) if each["run"]["run_id"] == run.run_id]
        assert record["outcome"] == RESTORED
        assert record["plan"] == restoration.xcom("plan")
        assert not is_locked(archive)

    def test_a_service_that_was_deleted_before(self, run, around, origin, emulator):
        emulator.give_up(NAME)
        since = around.mark()
        done(Restoration(run, service=NAME, backup=origin["container"], resume_afterwards=True).all())
        assert operations_since(around, since) == ["restore", "resume"]
        assert emulator.state(NAME) == "Active"

    def test_a_service_that_cannot_be_backed_up(self, run, around, origin, emulator):
        emulator.force(NAME, "ScaleFailed")
        since = around.mark()
        form = {**REPLACE, "backup": origin["container"], "without_safety_backup": True}
        restoration = Restoration(run, **form).all()
        done(restoration)
        assert operations_since(around, since) == ["delete", "restore"]
        assert restoration.states["replace.resume_unless_deleted"] == "skipped"

    def test_a_name_that_is_held_for_a_while(self, run, around, origin, emulator):
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0.4})
        done(Restoration(run, **REPLACE, backup=origin["container"]).all())

    def test_only_the_plan(self, run, around, emulator, archive):
        """Also where nothing blocks the restore."""
        for form in (
            REPLACE,
            {"service": NAME, "target_name": fresh("copy"), "tracking_conn_id": around.new_database()},
        ):
            since, restoration = around.mark(), Restoration(Run(), **form, plan_only=True).all()
            assert restoration.errors == {}
            assert restoration.outcome["outcome"] == PLANNED
            assert {state for step, state in restoration.states.items() if step not in ("plan", "report")} <= {
                "success", "skipped"
            }  # fmt: skip
            assert (restoration.states["restore"], around.changes(since)) == ("skipped", [])
        assert not is_locked(archive)

    def test_not_approved(self, run, around):
        since, restoration = around.mark(), Restoration(run, **REPLACE).all(approved=False)
        assert restoration.outcome["outcome"] == REFUSED
        assert "The plan was rejected by ada" in restoration.failure
        assert restoration.failure.endswith("Nothing was changed.")
        assert around.changes(since) == []


class TestControlNumbers:
    """Traffic after the backup, and again after the restore."""

    def restored(self, run, around, origin, policy: str) -> dict[str, Any]:
        around.traffic(messages=5)
        form = {**REPLACE, "backup": origin["container"], "control_numbers": policy, "resume_afterwards": True}
        return done(Restoration(run, **form).all())

    def test_raised_numbers_come_only_once(self, run, around, origin, emulator):
        outcome = self.restored(run, around, origin, "raise")
        duplicates = around.duplicates()
        rows = [row for row in outcome["numbers"] if row["agreement"] == AGREEMENT]
        assert [(row["next"], row["done"]) for row in rows] == [(row["highest"] + 101, True) for row in rows]
        around.traffic(messages=10)
        assert around.duplicates() == duplicates

    @pytest.mark.parametrize("policy", ["report", "exact"])
    def test_other_numbers_come_again(self, policy, run, around, origin):
        duplicates = around.duplicates()
        outcome = self.restored(run, around, origin, policy)
        assert bool(outcome["numbers"]) == (policy == "report")
        assert not any(row["done"] for row in outcome["numbers"])
        around.traffic(messages=5)
        again = around.duplicates()
        assert any(times > duplicates.get(number, 1) for number, times in again.items())

    def test_the_margin_counts(self, run, around, origin):
        around.traffic()
        form = {**REPLACE, "backup": origin["container"], "margin": 7}
        for row in done(Restoration(run, **form).all())["numbers"]:
            last = row["backup"] if row["latest"] is None else row["latest"]
            assert row["next"] == last + 8


class TestItFails:
    def test_the_undo_form_restores_what_was_deleted(self, run, around, origin, emulator, blobs, archive):
        around.edit("Keepsake")
        around.traffic()
        duplicates = around.duplicates()
        emulator.fault("operation-fails", "restore", count=1, message="The region is full.")
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).all()
        outcome = failed(restoration, "wait_for_restore")
        assert "The region is full." in outcome["reason"]
        assert (outcome["state"], restoration.states["replace.resume_unless_deleted"]) == (
            "RestoreFailed",
            "success",
        )
        assert json.dumps(outcome["undo_form"]) in outcome["reason"]
        assert outcome["safety_backup"].endswith(outcome["undo_form"]["backup"])
        assert not is_locked(archive)
        (record,) = [each for each in records(blobs, NAME) if each["run"]["run_id"] == run.run_id]
        assert (record["outcome"], record["undo_form"]) == (FAILED, outcome["undo_form"])
        undone = Restoration(Run(), **outcome["undo_form"], resume_afterwards=True).all()
        assert done(undone)["state"] == "Active"
        assert around.description() == "Keepsake"
        around.traffic(messages=5)
        assert around.duplicates() == duplicates

    def test_the_restore_is_refused_and_the_name_is_free(self, run, around, origin, emulator):
        emulator.fault("status", "restore", status=400, code="BadRequest", message="The tracking database is unhappy.")
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).all()
        outcome = failed(restoration, "restore")
        assert "The tracking database is unhappy." in outcome["reason"]
        assert (outcome["state"], "is deleted now" in outcome["reason"]) == (None, True)
        emulator.admin("DELETE", "/faults")
        done(Restoration(Run(), **outcome["undo_form"]).all())

    def test_a_service_deleted_without_a_backup_is_named(self, run, around, origin, emulator):
        emulator.force(NAME, "ScaleFailed")
        emulator.fault("status", "restore", status=400, code="BadRequest", message="The tracking database is unhappy.")
        form = {**REPLACE, "backup": origin["container"], "without_safety_backup": True}
        outcome = failed(Restoration(run, **form).all(), "restore")
        assert "The service that was there was deleted without a backup, as approved." in outcome["reason"]
        assert (outcome["state"], outcome["safety_backup"], outcome["undo_form"]) == (None, None, None)
        emulator.admin("DELETE", "/faults")
        done(Restoration(Run(), service=NAME, backup=origin["container"]).all())

    def test_the_state_is_unknown_at_the_end(self, run, around, origin, emulator):
        """The undo form then replaces what may be there."""
        emulator.fault("operation-fails", "restore", count=1)
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("report")
        around.connect("biztalk_default", management(emulator) | {"port": free_port()})
        outcome = failed(restoration.all(), "wait_for_restore")
        assert outcome["state"] == "in an unknown state"
        assert f"Service {SERVICE} is in an unknown state now." in outcome["reason"]
        form = outcome["undo_form"]
        assert (form["existing_service_policy"], form["without_safety_backup"]) == ("replace", True)
        assert (form["service"], form["target_scope"], form["control_numbers"]) == (NAME, CLOUD_SERVICE, "report")

    def test_the_undo_form_has_only_matching_connections(self, run, around, origin, emulator):
        emulator.fault("operation-fails", "restore", count=1)
        form = {"tracking_conn_id": around.new_database(), "acs_conn_id": f"biztalk_acs_{NAME}acs"}
        restoration = Restoration(run, **REPLACE, backup=origin["container"], **form).all()
        undo_form = failed(restoration, "wait_for_restore")["undo_form"]
        assert undo_form["acs_conn_id"] == f"biztalk_acs_{NAME}acs"
        assert "tracking_conn_id" not in undo_form
        assert "tracking_conn_id" not in restoration.failure

    def test_the_known_issue_of_a_stored_value(self, run, around, origin, emulator):
        """No connection leads to the namespace, so it cannot be checked before."""
        around.connect(f"biztalk_acs_{NAME}acs", None)
        emulator.give_up(NAME)
        emulator.admin("PUT", f"/world/namespaces/{NAME}acs", {"key": "another"})
        restoration = Restoration(run, service=NAME, backup=origin["container"], control_numbers="report").all()
        (value,) = [each for each in restoration.xcom("plan")["values"] if each["setting"] == "AccessControlNamespace"]
        assert (value["check"], value["origin"]) == ("not possible", "backup")
        outcome = failed(restoration, "wait_for_restore")
        assert "RestoreFailed" in outcome["reason"]
        assert f"namespace {NAME}acs refused the key" in outcome["reason"]
        assert (outcome["undo_form"], outcome["safety_backup"]) == (None, None)

    def test_the_safety_backup_fails(self, run, around, origin, emulator):
        emulator.fault("operation-fails", "backup", service=NAME, count=1, message="The disk is full.")
        since, restoration = around.mark(), Restoration(run, **REPLACE, backup=origin["container"]).all()
        outcome = failed(restoration, "replace.wait_for_backup")
        assert "The disk is full." in outcome["reason"]
        assert (outcome["state"], outcome["undo_form"]) == ("Active", None)
        assert operations_since(around, since) == ["suspend", "backup", "resume"]

    @pytest.mark.parametrize("kind", ["reset-before", "operation-fails"])
    def test_the_deletion_fails(self, kind, run, around, origin, emulator):
        emulator.fault(kind, "delete", service=NAME, count=1)
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).all()
        step = "replace.delete" if kind == "reset-before" else "replace.wait_until_deleted"
        outcome = failed(restoration, step)
        assert (outcome["state"], outcome["undo_form"], emulator.state(NAME)) == ("Active", None, "Active")
        assert outcome["safety_backup"]
        assert restoration.states["restore"] == "upstream_failed"

    def test_the_storage_loses_the_safety_backup_before_the_deletion(self, run, around, origin, emulator, blobs):
        since = around.mark()
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("replace.delete")
        safety = restoration.xcom("replace.publish_reference")["container"]
        blobs.get_blob_client(safety, "edi-runtime.json").delete_blob()
        outcome = failed(restoration.all(), "replace.delete")
        assert f"Service {SERVICE} is not deleted" in outcome["reason"]
        assert "is damaged: edi-runtime.json is missing" in outcome["reason"]
        assert (outcome["state"], outcome["undo_form"]) == ("Active", None)
        assert operations_since(around, since) == ["suspend", "backup", "resume"]

    def test_the_service_is_resumed_before_the_deletion(self, run, around, origin, emulator):
        """The DAG was paused, and the watchdog resumed it; messages may have come since its safety backup."""
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("replace.delete")
        emulator.force(NAME, "Active")
        since = around.mark()
        outcome = failed(restoration.all(), "replace.delete")
        assert f"Service {SERVICE} was Suspended and is Active now" in outcome["reason"]
        assert operations_since(around, since) == []

    @pytest.mark.parametrize("until", ["replace.delete", "report"])
    def test_the_storage_loses_the_reference_of_the_safety_backup(self, until, run, around, origin, blobs):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until(until)
        safety = restoration.xcom("replace.publish_reference")["container"]
        reference = blobs.get_blob_client(CATALOG, f"references/{NAME}/{safety}.json")
        reference.delete_blob()
        done(restoration.all())
        assert reference.exists()

    def test_the_storage_loses_the_safety_backup_after_the_deletion(self, run, around, origin, blobs):
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("report")
        safety = restoration.xcom("replace.publish_reference")["container"]
        blobs.get_blob_client(CATALOG, f"references/{NAME}/{safety}.json").delete_blob()
        blobs.delete_container(safety)
        outcome = failed(restoration.all(), "report")
        assert "is restored as" in outcome["reason"]
        assert f"The reference of backup {safety} was published, and cannot be read now" in outcome["reason"]

    def test_batches_hold_messages(self, run, around, origin, emulator, archive):
        batch = next(
            each
            for each in emulator.admin("GET", f"/services/{NAME}")["batches"]
            if "Fabrikam" in each["AgreementName"]
        )
        place = {"agreement": batch["AgreementName"], "batch": batch["BatchName"]}
        around.traffic(messages=1, agreement=place["agreement"])
        since = around.mark()
        restoration = Restoration(run, **REPLACE, backup=origin["container"])
        try:
            restoration.all()
        finally:
            emulator.admin("POST", f"/services/{NAME}/batches/release", place)
        assert restoration.outcome["outcome"] == REFUSED
        assert place["agreement"] in restoration.failure
        assert around.changes(since) == []
        assert not is_locked(archive), "the lock of the confirmation is released"

    def test_a_skipped_step_is_not_a_success(self, run, around):
        name = fresh("copy")
        restoration = Restoration(run, service=NAME, target_name=name, tracking_conn_id=around.new_database(name))
        restoration.until("verify_restore")
        restoration.states["verify_restore"] = "skipped"
        restoration.all()
        assert restoration.outcome["outcome"] == FAILED
        assert "not carried out: verify_restore" in restoration.failure

    def test_a_step_that_failed_without_a_sentence(self, run, around):
        name = fresh("copy")
        restoration = Restoration(run, service=NAME, target_name=name, tracking_conn_id=around.new_database(name))
        restoration.until("wait_for_restore")
        restoration.states["wait_for_restore"] = "failed"
        assert "See the log of wait_for_restore." in failed(restoration.all(), "wait_for_restore")["reason"]

    def test_the_plan_could_not_be_made(self, run, around):
        restoration = Restoration(run, service=NAME, backup="never-taken-20260101-000000").all()
        assert restoration.outcome["outcome"] == REFUSED
        assert restoration.outcome["service"] is None
        assert "has no reference to backup never-taken" in restoration.failure


class TestMarked:
    """A person marks the run as failed: what waits for its next try is skipped, and the teardowns run."""

    def test_while_it_waits_for_its_approval(self, run, around, archive):
        since = around.mark()
        restoration = Restoration(run, **REPLACE).until("approval").mark("failed", "approval").all()
        assert restoration.outcome["outcome"] == REFUSED
        assert restoration.failure.startswith("See the log of approval.")
        assert restoration.failure.endswith("Nothing was changed.")
        assert around.changes(since) == []

    def test_before_its_plan(self, run, around):
        restoration = Restoration(run, **REPLACE, plan_only=True).mark("failed", "plan").all()
        assert restoration.outcome["outcome"] == REFUSED
        assert restoration.failure.endswith("Nothing was changed.")

    def test_while_the_existing_service_is_suspended(self, run, around, origin, emulator, archive):
        at = "replace.wait_for_backup"
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until(at).mark("failed", at).all()
        assert restoration.outcome["outcome"] == FAILED
        assert f"Service {SERVICE} is Active now." in restoration.failure
        assert emulator.state(NAME) == "Active"
        assert not is_locked(archive)

    @pytest.mark.parametrize("sentence", ["The response was lost.", None])
    def test_while_the_deletion_waits_for_its_next_try(self, sentence, run, around, origin):
        at = "replace.wait_until_deleted"
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until(at)
        for place in [place for place in run.xcoms if place[0] == "replace.delete"]:
            del run.xcoms[place]
        if sentence:
            run.xcoms["replace.delete", -1, "failure"] = sentence
        restoration.states["replace.delete"] = "skipped"
        restoration.mark("failed", at).all()
        outcome = restoration.outcome
        assert (outcome["outcome"], outcome["state"]) == (FAILED, None)
        assert outcome["safety_backup"].endswith(outcome["undo_form"]["backup"])
        assert "Nothing was changed" not in restoration.failure
        assert (sentence or "") in restoration.failure

    def test_what_was_done_is_restored_whatever_its_states(self, run, around):
        name = fresh("copy")
        restoration = Restoration(run, service=NAME, target_name=name, tracking_conn_id=around.new_database(name))
        restoration.until("report")
        for step in ("confirm_plan", "restore", "wait_for_restore", "verify_restore"):
            restoration.states[step] = "failed"
        done(restoration.all())


class TestTheNameIsUsedAgain:
    def test_a_late_teardown_leaves_the_restored_service_alone(self, run, around, origin, emulator):
        """The restored service exists already, Suspended on purpose."""
        restoration = Restoration(run, **REPLACE, backup=origin["container"]).until("replace.resume_unless_deleted")
        for step in ("delete_without_backup.wait_until_deleted", "name_is_free", "restore"):
            restoration.step(step)
        restoration.step("wait_for_restore")
        since = around.mark()
        restoration.step("replace.resume_unless_deleted")
        assert (emulator.state(NAME), around.changes(since)) == ("Suspended", [])
        done(restoration.all())


def test_no_secret_is_left_anywhere(run, around, origin, emulator, blobs, caplog, capfd):
    around.traffic()
    emulator.fault("status", "restore", count=1, status=503, message="Not now: {}")
    emulator.fault("operation-fails", "restore", count=1)
    password_of = around.new_database()
    restoration = Restoration(run, **REPLACE, backup=origin["container"], tracking_conn_id=password_of).all()
    failed(restoration, "wait_for_restore")
    container = blobs.get_container_client(CATALOG)
    stored = "".join(container.download_blob(name).readall().decode() for name in container.list_blob_names())
    left = json.dumps(list(run.xcoms.values())) + json.dumps(run.triggers)
    left += "".join(value for store in run.stores.values() for value in store.values.values())
    left += " ".join(map(repr, restoration.errors.values()))
    printed = capfd.readouterr()
    everything = stored + left + caplog.text + printed.out + printed.err
    assert SERVICE in everything
    assert [secret for secret in (*around.secrets, "sql-password-") if secret in everything] == []
