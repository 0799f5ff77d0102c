"""``python -m biztalk_services status``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.catalog.azurite import free_port
from tests.catalog.samples import reference
from tests.cli.shell import NAME, SERVICE, connection_string

WELL, NOT_WELL, NOT_ALL_SEEN = 0, 1, 2


def row(said, service: str = SERVICE) -> dict:
    (found,) = [each for each in said.json["services"] if each["service"] == service]
    return found


def test_without_the_storage_account_it_shows_the_states(management_shell):
    said = management_shell("status")
    assert said.code == WELL
    assert said.lines[0].split() == ["service", "state", "edition"]
    assert f"{SERVICE} Active standard" in [" ".join(line.split()) for line in said.lines]
    assert len(said.lines) == 1 + 6
    assert set(row(management_shell("status", "--json"))) == {
        "service", "state", "edition", "product_version", "region",
    }  # fmt: skip


def test_a_service_that_is_not_active(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    said = management_shell("status")
    assert said.code == NOT_WELL
    assert any(line.startswith(SERVICE) and "Suspended" in line for line in said.lines)


def test_what_the_records_say(shell, archive):
    older = archive.backed_up()
    newer = archive.published(older, container=f"{older.container}-2", finished_at=older.finished_at + timedelta(1))
    claim, ticket = archive.claimed(), archive.ticket(SERVICE, minutes_left=30)
    said = shell("status")
    assert said.code == WELL
    (line,) = [line for line in said.lines if line.startswith(SERVICE)]
    assert newer.container in line
    assert f"backup, until {claim.until:%Y-%m-%d %H:%M} UTC" in line
    assert f"backup, back by {ticket.back_by:%Y-%m-%d %H:%M} UTC" in line
    assert sum(" none" in line for line in said.lines) == 5
    found = row(shell("status", "--json"))
    assert found["backup"]["name"] == newer.container
    assert found["claim"]["run_id"] == found["ticket"]["run_id"] == "scheduled__1"
    assert (found["claim"]["over"], found["ticket"]["due"]) == (False, False)


def test_the_age_of_a_backup(shell, archive):
    archive.backed_up(finished_at=datetime.now(UTC) - timedelta(hours=25, minutes=3))
    (line,) = [line for line in shell("status").lines if line.startswith(SERVICE)]
    assert "25 h 3 min" in line
    assert row(shell("status", "--json"))["backup"]["age_seconds"] // 60 == 25 * 60 + 3


def test_what_is_due_is_said_with_the_command_that_helps(shell, archive):
    archive.suspended()
    archive.claimed(minutes_left=-1)
    said = shell("status")
    assert said.code == NOT_WELL
    assert "DUE since" in said.out
    assert "over since" in said.out
    assert said.lines[-1] == (
        f"Due: {SERVICE}. We suspended it, and the time is over. What brings it back: "
        "python -m biztalk_services resume --overdue"
    )
    assert row(shell("status", "--json"))["ticket"]["due"] is True


def test_an_active_service_that_is_due_still_has_its_ticket_to_be_closed(shell, archive):
    archive.ticket(SERVICE)
    assert shell("status").code == NOT_WELL


def test_a_service_that_is_gone_but_has_a_ticket(shell, archive):
    archive.ticket("contoso-west-us/nowhere", minutes_left=5)
    said = shell("status")
    assert said.code == NOT_WELL
    assert any(line.startswith("contoso-west-us/nowhere") and "(gone)" in line for line in said.lines)


def test_records_of_another_subscription_do_not_count(shell, archive):
    archive.ticket(SERVICE, subscription_id="another")
    archive.published(reference(service=NAME, subscription_id="another"))
    said = shell("status", "--json")
    assert said.code == WELL
    assert (row(said)["ticket"], row(said)["backup"]) == (None, None)


def test_a_storage_account_that_does_not_answer_hides_no_state(shell, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    said = shell("status")
    assert said.code == NOT_ALL_SEEN
    assert said.lines[0].split() == ["service", "state", "edition"]
    assert said.err.startswith("What our records say cannot be read. Could not")
    assert shell("status", "--json").json["trouble"] == [said.err.strip()]


def test_records_that_cannot_be_read(shell, archive, blobs):
    archive.backed_up()
    container = blobs.get_container_client(archive.container)
    container.upload_blob("references/contosoorders/broken.json", b"{")
    container.upload_blob("suspensions/open/contoso-west-us/contosoorders/broken.json", b"\x1b[31m")
    said = shell("status")
    assert said.code == NOT_ALL_SEEN
    assert "broken.json" in said.err
    assert "is not a suspension ticket" in said.err
    assert "\x1b" not in said.err
    assert any(line.startswith(SERVICE) and "contosoorders-" in line for line in said.lines)
