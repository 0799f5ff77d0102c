"""``python -m biztalk_services status``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.archive.azurite import free_port
from tests.archive.samples import reference
from tests.cli.shell import NAME, SERVICE, connection_string

HEALTHY, NOT_HEALTHY, NOT_ALL_READ = 0, 1, 2


def row(result, service: str = SERVICE) -> dict:
    (row,) = [each for each in result.json["services"] if each["service"] == service]
    return row


def test_without_the_storage_account_it_shows_the_states(management_shell):
    result = management_shell("status")
    assert result.code == HEALTHY
    assert result.lines[0].split() == ["service", "state", "edition"]
    assert f"{SERVICE} Active standard" in [" ".join(line.split()) for line in result.lines]
    assert len(result.lines) == 1 + 6
    assert set(row(management_shell("status", "--json"))) == {
        "service", "state", "phase", "edition", "product_version", "region",
    }  # fmt: skip


def test_a_service_that_is_not_active(management_shell, emulator):
    emulator.force(NAME, "Suspended")
    result = management_shell("status")
    assert result.code == NOT_HEALTHY
    assert any(line.startswith(SERVICE) and "Suspended" in line for line in result.lines)


def test_what_the_archive_has_of_a_service(shell, archive):
    older = archive.backed_up()
    newer = archive.published(older, container=f"{older.container}-2", finished_at=older.finished_at + timedelta(1))
    lock, record = archive.locked(), archive.record(SERVICE, minutes_left=30)
    result = shell("status")
    assert result.code == HEALTHY
    (line,) = [line for line in result.lines if line.startswith(SERVICE)]
    assert newer.container in line
    assert f"backup, until {lock.until:%Y-%m-%d %H:%M} UTC" in line
    assert f"backup, until {record.resume_by:%Y-%m-%d %H:%M} UTC" in line
    assert sum(" none" in line for line in result.lines) == 5
    entry = row(shell("status", "--json"))
    assert entry["backup"]["name"] == newer.container
    assert entry["lock"]["run_id"] == entry["suspension"]["run_id"] == "scheduled__1"
    assert (entry["lock"]["expired"], entry["suspension"]["due"]) == (False, False)


def test_the_age_of_a_backup(shell, archive):
    archive.backed_up(finished_at=datetime.now(UTC) - timedelta(hours=25, minutes=3))
    (line,) = [line for line in shell("status").lines if line.startswith(SERVICE)]
    assert "25 h 3 min" in line
    assert row(shell("status", "--json"))["backup"]["age_seconds"] // 60 == 25 * 60 + 3


def test_what_is_due_is_shown_with_the_command_that_resumes(shell, archive):
    archive.suspended()
    archive.locked(minutes_left=-1)
    result = shell("status")
    assert result.code == NOT_HEALTHY
    assert "DUE since" in result.out
    assert "backup, expired " in result.out
    assert result.lines[-1] == (
        f"Due: {SERVICE}. A run suspended it, and the deadline has passed. This resumes it: "
        "python -m biztalk_services resume --overdue"
    )
    assert row(shell("status", "--json"))["suspension"]["due"] is True


def test_an_active_service_with_an_overdue_record_is_due(shell, archive):
    archive.record(SERVICE)
    assert shell("status").code == NOT_HEALTHY


def test_a_deleted_service_with_a_suspension_record(shell, archive):
    archive.record("contoso-west-us/nowhere", minutes_left=5)
    result = shell("status")
    assert result.code == NOT_HEALTHY
    assert any(line.startswith("contoso-west-us/nowhere") and "(deleted)" in line for line in result.lines)


def test_records_of_another_subscription_do_not_count(shell, archive):
    archive.record(SERVICE, subscription_id="another")
    archive.published(reference(service=NAME, subscription_id="another"))
    result = shell("status", "--json")
    assert result.code == HEALTHY
    assert (row(result)["suspension"], row(result)["backup"]) == (None, None)


def test_an_unreachable_storage_account_hides_no_state(shell, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    result = shell("status")
    assert result.code == NOT_ALL_READ
    assert result.lines[0].split() == ["service", "state", "edition"]
    assert result.err.startswith("The archive cannot be read. Could not")
    assert shell("status", "--json").json["problems"] == [result.err.strip()]


def test_records_that_cannot_be_read(shell, archive, blobs):
    archive.backed_up()
    container = blobs.get_container_client(archive.container)
    container.upload_blob("references/contosoorders/broken.json", b"{")
    container.upload_blob("suspensions/open/contoso-west-us/contosoorders/broken.json", b"\x1b[31m")
    result = shell("status")
    assert result.code == NOT_ALL_READ
    assert "broken.json" in result.err
    assert "is not a suspension record" in result.err
    assert "\x1b" not in result.err
    assert any(line.startswith(SERVICE) and "contosoorders-" in line for line in result.lines)
