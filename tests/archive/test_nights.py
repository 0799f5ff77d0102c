"""Records of nights on a real Azurite."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import StorageUnreachableError
from biztalk_services.archive.nights import InvalidNightError, KnownNight, Nights
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.night import Night, NightEnd
from biztalk_services.model.run import Run

from tests.archive.azurite import Azurite, free_port

OURS = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
THEIRS = replace(OURS, airflow="e5f60718")
NOW = datetime(2026, 12, 1, 2, 0, 1, tzinfo=UTC)
ANY = range(10_000)


def night(run: Run = OURS, begun_at: datetime = NOW, services: int = 2) -> Night:
    names = {f"contoso-west/orders{number}": f"orders{number}-20261201-020000-3f0a11" for number in range(services)}
    return Night(run, "nightly", begun_at, 3, {"biztalk_default": names})


def end(plan: Night, minutes: float = 10) -> NightEnd:
    ended_at = plan.begun_at + timedelta(minutes=minutes)
    return NightEnd(plan.run, plan.kind, plan.begun_at, ended_at, plan.max_parallel, plan.size, plan.size, 0, 0)


@pytest.fixture
def nights(archive) -> Nights:
    return archive.nights


def known(nights: Nights, now: datetime = NOW) -> list[KnownNight]:
    return list(nights.known(now))


def test_begun_and_ended(nights):
    assert known(nights) == []
    assert nights.begin(night())
    (begun,) = known(nights)
    assert (begun.begun_at, begun.services, begun.has_ended) == (NOW, 2, False)
    assert begun.is_of(OURS)
    assert not begun.is_of(THEIRS)
    assert nights.plan(begun) == night()
    assert nights.end(begun, end(night()))
    (ended,) = known(nights)
    assert ended == replace(begun, has_ended=True)
    assert nights.end_of(ended) == end(night())


def test_nothing_is_overwritten(nights):
    nights.begin(night())
    assert not nights.begin(replace(night(), max_parallel=9))
    (begun,) = known(nights)
    assert nights.plan(begun).max_parallel == 3
    nights.end(begun, end(night()))
    assert not nights.end(begun, end(night(), minutes=99))
    assert nights.end_of(begun).seconds == 600


def test_the_newest_first_across_the_turn_of_a_year(nights):
    moments = [NOW - timedelta(days=each) for each in (0, 1, 30, 60)]
    for begun_at in reversed(moments):
        nights.begin(night(begun_at=begun_at))
    assert [each.begun_at for each in known(nights)] == moments
    january = datetime(2027, 1, 2, tzinfo=UTC)
    assert [each.begun_at for each in known(nights, january)] == moments


def test_the_clock_of_another_machine_is_in_the_next_month(nights):
    nights.begin(night(begun_at=NOW))
    assert len(known(nights, datetime(2026, 11, 30, 23, 59, tzinfo=UTC))) == 1


def test_years_are_not_listed(nights, monkeypatch):
    nights.begin(night(begun_at=NOW - timedelta(days=200)))
    listed = []
    monkeypatch.setattr(nights._blobs, "list", lambda folder: listed.append(folder) or [])
    assert known(nights) == []
    assert listed == ["nights/2026-12", "nights/2026-11", "nights/2026-10", "nights/2026-09"]


def test_no_month_is_listed_in_vain(nights, monkeypatch):
    nights.begin(night())
    listed, list_blobs = [], nights._blobs.list
    monkeypatch.setattr(nights._blobs, "list", lambda folder: listed.append(folder) or list_blobs(folder))
    next(nights.known(NOW))
    assert listed == ["nights/2026-12"]


def test_the_last_ends_of_some_size(nights):
    for number, size in enumerate((60, 1, 58, 1, 1, 59)):
        plan = night(begun_at=NOW + timedelta(hours=number), services=size)
        nights.begin(plan)
        if size != 59:
            nights.end(known(nights)[0], end(plan))
    ends, invalid = nights.ended(NOW, range(20, 181), 10)
    assert ([each.services for each in ends], invalid) == ([58, 60], [])
    assert [each.services for each in nights.ended(NOW, ANY, 3)[0]] == [1, 1, 58]


def test_failures_are_noted_once(nights):
    nights.begin(night())
    (begun,) = known(nights)
    assert nights.failed(begun) == set()
    assert nights.note_failed(begun, "orders1-20261201-020000-3f0a11")
    assert not nights.note_failed(begun, "orders1-20261201-020000-3f0a11")
    assert nights.failed(begun) == {"orders1-20261201-020000-3f0a11"}
    assert known(nights) == [begun]


def test_two_thousand_five_hundred_services_are_one_record(nights):
    plan = night(services=2500)
    nights.begin(plan)
    (begun,) = known(nights)
    assert (begun.services, nights.plan(begun)) == (2500, plan)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"[" * 100_000, b'{"run": 1}', b'"\xff"'],
)
def test_a_record_that_cannot_be_read_is_named_and_stops_no_other(nights, client, container_name, content):
    for hours in (0, 1):
        plan = night(begun_at=NOW + timedelta(hours=hours))
        nights.begin(plan)
        nights.end(known(nights)[0], end(plan))
    damaged, whole = known(nights)
    for record in ("begun", "ended"):
        client.get_blob_client(container_name, f"nights/{damaged.name}/{record}.json").upload_blob(
            content, overwrite=True
        )
    with pytest.raises(
        InvalidNightError, match=rf"nights/{damaged.name}/begun.json in .* is not the record of a night"
    ):
        nights.plan(damaged)
    ends, (sentence,) = nights.ended(NOW, ANY, 10)
    assert [each.begun_at for each in ends] == [whole.begun_at]
    assert f"nights/{damaged.name}/ended.json" in sentence


def test_a_time_without_zone_is_refused(nights):
    plan = night()
    nights.begin(plan)
    (begun,) = known(nights)
    nights.end(begun, replace(end(plan), ended_at=datetime(2026, 12, 1, 3)))
    with pytest.raises(InvalidNightError, match="no time zone"):
        nights.end_of(begun)


@pytest.mark.parametrize(
    "name",
    [
        "2026-12/01-020001-3f0a11-bc42d9a1b2c3-2/other.json",
        "2026-12/01-020001-3f0a11-bc42d9a1b2c3-2/begun.json/begun.json",
        "2026-12/32-020001-3f0a11-bc42d9a1b2c3-2/begun.json",
        "2026-12/01-020001/begun.json",
        "2026-12/notes.json",
    ],
)
def test_other_names_are_no_nights(nights, client, container_name, caplog, name):
    nights.begin(night())
    client.get_blob_client(container_name, f"nights/{name}").upload_blob(b"{}")
    with caplog.at_level(logging.WARNING):
        assert len(known(nights)) == 1
    assert f"nights/{name} in" in caplog.text


def test_an_end_without_a_plan_counts(nights, client, container_name):
    plan = night()
    nights.begin(plan)
    (begun,) = known(nights)
    nights.end(begun, end(plan))
    client.get_blob_client(container_name, f"nights/{begun.name}/begun.json").delete_blob()
    assert nights.ended(NOW, ANY, 10) == ([end(plan)], [])
    with pytest.raises(InvalidNightError, match="there is none"):
        nights.plan(begun)


def test_records_are_where_locks_are(account, container_name, client):
    archive = Archive(account, container_name, f"{container_name}-records")
    archive.nights.begin(night())
    names = [each.name for each in client.get_container_client(f"{container_name}-records").list_blobs()]
    assert [each.partition("/")[0] for each in names] == ["nights"]


def test_an_account_that_is_not_there(azurite: Azurite):
    away = Azurite(azurite.folder, free_port(), azurite.process)
    with away.client() as client, pytest.raises(StorageUnreachableError):
        known(Archive(StorageAccount(client), "catalog").nights)
