"""``python -m biztalk_services resume``: services of the emulator, brought back by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient

from tests.catalog.azurite import free_port
from tests.cli.shell import NAME, SERVICE, connection_string, last_seq, requests
from tests.conftest import ROOT
from tests.emulator.driver import eventually

BACK, NOT_BACK, UNABLE = 0, 1, 2
OTHER = "ContosoRetail"


@pytest.fixture
def asked(emulator):
    """How often services were asked to resume in this test."""
    before = last_seq(emulator)
    return lambda: len(requests(emulator, before, "resume"))


# --- one service, named by a person ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Suspended", "SuspendedFailed", "ResumeFailed"])
def test_it_is_asked_to_resume_and_waited_for(management_shell, emulator, asked, state):
    emulator.force(NAME, state)
    said = management_shell("resume", SERVICE)
    assert said.code == BACK
    assert said.lines[0].startswith(f"{SERVICE} is {state}; asked it to resume: operation ")
    assert said.lines[-1] == f"{SERVICE} is Active."
    assert "stays open" in said.err
    assert (emulator.state(NAME), asked()) == ("Active", 1)


def test_its_ticket_is_closed(shell, archive, emulator):
    archive.suspended(minutes_left=30)
    said = shell("resume", SERVICE)
    assert (said.code, said.err) == (BACK, "")
    assert said.lines[-1] == (
        f"The suspension ticket of {SERVICE} is closed: seen Active after it was resumed by hand."
    )
    assert archive.tickets.look() == ([], [])
    (record,) = archive.closed()
    assert record["closed_by"].endswith(", by hand")


def test_without_a_ticket_it_is_resumed_all_the_same(shell, archive, emulator):
    emulator.force(NAME, "Suspended")
    assert shell("resume", SERVICE).code == BACK
    assert (emulator.state(NAME), archive.tickets.look()) == ("Active", ([], []))


def test_an_active_service_is_left_alone_and_a_running_backup_keeps_its_ticket(shell, archive, asked):
    archive.ticket(SERVICE, minutes_left=30)
    said = shell("resume", SERVICE)
    assert (said.code, said.out) == (BACK, f"{SERVICE} is Active; nothing was asked of it.\n")
    assert asked() == 0
    assert len(archive.tickets.look()[0]) == 1


def test_an_active_service_whose_time_is_over_gets_its_ticket_closed(shell, archive):
    archive.ticket(SERVICE)
    said = shell("resume", SERVICE)
    assert (said.code, said.lines[-1]) == (BACK, f"The suspension ticket of {SERVICE} is closed: it is Active.")
    assert archive.tickets.look() == ([], [])


def test_one_that_is_on_its_way_is_waited_for(management_shell, emulator, asked):
    emulator.admin("PATCH", "/settings", {"durations": {"resume": 0.5}})
    emulator.force(NAME, "Suspended")
    emulator.act(NAME, "resume")
    said = management_shell("resume", SERVICE)
    assert (said.code, said.lines) == (BACK, [f"{SERVICE} is Resuming; waiting.", f"{SERVICE} is Active."])
    assert asked() == 1


def test_one_that_is_being_suspended_is_resumed_after_that(management_shell, emulator, asked):
    emulator.admin("PATCH", "/settings", {"durations": {"suspend": 0.5}})
    emulator.act(NAME, "suspend")
    said = management_shell("resume", SERVICE)
    assert said.code == BACK
    assert said.lines[0] == f"{SERVICE} is Suspending; waiting."
    assert asked() == 1


@pytest.mark.parametrize("state", ["Stopped", "RestoreFailed", "Disabled"])
def test_where_the_state_chart_knows_no_resumption_nothing_is_asked(management_shell, emulator, asked, state):
    emulator.force(NAME, state)
    said = management_shell("resume", SERVICE)
    assert said.code == NOT_BACK
    assert said.out == (
        f"{SERVICE} is {state}, from where the state chart knows no resumption. Nothing was asked of it.\n"
    )
    assert asked() == 0


def test_a_resume_that_fails_is_told_with_its_reason(shell, archive, emulator):
    archive.suspended()
    emulator.fault("operation-fails", "resume", count=1, message="No room on the host.")
    said = shell("resume", SERVICE)
    assert said.code == NOT_BACK
    assert f"{SERVICE} did not resume and is ResumeFailed: InjectedFault No room on the host." in said.lines[-1]
    assert len(archive.tickets.look()[0]) == 1
    assert shell("resume", SERVICE).code == BACK


@pytest.mark.parametrize(
    ("fault", "requests_sent"),
    [({"kind": "status", "count": 1}, 2), ({"kind": "reset-after", "count": 1}, 1), ({"kind": "reset-before"}, 3)],
)
def test_trouble_on_the_way_is_told_and_looked_through(management_shell, emulator, asked, fault, requests_sent):
    emulator.force(NAME, "Suspended")
    emulator.fault(operation="resume", **({"count": 2} | fault))
    said = management_shell("resume", SERVICE)
    assert (said.code, emulator.state(NAME)) == (BACK, "Active")
    assert "to resume service" in said.out
    assert asked() == requests_sent


def test_an_operation_that_the_service_forgets_is_not_waited_for_by_name(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    emulator.fault("operation-forgotten", "resume", count=1)
    assert management_shell("resume", SERVICE).code == BACK


def test_the_wait_ends(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    emulator.slow_down("resume")
    said = management_shell("resume", SERVICE, "--deadline-minutes", "0.01")
    assert said.code == NOT_BACK
    assert f"{SERVICE} was not Active by " in said.lines[-1]
    assert f"The last that is known: {SERVICE} is Resuming; waiting." in said.lines[-1]


def test_no_storage_account_that_does_not_answer_keeps_a_service_down(shell, emulator, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    emulator.force(NAME, "Suspended")
    said = shell("resume", SERVICE)
    assert (said.code, emulator.state(NAME)) == (BACK, "Active")
    assert said.err.startswith("Our suspension tickets cannot be read, and stay open.")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["contoso-west-us/nowhere"], "holds no BizTalk service nowhere"),
        (["nowhere/contosoorders"], "to read service nowhere/contosoorders"),
        (["contosoorders"], "write it as 'cloud service/name'"),
        ([], "one of the arguments service --overdue is required"),
        ([SERVICE, "--overdue"], "not allowed with argument"),
        ([SERVICE, "--deadline-minutes", "0"], "argument --deadline-minutes"),
        ([SERVICE, "--deadline-minutes", "nan"], "argument --deadline-minutes"),
    ],
)
def test_what_cannot_be_meant(management_shell, asked, words, told):
    said = management_shell("resume", *words)
    assert (said.code, said.out) == (UNABLE, "")
    assert told in said.err
    assert asked() == 0


# --- all that we suspended and that are due --------------------------------------------------------------------------


def test_only_what_is_due_and_ours_is_brought_back(shell, archive, emulator, asked):
    archive.suspended()
    archive.suspended(OTHER)
    archive.suspended("contosodev", minutes_left=30)
    archive.suspended("contosotrial", subscription_id="another")
    emulator.force("contosonordic", "Suspended")
    said = shell("resume", "--overdue")
    assert said.code == BACK
    states = {each["name"]: each["state"] for each in emulator.admin("GET", "/services")["services"]}
    suspended = {name for name, state in states.items() if state == "Suspended"}
    assert suspended == {"contosodev", "contosotrial", "contosonordic"}
    assert asked() == 2
    for name in (NAME, OTHER):
        assert f"contoso-west-us/{name} is Active." in said.lines
    assert any(line.startswith("contoso-west-us/contosodev is left alone: it has time until") for line in said.lines)
    assert {ticket.service for ticket in archive.tickets.look()[0]} == {
        "contoso-west-us/contosodev",
        "contoso-west-us/contosotrial",
    }


def test_services_come_back_also_when_nobody_reads_what_is_said(shell, archive, emulator):
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


def test_what_is_back_or_gone_already_gets_its_ticket_closed(shell, archive, asked):
    archive.ticket(SERVICE)
    archive.ticket("contoso-west-us/nowhere")
    said = shell("resume", "--overdue")
    assert said.code == BACK
    assert said.lines == [
        f"The suspension ticket of {SERVICE} is closed: it is Active.",
        "The suspension ticket of contoso-west-us/nowhere is closed: there is no such service any more.",
        "No service is due that we suspended.",
    ]
    assert archive.tickets.look() == ([], [])
    assert asked() == 0


@pytest.fixture
def not_listed(monkeypatch):
    """Lets the list leave out a service that is there."""
    everything = BizTalkServicesClient.list_services

    def leave_out(name):
        def others(client):
            return [service for service in everything(client) if service.address.name != name]

        monkeypatch.setattr(BizTalkServicesClient, "list_services", others)

    return leave_out


def test_one_that_only_the_list_does_not_show_is_brought_back(shell, archive, emulator, asked, not_listed):
    archive.suspended(OTHER)
    not_listed(OTHER)
    said = shell("resume", "--overdue")
    assert (said.code, emulator.state(OTHER), asked()) == (BACK, "Active", 1)
    assert said.lines[-1].endswith("is closed: seen Active after it was resumed by hand.")
    assert archive.tickets.look() == ([], [])


def test_one_of_which_nobody_knows_whether_it_is_there_keeps_its_ticket_and_hides_no_other(
    shell, archive, emulator, not_listed
):
    archive.suspended()
    unknown = archive.suspended(OTHER)
    not_listed(OTHER)
    emulator.fault("status", "get_cloud_service", count=3)
    said = shell("resume", "--overdue")
    assert (said.code, emulator.state(NAME)) == (NOT_BACK, "Active")
    assert said.err.startswith(f"{unknown.service} is not listed, and whether it is there is not known. Asked ")
    assert archive.tickets.look()[0] == [unknown]


def test_a_later_suspension_counts_more_than_an_earlier_one(shell, archive, emulator, asked):
    archive.suspended()
    later = archive.ticket(
        SERVICE, minutes_left=30, opened_at=datetime.now(UTC) - timedelta(minutes=1), reason="restore"
    )
    said = shell("resume", "--overdue")
    assert said.code == BACK
    assert archive.tickets.look()[0] == [later]
    assert (emulator.state(NAME), asked()) == ("Suspended", 0)


def test_one_that_does_not_come_back_hides_no_other(shell, archive, emulator):
    archive.suspended()
    archive.suspended(OTHER)
    emulator.force(OTHER, "Stopped")
    said = shell("resume", "--overdue")
    assert said.code == NOT_BACK
    assert f"{SERVICE} is Active." in said.lines
    assert f"contoso-west-us/{OTHER} is Stopped, from where the state chart knows no resumption." in said.out
    assert [ticket.service for ticket in archive.tickets.look()[0]] == [f"contoso-west-us/{OTHER}"]


def test_one_on_its_way_is_waited_for(shell, archive, emulator, asked):
    emulator.admin("PATCH", "/settings", {"durations": {"resume": 0.5}})
    archive.suspended()
    emulator.act(NAME, "resume")
    said = shell("resume", "--overdue")
    assert (said.code, said.lines[0]) == (BACK, f"{SERVICE} is Resuming; waiting.")
    assert asked() == 1
    eventually(lambda: archive.tickets.look() == ([], []))


def test_a_ticket_that_cannot_be_read_is_told(shell, archive, blobs):
    archive.ticket(SERVICE)
    blobs.get_container_client(archive.container).upload_blob("suspensions/open/a/b.json", b"{}")
    said = shell("resume", "--overdue")
    assert said.code == NOT_BACK
    assert "suspensions/open/a/b.json" in said.err


def test_without_the_storage_account_nobody_knows_what_is_due(management_shell, asked):
    said = management_shell("resume", "--overdue")
    assert (said.code, said.out) == (UNABLE, "")
    assert "set AZURE_STORAGE_CONNECTION_STRING" in said.err
    assert asked() == 0
