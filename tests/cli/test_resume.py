"""``python -m biztalk_services resume``: services of the emulator, resumed by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient

from tests.archive.azurite import free_port
from tests.cli.shell import NAME, SERVICE, connection_string, last_seq, requests
from tests.conftest import ROOT
from tests.emulator.driver import eventually

RESUMED, NOT_RESUMED, UNABLE = 0, 1, 2
OTHER = "ContosoRetail"


@pytest.fixture
def resume_requests(emulator):
    """How many requests to resume were sent in this test."""
    before = last_seq(emulator)
    return lambda: len(requests(emulator, before, "resume"))


# --- one service, named by a person ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Suspended", "SuspendedFailed", "ResumeFailed"])
def test_it_is_resumed_and_waited_for(management_shell, emulator, resume_requests, state):
    emulator.force(NAME, state)
    result = management_shell("resume", SERVICE)
    assert result.code == RESUMED
    assert result.lines[0].startswith(f"{SERVICE} is {state}; requested its resumption: operation ")
    assert result.lines[-1] == f"{SERVICE} is Active."
    assert "stays open" in result.err
    assert (emulator.state(NAME), resume_requests()) == ("Active", 1)


def test_its_suspension_record_is_closed(shell, archive, emulator):
    archive.suspended(minutes_left=30)
    result = shell("resume", SERVICE)
    assert (result.code, result.err) == (RESUMED, "")
    assert result.lines[-1] == (
        f"The suspension record of {SERVICE} is closed: service is Active after it was resumed by hand."
    )
    assert archive.suspensions.list_open() == ([], [])
    (record,) = archive.closed()
    assert record["closed_by"].endswith(", by hand")


def test_without_a_record_it_is_resumed_all_the_same(shell, archive, emulator):
    emulator.force(NAME, "Suspended")
    assert shell("resume", SERVICE).code == RESUMED
    assert (emulator.state(NAME), archive.suspensions.list_open()) == ("Active", ([], []))


def test_an_active_service_is_left_alone_and_keeps_its_record(shell, archive, resume_requests):
    archive.record(SERVICE, minutes_left=30)
    result = shell("resume", SERVICE)
    assert (result.code, result.out) == (RESUMED, f"{SERVICE} is Active; no request was sent.\n")
    assert resume_requests() == 0
    assert len(archive.suspensions.list_open()[0]) == 1


def test_the_overdue_record_of_an_active_service_is_closed(shell, archive):
    archive.record(SERVICE)
    result = shell("resume", SERVICE)
    assert (result.code, result.lines[-1]) == (RESUMED, f"The suspension record of {SERVICE} is closed: it is Active.")
    assert archive.suspensions.list_open() == ([], [])


def test_a_service_that_is_resuming_is_waited_for(management_shell, emulator, resume_requests):
    emulator.admin("PATCH", "/settings", {"durations": {"resume": 0.5}})
    emulator.force(NAME, "Suspended")
    emulator.act(NAME, "resume")
    result = management_shell("resume", SERVICE)
    assert (result.code, result.lines) == (RESUMED, [f"{SERVICE} is Resuming; waiting.", f"{SERVICE} is Active."])
    assert resume_requests() == 1


def test_a_service_that_is_suspending_is_resumed_after_that(management_shell, emulator, resume_requests):
    emulator.admin("PATCH", "/settings", {"durations": {"suspend": 0.5}})
    emulator.act(NAME, "suspend")
    result = management_shell("resume", SERVICE)
    assert result.code == RESUMED
    assert result.lines[0] == f"{SERVICE} is Suspending; waiting."
    assert resume_requests() == 1


@pytest.mark.parametrize("state", ["Stopped", "RestoreFailed", "Disabled"])
def test_no_request_from_a_state_without_resumption(management_shell, emulator, resume_requests, state):
    emulator.force(NAME, state)
    result = management_shell("resume", SERVICE)
    assert result.code == NOT_RESUMED
    assert result.out == (f"{SERVICE} cannot be resumed from {state}; no request was sent.\n")
    assert resume_requests() == 0


def test_a_failed_resumption_is_reported_with_its_reason(shell, archive, emulator):
    archive.suspended()
    emulator.fault("operation-fails", "resume", count=1, message="No room on the host.")
    result = shell("resume", SERVICE)
    assert result.code == NOT_RESUMED
    assert f"{SERVICE} did not resume and is ResumeFailed: InjectedFault No room on the host." in result.lines[-1]
    assert len(archive.suspensions.list_open()[0]) == 1
    assert shell("resume", SERVICE).code == RESUMED


@pytest.mark.parametrize(
    ("fault", "requests_sent"),
    [({"kind": "status", "count": 1}, 2), ({"kind": "reset-after", "count": 1}, 1), ({"kind": "reset-before"}, 3)],
)
def test_errors_meanwhile_are_reported_and_tolerated(management_shell, emulator, resume_requests, fault, requests_sent):
    emulator.force(NAME, "Suspended")
    emulator.fault(operation="resume", **({"count": 2} | fault))
    result = management_shell("resume", SERVICE)
    assert (result.code, emulator.state(NAME)) == (RESUMED, "Active")
    assert "to resume service" in result.out
    assert resume_requests() == requests_sent


def test_a_forgotten_operation_is_not_waited_for(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    emulator.fault("operation-forgotten", "resume", count=1)
    assert management_shell("resume", SERVICE).code == RESUMED


def test_the_wait_ends_at_the_deadline(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    emulator.slow_down("resume")
    result = management_shell("resume", SERVICE, "--deadline-minutes", "0.01")
    assert result.code == NOT_RESUMED
    assert f"Timed out waiting for {SERVICE} to be Active (deadline " in result.lines[-1]
    assert f"Last known: {SERVICE} is Resuming; waiting." in result.lines[-1]


def test_it_is_resumed_without_a_reachable_storage_account(shell, emulator, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    emulator.force(NAME, "Suspended")
    result = shell("resume", SERVICE)
    assert (result.code, emulator.state(NAME)) == (RESUMED, "Active")
    assert result.err.startswith("The suspension records cannot be read, and stay open.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["contoso-west-us/nowhere"], "holds no BizTalk service nowhere"),
        (["nowhere/contosoorders"], "to read service nowhere/contosoorders"),
        (["contosoorders"], "write it as 'scope/name'"),
        ([], "one of the arguments service --overdue is required"),
        ([SERVICE, "--overdue"], "not allowed with argument"),
        ([SERVICE, "--deadline-minutes", "0"], "argument --deadline-minutes"),
        ([SERVICE, "--deadline-minutes", "nan"], "argument --deadline-minutes"),
    ],
)
def test_an_invalid_call_sends_nothing(management_shell, resume_requests, words, sentence):
    result = management_shell("resume", *words)
    assert (result.code, result.out) == (UNABLE, "")
    assert sentence in result.err
    assert resume_requests() == 0


# --- every service that a run suspended and that is overdue ----------------------------------------------------------


def test_only_overdue_services_of_our_runs_are_resumed(shell, archive, emulator, resume_requests):
    archive.suspended()
    archive.suspended(OTHER)
    archive.suspended("contosodev", minutes_left=30)
    archive.suspended("contosotrial", subscription_id="another")
    emulator.force("contosonordic", "Suspended")
    result = shell("resume", "--overdue")
    assert result.code == RESUMED
    states = {each["name"]: each["state"] for each in emulator.admin("GET", "/services")["services"]}
    suspended = {name for name, state in states.items() if state == "Suspended"}
    assert suspended == {"contosodev", "contosotrial", "contosonordic"}
    assert resume_requests() == 2
    for name in (NAME, OTHER):
        assert f"contoso-west-us/{name} is Active." in result.lines
    assert any(line.startswith("contoso-west-us/contosodev is left alone: its deadline is") for line in result.lines)
    assert {record.service for record in archive.suspensions.list_open()[0]} == {
        "contoso-west-us/contosodev",
        "contoso-west-us/contosotrial",
    }


def test_services_are_resumed_when_the_output_is_closed(shell, archive, emulator):
    archive.suspended()
    archive.suspended(OTHER)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "biztalk_services", "resume", "--overdue"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")},
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (emulator.state(NAME), emulator.state(OTHER), done.stderr) == ("Active", "Active", b"")


def test_records_of_active_or_deleted_services_are_closed(shell, archive, resume_requests):
    archive.record(SERVICE)
    archive.record("contoso-west-us/nowhere")
    result = shell("resume", "--overdue")
    assert result.code == RESUMED
    assert result.lines == [
        f"The suspension record of {SERVICE} is closed: it is Active.",
        "The suspension record of contoso-west-us/nowhere is closed: the service does not exist any more.",
        "No service that a run suspended is overdue.",
    ]
    assert archive.suspensions.list_open() == ([], [])
    assert resume_requests() == 0


@pytest.fixture
def not_listed(monkeypatch):
    """Makes the list leave out an existing service."""
    everything = BizTalkServicesClient.list_services

    def leave_out(name):
        def others(client, on_unread=None):
            return [service for service in everything(client, on_unread) if service.ref.name != name]

        monkeypatch.setattr(BizTalkServicesClient, "list_services", others)

    return leave_out


def test_a_service_that_only_the_list_lacks_is_resumed(shell, archive, emulator, resume_requests, not_listed):
    archive.suspended(OTHER)
    not_listed(OTHER)
    result = shell("resume", "--overdue")
    assert (result.code, emulator.state(OTHER), resume_requests()) == (RESUMED, "Active", 1)
    assert result.lines[-1].endswith("is closed: service is Active after it was resumed by hand.")
    assert archive.suspensions.list_open() == ([], [])


def test_an_unknown_existence_keeps_the_record(shell, archive, emulator, not_listed):
    archive.suspended()
    unknown = archive.suspended(OTHER)
    not_listed(OTHER)
    emulator.fault("status", "get_cloud_service", count=3)
    result = shell("resume", "--overdue")
    assert (result.code, emulator.state(NAME)) == (NOT_RESUMED, "Active")
    assert result.err.startswith(f"{unknown.service} is not listed, and it is unknown whether it exists. ")
    assert archive.suspensions.list_open()[0] == [unknown]


def test_a_later_suspension_supersedes_an_earlier_one(shell, archive, emulator, resume_requests):
    archive.suspended()
    later = archive.record(
        SERVICE, minutes_left=30, opened_at=datetime.now(UTC) - timedelta(minutes=1), reason="restore"
    )
    result = shell("resume", "--overdue")
    assert result.code == RESUMED
    assert archive.suspensions.list_open()[0] == [later]
    assert (emulator.state(NAME), resume_requests()) == ("Suspended", 0)


def test_a_service_that_is_not_resumed_hides_no_other(shell, archive, emulator):
    archive.suspended()
    archive.suspended(OTHER)
    emulator.force(OTHER, "Stopped")
    result = shell("resume", "--overdue")
    assert result.code == NOT_RESUMED
    assert f"{SERVICE} is Active." in result.lines
    assert f"contoso-west-us/{OTHER} cannot be resumed from Stopped; no request was sent." in result.out
    assert [record.service for record in archive.suspensions.list_open()[0]] == [f"contoso-west-us/{OTHER}"]


def test_an_overdue_service_that_is_resuming_is_waited_for(shell, archive, emulator, resume_requests):
    emulator.admin("PATCH", "/settings", {"durations": {"resume": 0.5}})
    archive.suspended()
    emulator.act(NAME, "resume")
    result = shell("resume", "--overdue")
    assert (result.code, result.lines[0]) == (RESUMED, f"{SERVICE} is Resuming; waiting.")
    assert resume_requests() == 1
    eventually(lambda: archive.suspensions.list_open() == ([], []))


def test_an_unreadable_record_is_reported(shell, archive, blobs):
    archive.record(SERVICE)
    blobs.get_container_client(archive.container).upload_blob("suspensions/open/a/b.json", b"{}")
    result = shell("resume", "--overdue")
    assert result.code == NOT_RESUMED
    assert "suspensions/open/a/b.json" in result.err


def test_overdue_needs_the_storage_account(management_shell, resume_requests):
    result = management_shell("resume", "--overdue")
    assert (result.code, result.out) == (UNABLE, "")
    assert "set AZURE_STORAGE_CONNECTION_STRING" in result.err
    assert resume_requests() == 0
