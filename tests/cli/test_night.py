"""``python -m biztalk_services night``, and the records that a nightly run leaves for it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.flows import night
from biztalk_services.flows.backup_report import BACKED_UP, FAILED, NO_BACKUP, BackupOutcome, not_begun
from biztalk_services.flows.night import Progress, begin_night, end_night, nights_now, progress_sentence
from biztalk_services.model.backup import backup_name
from biztalk_services.model.records import Lock, SuspensionRecord
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.model.steps import BackupJob

from tests.archive.azurite import free_port
from tests.archive.samples import reference
from tests.cli.shell import RUN, connection_string
from tests.emulator.driver import SUBSCRIPTION

READ, NOT_ALL_READ = 0, 2
OTHER = replace(RUN, airflow="e5f60718")
MINUTE = timedelta(minutes=1)
LATER = datetime.now(UTC) + 3 * MINUTE


def ref(number: int) -> ServiceRef:
    return ServiceRef("contoso-west-us", f"Orders{number}")


def jobs(count: int) -> list[BackupJob]:
    """Of a night that begins now."""
    now = datetime.now(UTC)
    return [
        BackupJob("biztalk_default", str(ref(each)), backup_name(ServiceKey(SUBSCRIPTION, ref(each)), now))
        for each in range(count)
    ]


def run_of(job: BackupJob) -> Run:
    return Run("biztalk_backup", f"{RUN.run_id}__{job.service}", RUN.airflow)


def outcomes(*results: str) -> list[BackupOutcome]:
    """Of the first services of :func:`jobs`."""
    return [
        BackupOutcome("biztalk_default", ref(number).name, ref(number).scope, None, "premium", result)
        for number, result in enumerate(results)
    ]


@pytest.fixture
def opened(archive):
    return archive.opened


@pytest.fixture
def is_begun(opened):
    """A function that begins a night of so many services; returns its jobs."""

    def begun(count: int, run: Run = RUN, at: datetime | None = None) -> list[BackupJob]:
        begin_night(lambda: opened, run, made := jobs(count), at or datetime.now(UTC), 3)
        return made

    return begun


@pytest.fixture
def is_locked(opened):
    def locked(job: BackupJob) -> None:
        until = datetime.now(UTC) + timedelta(hours=1)
        lock = Lock(job.service, SUBSCRIPTION, run_of(job), "backup", until)
        opened.locks.take(lock, has_ended=lambda run: True)

    return locked


@pytest.fixture
def is_suspended(opened, is_locked):
    def suspended(job: BackupJob) -> SuspensionRecord:
        is_locked(job)
        now = datetime.now(UTC)
        record = SuspensionRecord(job.service, SUBSCRIPTION, run_of(job), "backup", now, now + timedelta(hours=1))
        opened.suspensions.open(record)
        return record

    return suspended


@pytest.fixture
def is_published(opened, is_locked):
    def published(job: BackupJob) -> None:
        is_locked(job)
        scope, _, name = job.service.partition("/")
        made = reference(job.backup_name, service=name, scope=scope, finished_at=datetime.now(UTC))
        opened.catalog.publish(replace(made, subscription_id=SUBSCRIPTION))

    return published


@pytest.fixture
def ended_before(opened):
    """So many nights of a size ended before, each a day earlier and of so many minutes."""

    def ended(count: int, services: int, minutes: float = 60) -> None:
        for days in range(count, 0, -1):
            run, at = replace(RUN, run_id=f"scheduled__-{days}"), datetime.now(UTC) - timedelta(days=days)
            begin_night(lambda: opened, run, jobs(services), at, 3)
            end_night(lambda: opened, run, outcomes(*[BACKED_UP] * services), at + minutes * MINUTE)

    return ended


def progress(opened) -> Progress:
    (seen,), problems = nights_now(opened, datetime.now(UTC))
    assert problems == []
    return seen.progress


# What is done, at work and waiting


def test_before_the_first_night(shell):
    result = shell("night")
    assert (result.code, result.out) == (READ, "No night has been recorded lately.\n")


def test_services_go_from_waiting_over_at_work_to_done(opened, is_begun, is_locked, is_suspended, is_published):
    first, second, third, *_ = is_begun(5)
    assert progress(opened) == Progress(5, done=0, failed=0, at_work=0)
    is_locked(first)
    record = is_suspended(second)
    assert progress(opened) == Progress(5, done=0, failed=0, at_work=2)
    is_published(second)
    assert progress(opened) == Progress(5, done=0, failed=0, at_work=2)
    opened.suspensions.close(record, by="x", reason="y")
    assert progress(opened) == Progress(5, done=1, failed=0, at_work=1)
    is_published(third)
    assert progress(opened).waiting == 2


def test_what_others_do_is_not_of_the_night(opened, is_begun, is_locked, is_suspended, is_published):
    *_, stranger = jobs(9)
    first, *_ = jobs(1)
    earlier = replace(first, backup_name="orders0-20200101-020000-abcdef")
    is_published(earlier)
    is_suspended(stranger)
    is_begun(5)
    is_published(stranger)
    assert progress(opened).done == 0
    assert progress(opened).waiting >= 4


def test_a_lock_of_long_ago_is_no_work(opened, is_begun, is_locked):
    is_locked(jobs(1)[0])
    is_begun(5, at=datetime.now(UTC) + timedelta(hours=1))
    assert progress(opened).at_work == 0


def test_what_has_failed_is_noted_and_told(opened, is_begun, is_locked):
    first, second, *_ = is_begun(5)
    for job in (first, second):
        is_locked(job)
    for _ in range(2):
        sentence = progress_sentence(lambda: opened, RUN, services=5, done=1, at_work=1, failed=1, failed_since=[first])
        assert sentence.startswith("1 of 5 services done (1 failed), 1 at work, 3 waiting. Unsure, no earlier night")
    assert progress(opened) == Progress(5, done=1, failed=1, at_work=1)


def test_a_backup_that_failed_and_succeeded_later_is_done(opened, is_begun, is_published):
    first, *_ = is_begun(5)
    progress_sentence(lambda: opened, RUN, services=5, done=1, at_work=0, failed=1, failed_since=[first])
    is_published(first)
    assert progress(opened) == Progress(5, done=1, failed=0, at_work=0)


def test_a_look_requests_no_more_for_many_services(opened, is_begun, is_published, monkeypatch):
    """The requests of a look follow from nothing but what is there to list."""

    def requests(services: int) -> int:
        run = replace(RUN, airflow=f"airflow-{services}")
        begin_night(lambda: opened, run, made := jobs(services), datetime.now(UTC), 3)
        for job in made[:3]:
            is_published(job)
        sent = []
        with monkeypatch.context() as patch:
            for container in {opened._blobs, opened._records}:
                send = container._container._client._client._pipeline.run
                patch.setattr(
                    container._container._client._client._pipeline,
                    "run",
                    lambda request, send=send, **more: sent.append(request) or send(request, **more),
                )
            nights_now(opened, datetime.now(UTC))
        end_night(lambda: opened, run, [])
        return len(sent)

    few, many = requests(5), requests(400)
    assert 0 < few == many


# When it ends


def test_the_estimate_is_from_earlier_nights(shell, ended_before, is_begun):
    ended_before(3, services=5, minutes=60)
    is_begun(5)
    result = shell("night")
    assert result.code == READ
    assert "0 of 5 services done, 0 at work, 5 waiting. Ends about " in result.out
    assert result.out.endswith(" UTC, by 3 earlier nights.\n")
    (seen,) = shell("night", "--json").json["nights"]
    earliest, latest = (datetime.fromisoformat(seen["forecast"][name]) for name in ("earliest", "latest"))
    assert earliest < datetime.now(UTC) + 60 * MINUTE < latest
    assert seen["sentence"].endswith(seen["estimate"])
    assert (seen["progress"]["waiting"], seen["end"]) == (5, None)


def test_nights_of_one_service_between_do_not_hide_them(opened, ended_before, is_begun):
    ended_before(3, services=5)
    for number in range(night._EARLIER):
        run = replace(RUN, run_id=f"manual__{number}")
        at = datetime.now(UTC) - (20 - number) * MINUTE
        begin_night(lambda: opened, run, jobs(1), at, 3)
        end_night(lambda: opened, run, outcomes(BACKED_UP), at)
    is_begun(5)
    assert "by 3 earlier nights" in progress_sentence(lambda: opened, RUN, services=5, done=0, at_work=0)


def test_the_pace_alone_is_unsure(opened, is_begun):
    is_begun(60, at=datetime.now(UTC) - 10 * MINUTE)
    sentence = progress_sentence(lambda: opened, RUN, services=60, done=12, at_work=3)
    assert (
        "12 of 60 services done, 3 at work, 45 waiting. Unsure, no earlier night of this size: by the pace" in sentence
    )


def test_nothing_is_known_and_nothing_is_left(opened, is_begun):
    is_begun(5)
    tell = partial(progress_sentence, lambda: opened, RUN, services=5)
    assert tell(done=0, at_work=5) == (
        "0 of 5 services done, 5 at work, 0 waiting. No estimate yet: no earlier night of this size, and no service is "
        "done."
    )
    assert tell(done=5, at_work=0) == "5 of 5 services done, 0 at work, 0 waiting."


def test_nights_in_which_most_failed_say_nothing(opened, is_begun):
    for days in (3, 2, 1):
        run, at = replace(RUN, run_id=f"scheduled__-{days}"), datetime.now(UTC) - timedelta(days=days)
        begin_night(lambda: opened, run, jobs(5), at, 3)
        end_night(lambda: opened, run, outcomes(BACKED_UP, BACKED_UP, FAILED, FAILED, FAILED), at + MINUTE)
    is_begun(5)
    assert "No estimate yet" in progress_sentence(lambda: opened, RUN, services=5, done=0, at_work=0)


# How it ended


def test_the_last_night(shell, opened, is_begun):
    is_begun(5, at=datetime.now(UTC) - 125 * MINUTE)
    *ends, last, other = outcomes(*[BACKED_UP] * 3, FAILED, FAILED, NO_BACKUP)
    end_night(lambda: opened, RUN, [*ends, not_begun(last, "back_up_services", "Too late."), other])
    result = shell("night")
    assert result.code == READ
    assert result.out.startswith(f"Last night ({RUN}): ended ")
    assert result.out.endswith(" after 2 h 5 min; 3 of 5 services backed up, 2 failed (1 not begun).\n")
    assert shell("night", "--json").json["nights"][0]["end"]["not_begun"] == 1


def test_a_night_ends_once(opened, is_begun):
    is_begun(5)
    for result in (BACKED_UP, FAILED):
        end_night(lambda: opened, RUN, outcomes(*[result] * 5))
    (seen,), _ = nights_now(opened, datetime.now(UTC))
    assert seen.end.backed_up == 5


def test_a_retry_keeps_the_beginning(opened):
    made, at = jobs(5), datetime.now(UTC) - 30 * MINUTE
    for left, moment in ((made, at), (made, at + 5 * MINUTE), (made[3:], at + 10 * MINUTE)):
        begin_night(lambda: opened, RUN, left, moment, 3)
    (seen,), _ = nights_now(opened, datetime.now(UTC))
    assert (seen.begun_at, seen.services) == (at, 5)


def test_a_cleared_run_is_another_night(opened, is_begun):
    at = datetime.now(UTC) - 30 * MINUTE
    is_begun(5, at=at)
    end_night(lambda: opened, RUN, outcomes(*[FAILED] * 5), at + MINUTE)
    is_begun(5, at=at + 10 * MINUTE)
    assert progress(opened).waiting == 5
    end_night(lambda: opened, RUN, outcomes(*[BACKED_UP] * 5))
    (seen,), _ = nights_now(opened, datetime.now(UTC))
    assert (seen.end.begun_at, seen.end.backed_up) == (at + 10 * MINUTE, 5)


def test_a_night_that_is_repaired_is_one_of_what_was_left(shell, opened):
    made, at = jobs(5), datetime.now(UTC) - 60 * MINUTE
    begin_night(lambda: opened, RUN, made, at, 3)
    end_night(lambda: opened, RUN, outcomes(*[BACKED_UP] * 4, FAILED), at + 50 * MINUTE)
    begin_night(lambda: opened, RUN, made[4:], at + 55 * MINUTE, 3)
    sentence = progress_sentence(lambda: opened, RUN, services=5, done=4, at_work=1)
    assert sentence.startswith("0 of 1 service done, 1 at work, 0 waiting.")
    end_night(lambda: opened, RUN, outcomes(*[BACKED_UP] * 5))
    assert "1 of 1 service backed up.\n" in shell("night").out
    begin_night(lambda: opened, replace(RUN, run_id="scheduled__2"), made, datetime.now(UTC), 3)
    (seen,), _ = nights_now(opened, datetime.now(UTC))
    assert seen.forecast.nights == 1


def test_other_services_in_the_same_run_are_another_night(opened, is_begun):
    at = datetime.now(UTC) - 30 * MINUTE
    is_begun(5, at=at)
    is_begun(7, at=at + MINUTE)
    assert progress(opened).services == 7


def test_the_nights_of_two_airflows_are_both_under_way(shell, is_begun):
    is_begun(5)
    is_begun(3, run=OTHER)
    result = shell("night")
    assert {line.partition("),")[0] for line in result.lines} == {f"Night under way ({each}" for each in (RUN, OTHER)}


def test_a_night_whose_run_died(shell, is_begun):
    is_begun(5, at=datetime.now(UTC) - timedelta(days=3))
    assert "has not told its end: its run died." in shell("night").out
    is_begun(3, run=replace(RUN, run_id="scheduled__2"))
    assert shell("night").out.startswith("Night under way (run scheduled__2 of")


# Trouble


def test_no_night_is_stopped(opened, caplog):
    def refused():
        raise StorageConnectionError("No storage account is given.")

    def broken():
        raise KeyError("secret")

    for archive in (refused, broken):
        with caplog.at_level(logging.WARNING):
            begin_night(archive, RUN, jobs(2), LATER, 3)
            end_night(archive, RUN, [])
            assert progress_sentence(archive, RUN, services=2, done=1, at_work=1) == "1 service done, 1 at work."
    assert len(caplog.records) == 6
    assert "No storage account is given." in caplog.text
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_plan_there_is_no_end(opened):
    end_night(lambda: opened, RUN, outcomes(BACKED_UP))
    assert nights_now(opened, datetime.now(UTC)) == ([], [])


def test_a_damaged_plan_is_named(shell, is_begun, archive, blobs):
    is_begun(5)
    container = blobs.get_container_client(archive.container)
    (name,) = [each.name for each in container.list_blobs("nights/")]
    container.upload_blob(name, b"\x1b[31m{", overwrite=True)
    result = shell("night")
    assert result.code == NOT_ALL_READ
    assert f"{name} in " in result.err
    assert shell("night", "--json").json["nights"] == []


def test_an_account_that_is_not_there(shell, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    assert shell("night").code == NOT_ALL_READ


def test_without_a_storage_account(management_shell):
    result = management_shell("night")
    assert (result.code, "No storage account is given" in result.err) == (NOT_ALL_READ, True)


def test_old_nights_are_taken_no_longer_for_those_under_way(opened, is_begun):
    is_begun(5, at=datetime.now(UTC) - night._LONGEST - MINUTE)
    (seen,), _ = nights_now(opened, datetime.now(UTC))
    assert (seen.progress, seen.end) == (None, None)
