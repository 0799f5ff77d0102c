"""``python -m biztalk_services status``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from biztalk_services.flows.night import begin_night, end_night
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.model.steps import BackupJob

from tests.archive.azurite import free_port
from tests.archive.samples import reference
from tests.cli.shell import NAME, RUN, SERVICE, connection_string
from tests.emulator.driver import SUBSCRIPTION

HEALTHY, NOT_HEALTHY, NOT_ALL_READ = 0, 1, 2
MINUTE = timedelta(minutes=1)


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
    newer = archive.published(older, container=f"{older.container}-2", finished_at=older.finished_at + MINUTE)
    lock, record = archive.locked(), archive.record(SERVICE, minutes_left=30)
    result = shell("status")
    assert result.code == HEALTHY
    (line,) = [line for line in result.lines if line.startswith(SERVICE)]
    assert newer.container in line
    assert f"backup in Airflow a1b2c3d4, until {lock.until:%Y-%m-%d %H:%M} UTC" in line
    assert f"backup in Airflow a1b2c3d4, until {record.resume_by:%Y-%m-%d %H:%M} UTC" in line
    assert sum(" none" in line for line in result.lines) == 5
    entry = row(shell("status", "--json"))
    assert entry["backup"]["name"] == newer.container
    assert entry["lock"]["run_id"] == entry["suspension"]["run_id"] == "scheduled__1"
    assert entry["lock"]["airflow"] == entry["suspension"]["airflow"] == "a1b2c3d4"
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
    assert "backup in Airflow a1b2c3d4, expired " in result.out
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


def test_services_of_one_name_in_two_scopes_are_told_apart(shell, archive):
    archive.locked(f"elsewhere/{NAME}")
    archive.record(f"elsewhere/{NAME}", minutes_left=5)
    assert (row(shell("status", "--json"))["lock"], row(shell("status", "--json"))["suspension"]) == (None, None)
    assert row(shell("status", "--json"), f"elsewhere/{NAME}")["lock"]["purpose"] == "backup"


def test_a_record_of_an_earlier_version_names_no_airflow(shell, archive):
    record = archive.record(SERVICE, minutes_left=30, run=Run("biztalk_nightly_backup", "scheduled__1"))
    assert f"backup, until {record.resume_by:%Y-%m-%d %H:%M} UTC" in shell("status").out


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


def test_the_night_under_way_and_then_the_last_one(shell, archive):
    made = [BackupJob("biztalk_default", SERVICE, "contosoorders-20261129-020000-3f0a11")]
    begin_night(lambda: archive.opened, RUN, made, datetime.now(UTC), 3)
    result = shell("status")
    assert result.code == HEALTHY
    assert f"Night under way ({RUN}), begun " in result.lines[-1]
    assert "0 of 1 service done, 0 at work, 1 waiting. No estimate yet" in result.lines[-1]
    end_night(lambda: archive.opened, RUN, [])
    assert shell("status").lines[-1].startswith(f"Last night ({RUN}): ended ")
    assert shell("status", "--json").json["nights"][0]["end"]["services"] == 1


def test_a_record_of_a_night_that_cannot_be_read(shell, archive, blobs):
    name = f"nights/{datetime.now(UTC):%Y-%m/%d-%H%M%S}-3f0a11-bc42d9a1b2c3-1/begun.json"
    blobs.create_container(archive.container).upload_blob(name, b"{")
    result = shell("status")
    assert (result.code, f"{name} in " in result.err) == (NOT_ALL_READ, True)


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


class TestOverdueBackups:
    def test_a_backup_that_is_too_old(self, shell, archive):
        archive.backed_up(finished_at=hours_ago(31))
        result = shell("status")
        assert result.code == NOT_HEALTHY
        (line,) = [line for line in result.lines if line.startswith(SERVICE)]
        assert "31 h 0 min, OVERDUE" in line
        assert result.lines[-1].startswith(f"Overdue: {SERVICE}. No verified backup is recent enough")
        assert row(shell("status", "--json"))["backup_overdue"] is True

    def test_a_recent_one_is_not(self, shell, archive):
        archive.backed_up(finished_at=hours_ago(29))
        assert shell("status").code == HEALTHY
        result = shell("status", "--json")
        assert row(result)["backup_overdue"] is False
        assert row(result, "contoso-west-us/contosotrial")["backup_overdue"] is None

    def test_how_old_it_may_be(self, shell, archive, monkeypatch):
        archive.backed_up(finished_at=hours_ago(31))
        for hours, code in (("32", HEALTHY), ("8 contosoorders=48", HEALTHY), ("30 contoso*=never", HEALTHY), ("8", 1)):
            assert shell("status", "--expected-backup-hours", hours).code == code
            monkeypatch.setenv("BIZTALK_EXPECTED_BACKUP_HOURS", hours)
            assert shell("status").code == code
        result = shell("status", "--expected-backup-hours", "30 contoso*=never", "--json")
        assert row(result)["backup_overdue"] is None

    def test_an_empty_variable_is_the_default(self, shell, archive, monkeypatch):
        monkeypatch.setenv("BIZTALK_EXPECTED_BACKUP_HOURS", "")
        assert shell("status").code == HEALTHY

    def test_hours_that_are_none(self, management_shell):
        result = management_shell("status", "--expected-backup-hours", "soon")
        assert result.code == NOT_ALL_READ
        assert "'soon' is no number of hours" in result.err

    def test_one_that_never_had_any_counts_from_when_it_was_seen(self, shell, archive):
        key = ServiceKey(SUBSCRIPTION, ServiceRef.parse(SERVICE))
        assert shell("status").code == HEALTHY
        archive.opened.backup_ages.note_first_seen(key, hours_ago(31))
        result = shell("status")
        assert result.code == NOT_HEALTHY
        (line,) = [line for line in result.lines if line.startswith(SERVICE)]
        assert line.split()[-2:] == ["none", "OVERDUE"]

    def test_the_backup_of_another_service_of_this_name(self, shell, archive):
        archive.published(reference(service=NAME, scope="elsewhere", finished_at=hours_ago(1)))
        archive.published(
            reference(service=NAME, scope="contoso-west-us", container="orders-x", subscription_id="another")
        )
        assert row(shell("status", "--json"))["backup"] is None

    def test_a_backup_from_the_future(self, shell, archive):
        taken = archive.backed_up(finished_at=hours_ago(-100))
        result = shell("status")
        assert result.code == NOT_ALL_READ
        assert f"Backup {taken.place} of service {SERVICE}" in result.err
        assert "in the future" in result.err

    def test_an_unreadable_record_of_another_service(self, shell, archive, blobs):
        archive.backed_up(finished_at=hours_ago(31))
        container = blobs.get_container_client(archive.container)
        container.upload_blob("references/contosonordic/contosonordic-20260101-020000.json", b"{")
        europe = ServiceKey(SUBSCRIPTION, ServiceRef("contoso-north-europe", "contosoeurope"))
        container.upload_blob(f"ages/first-seen/contosoeurope-{europe.digest}.json", b"{")
        result = shell("status")
        assert result.code == NOT_ALL_READ
        assert len(result.lines) == 1 + 6 + 2
        assert "contosonordic-20260101-020000.json" in result.err
        assert "is not the record of a service that has no backup" in result.err
        assert "31 h 0 min, OVERDUE" in result.out
