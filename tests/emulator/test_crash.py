"""Killed at any moment and started again: operations go on and end, nothing is lost or doubled."""

from __future__ import annotations

import collections
import json
import time

import pytest

from tests.emulator.driver import EmulatorProcess, eventually, text

SERVICE = "contosoorders"


def ended(emulator, operation_id: str) -> list[dict]:
    return [
        entry
        for entry in emulator.journal(kind="operation")
        if entry["operation_id"] == operation_id and entry["event"] == "ended"
    ]


def check_journal(emulator) -> None:
    """Sequence numbers without a gap, every operation once started and once ended, states in an unbroken chain."""
    entries = emulator.journal()
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    happened = collections.Counter(
        (entry["operation_id"], entry["event"]) for entry in entries if entry["kind"] == "operation"
    )
    assert set(happened.values()) <= {1}
    assert {each for each, event in happened if event == "started"} == {
        each for each, event in happened if event == "ended"
    }
    accepted = {entry["request_id"] for entry in entries if entry["kind"] == "request" and entry["status"] == 202}
    assert {each for each, _ in happened} == accepted
    last = {}
    for entry in entries:
        if entry["kind"] == "state":
            assert entry["before"] == last.get(entry["service"], "Active")
            last[entry["service"]] = entry["after"]


def test_in_mid_suspend_that_comes_due_while_down(own_emulator):
    own_emulator.admin("PATCH", "/settings", {"durations": {"suspend": 0.6}})
    answer = own_emulator.act(SERVICE, "suspend")
    own_emulator.kill()
    time.sleep(0.7)
    own_emulator.start()
    assert own_emulator.operation(answer) == "Succeeded"
    own_emulator.reaches(SERVICE, "Suspended")
    assert len(ended(own_emulator, answer.headers["x-ms-request-id"])) == 1
    check_journal(own_emulator)


def test_in_mid_suspend_that_goes_on_after(own_emulator):
    own_emulator.slow_down("suspend")
    answer = own_emulator.act(SERVICE, "suspend")
    own_emulator.kill()
    own_emulator.start()
    assert own_emulator.state(SERVICE) == "Suspending"
    path = f"/operations/{answer.headers['x-ms-request-id']}"
    assert text(own_emulator.request("GET", path), "Status") == "InProgress"
    own_emulator.release(answer)
    own_emulator.reaches(SERVICE, "Suspended")
    check_journal(own_emulator)


def test_in_mid_create_keeps_both_levels(own_emulator):
    own_emulator.slow_down("create")
    own_emulator.admin("PATCH", "/settings", {"envelope_seconds": 1})
    answer = own_emulator.create("survivor")
    own_emulator.kill()
    own_emulator.start()
    assert own_emulator.operation(answer) == "Succeeded"
    between = own_emulator.request("GET", own_emulator.path("survivor"))
    assert (text(between, "SubState"), text(between, "OperationStatus/Result")) == ("Creating", "InProgress")
    own_emulator.release(answer)
    own_emulator.reaches("survivor", "Active")


@pytest.mark.parametrize("moment", ["at once", "payload written", "descriptor written"])
def test_in_mid_backup(own_emulator, storage, blobs, moment):
    name = f"crash-{time.time_ns()}"
    own_emulator.operation(own_emulator.act(SERVICE, "suspend"))
    if moment != "descriptor written":
        own_emulator.slow_down("backup")
    answer = own_emulator.back_up(SERVICE, name, storage)
    container = blobs.get_container_client(name)
    if moment == "payload written":
        eventually(lambda: container.exists() and len(list(container.list_blob_names())) == 4)
    if moment == "descriptor written":
        eventually(lambda: container.exists() and f"{name}.txt" in container.list_blob_names())
    own_emulator.kill()
    if moment == "payload written":
        assert f"{name}.txt" not in container.list_blob_names()
        container.upload_blob("left-behind.json", b"from an earlier try")
    own_emulator.start()
    if moment != "descriptor written":
        own_emulator.release(answer)
    assert own_emulator.operation(answer) == "Succeeded"
    assert own_emulator.state(SERVICE) == "Suspended"
    descriptor = json.loads(container.download_blob(f"{name}.txt").readall())
    listed = {blob["name"] for blob in descriptor["blobs"]}
    assert set(container.list_blob_names()) == listed | {f"{name}.txt"}
    check_journal(own_emulator)


def test_clean_stop_in_mid_backup(own_emulator, storage, blobs):
    name = f"stop-{time.time_ns()}"
    own_emulator.operation(own_emulator.act(SERVICE, "suspend"))
    own_emulator.slow_down("backup")
    answer = own_emulator.back_up(SERVICE, name, storage)
    assert own_emulator.stop() == 0
    own_emulator.start()
    own_emulator.release(answer)
    assert own_emulator.operation(answer) == "Succeeded"
    assert f"{name}.txt" in blobs.get_container_client(name).list_blob_names()
    check_journal(own_emulator)


def test_settings_and_faults_survive(own_emulator):
    own_emulator.admin("PATCH", "/settings", {"profile": {"developer_backup": "yes"}})
    fault = own_emulator.fault("status", "resume", count=3)
    own_emulator.kill()
    own_emulator.start()
    assert own_emulator.admin("GET", "/settings")["profile"]["developer_backup"] == "yes"
    assert own_emulator.admin("GET", "/faults")["faults"] == [fault]


def test_killed_again_and_again_under_requests(own_emulator):
    for _ in range(2):
        own_emulator.act(SERVICE, "suspend")
        own_emulator.kill()
        own_emulator.start()
        own_emulator.reaches(SERVICE, "Suspended")
        own_emulator.act(SERVICE, "resume")
        own_emulator.kill()
        own_emulator.start()
        own_emulator.reaches(SERVICE, "Active")
    check_journal(own_emulator)


@pytest.fixture
def restoring(tmp_path, storage):
    """An emulator to be killed whose sample uses the account that tests back up to, with one service deleted."""
    options = ("--sample-fleet", "--sample-storage", storage)
    emulator = EmulatorProcess(tmp_path / "home", *options).start()
    emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0})
    emulator.operation(emulator.act(SERVICE, "suspend"))
    yield emulator
    emulator.stop()


def lost_after_backup(emulator, storage) -> tuple[str, dict]:
    """Back the service up and delete it; returns the backup's name and what is in it."""
    backup = f"crash-{time.time_ns()}"
    emulator.operation(emulator.back_up(SERVICE, backup, storage))
    held = emulator.admin("GET", f"/services/{SERVICE}")
    emulator.give_up(SERVICE)
    return backup, {kind: held[kind] for kind in ("content", "settings", "items")}


def test_in_mid_restore(restoring, storage):
    backup, held = lost_after_backup(restoring, storage)
    restoring.slow_down("restore")
    answer = restoring.restore(SERVICE, backup, storage)
    restoring.kill()
    restoring.start()
    assert restoring.state(SERVICE) == "Restoring"
    assert restoring.admin("GET", f"/services/{SERVICE}")["items"]["agreements"] == 0
    restoring.release(answer)
    restoring.reaches(SERVICE, "Suspended")
    after = restoring.admin("GET", f"/services/{SERVICE}")
    assert {kind: after[kind] for kind in held} == held
    assert after["etag"] == answer.headers["ETag"]
    assert len(ended(restoring, answer.headers["x-ms-request-id"])) == 1
    check_journal(restoring)


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_at_any_moment_of_a_restore(restoring, storage, wait):
    backup, held = lost_after_backup(restoring, storage)
    restoring.admin("PATCH", "/settings", {"durations": {"restore": 0}})
    answer = restoring.restore(SERVICE, backup, storage)
    time.sleep(wait)
    restoring.kill()
    restoring.start()
    restoring.reaches(SERVICE, "Suspended")
    after = restoring.admin("GET", f"/services/{SERVICE}")
    assert {kind: after[kind] for kind in held} == held
    assert len(ended(restoring, answer.headers["x-ms-request-id"])) == 1


def test_clean_stop_in_mid_restore(restoring, storage):
    backup, held = lost_after_backup(restoring, storage)
    restoring.slow_down("restore")
    answer = restoring.restore(SERVICE, backup, storage)
    assert restoring.stop() == 0
    restoring.start()
    restoring.release(answer)
    restoring.reaches(SERVICE, "Suspended")
    assert restoring.admin("GET", f"/services/{SERVICE}")["content"] == held["content"]


def test_a_restore_to_fail_fails_after_a_kill_as_well(restoring, storage):
    backup, _ = lost_after_backup(restoring, storage)
    restoring.slow_down("restore")
    answer = restoring.restore(SERVICE, backup, storage)
    restoring.kill()
    restoring.start()
    namespace = restoring.admin("GET", "/world")["namespaces"][0]
    assert namespace["used_by"]
    restoring.admin("DELETE", f"/world/namespaces/{SERVICE}acs")
    restoring.release(answer)
    restoring.reaches(SERVICE, "RestoreFailed")
    status = restoring.provider_status(SERVICE, answer)
    assert text(status, "Error/ExtendedCode") == "AccessControlNamespaceNotFound"
