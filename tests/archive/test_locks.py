"""One run a service: locks on a real Azurite."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from azure.core.exceptions import ResourceExistsError
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import Blobs, json_bytes
from biztalk_services.archive.errors import (
    ServiceLockedError,
    StorageAuthenticationError,
    StorageNotReadyError,
    StorageUnreachableError,
)
from biztalk_services.archive.locks import Locks
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey

from tests.archive.azurite import Azurite, free_port
from tests.archive.samples import SUBSCRIPTION, key, reference

OURS = Run("biztalk_restore", "manual__1", "a1b2c3d4")
THEIRS = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
ORDERS, BILLING = key("contoso-west/orders"), key("contoso-west/billing")
RACERS = 8


def lock(
    run: Run = OURS,
    hours: float = 1,
    service: str = "contoso-west/Orders",
    purpose: str = "restore",
    subscription_id: str = SUBSCRIPTION,
) -> Lock:
    return Lock(service, subscription_id, run, purpose, datetime.now(UTC) + timedelta(hours=hours))


def is_active(run: Run) -> bool:
    return False


def has_ended(run: Run) -> bool:
    return True


@pytest.fixture
def locks(archive) -> Locks:
    return archive.locks


@pytest.fixture
def blob(client, container_name):
    """The blob of the lock of service orders."""
    return client.get_blob_client(container_name, f"claims/orders-{ORDERS.digest}.json")


@pytest.fixture
def takeovers(client, container_name):
    """The records of takeovers of the lock of service orders."""
    container = client.get_container_client(container_name)

    def listed() -> list[dict]:
        blobs = container.list_blobs(f"claims/taken-over/orders-{ORDERS.digest}/")
        return [json.loads(container.download_blob(blob.name).readall()) for blob in blobs]

    return listed


def test_taken_and_released(locks, blob):
    assert locks.of(ORDERS) is None
    taken = lock()
    locks.take(taken, has_ended=is_active)
    assert locks.of(key("Contoso-West/ORDERS", SUBSCRIPTION.upper())) == taken
    assert locks.of(BILLING) is None
    assert blob.get_blob_properties().content_settings.content_type == "application/json; charset=utf-8"
    locks.release(ORDERS, OURS)
    assert locks.of(ORDERS) is None


def test_another_run_is_refused(locks):
    held = lock(THEIRS, purpose="backup")
    locks.take(held, has_ended=is_active)
    with pytest.raises(ServiceLockedError) as caught:
        locks.take(lock(), has_ended=is_active)
    assert caught.value.advice == "stop"
    for part in (
        "Service contoso-west/Orders is locked",
        "scheduled__1 of biztalk_nightly_backup in Airflow a1b2c3d4 (backup)",
        f"{held.until:%Y-%m-%d %H:%M}",
    ):
        assert part in str(caught.value)
    assert locks.of(ORDERS) == held


def test_only_the_holding_run_is_checked(locks):
    checked: list[Run] = []
    locks.take(lock(THEIRS), has_ended=checked.append)
    assert checked == []
    locks.take(lock(), has_ended=lambda run: bool(checked.append(run)) or True)
    assert checked == [THEIRS]


def test_another_service_is_not_locked(locks):
    locks.take(lock(THEIRS), has_ended=is_active)
    locks.take(lock(service="contoso-west/billing"), has_ended=is_active)
    assert (locks.of(ORDERS).run, locks.of(BILLING).run) == (THEIRS, OURS)


def test_the_same_run_takes_it_again_for_longer(locks):
    locks.take(lock(), has_ended=is_active)
    longer = lock(hours=5)
    locks.take(longer, has_ended=is_active)
    assert locks.of(ORDERS) == longer


@pytest.mark.parametrize("other", [{"dag_id": "another"}, {"run_id": "another"}, {"airflow": "e5f60718"}])
def test_a_run_is_its_airflow_its_dag_and_its_id(locks, other):
    held = lock(replace(OURS, **other))
    locks.take(held, has_ended=is_active)
    with pytest.raises(ServiceLockedError):
        locks.take(lock(hours=5), has_ended=is_active)
    locks.release(ORDERS, OURS)
    assert locks.of(ORDERS) == held


@pytest.mark.parametrize(
    "other",
    [{"service": "contoso-east/Orders"}, {"subscription_id": "0b5f9c1e"}],
    ids=["in another scope", "in another subscription"],
)
def test_a_service_of_the_same_name_is_not_locked(locks, other):
    theirs = lock(THEIRS, **other)
    for taken in (theirs, lock()):
        locks.take(taken, has_ended=is_active)
    locks.release(ORDERS, OURS)
    locks.release(ORDERS, THEIRS)
    assert (locks.of(ORDERS), locks.of(theirs.key)) == (None, theirs)


@pytest.mark.parametrize(("hours", "ended"), [(1, has_ended), (0, is_active), (-1, is_active)])
def test_a_lock_whose_run_or_time_has_ended_is_taken_over(locks, hours, ended, takeovers):
    held = lock(THEIRS, hours)
    locks.take(held, has_ended=is_active)
    assert held.is_expired == (hours <= 0)
    assert takeovers() == []
    taken = lock()
    locks.take(taken, has_ended=ended)
    assert locks.of(ORDERS).run == OURS
    (record,) = takeovers()
    why = "its time was over" if hours <= 0 else "its run had ended"
    assert record == {"from": held.to_dict(), "to": taken.to_dict(), "why": why}


def test_a_run_that_lost_its_lock_does_not_take_it_back(locks):
    locks.take(lock(hours=-1), has_ended=is_active)
    locks.take(lock(THEIRS), has_ended=is_active)
    with pytest.raises(ServiceLockedError):
        locks.take(lock(), has_ended=is_active)
    assert locks.of(ORDERS).run == THEIRS


def test_taking_it_again_is_no_takeover(locks, takeovers):
    for hours in (1, 2):
        locks.take(lock(hours=hours), has_ended=has_ended)
    assert takeovers() == []


def test_only_the_own_lock_is_released(locks):
    locks.release(ORDERS, OURS)
    locks.take(lock(THEIRS), has_ended=is_active)
    locks.release(ORDERS, OURS)
    assert locks.of(ORDERS).run == THEIRS
    locks.release(ORDERS, THEIRS)
    assert locks.of(ORDERS) is None


def test_a_lock_taken_over_meanwhile_is_not_released(locks, monkeypatch):
    locks.take(lock(), has_ended=is_active)
    read = Locks._read

    def read_then_lose(self: Locks, service: ServiceKey):
        held = read(self, service)
        monkeypatch.setattr(Locks, "_read", read)
        locks.take(lock(THEIRS), has_ended=has_ended)
        return held

    monkeypatch.setattr(Locks, "_read", read_then_lose)
    locks.release(ORDERS, OURS)
    assert locks.of(ORDERS).run == THEIRS


# --- races -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, lock(THEIRS, -1), "rubbish"])
def test_of_many_that_race_one_wins(azurite: Azurite, locks, client, container_name, blob, before):
    """All have read before the first one writes, so that only the conditional write decides."""
    client.create_container(container_name)
    if isinstance(before, Lock):
        locks.take(before, has_ended=is_active)
    elif before:
        blob.upload_blob(before)
    line = Barrier(RACERS)

    def wins(number: int) -> bool:
        with azurite.client() as own:
            racer = Locks(Blobs(StorageAccount(own), container_name))
            read, first = racer._read, []

            def read_together(service: ServiceKey):
                held = read(service)
                if not first:
                    first.append(line.wait(30))
                return held

            racer._read = read_together
            try:
                racer.take(lock(Run("biztalk_restore", str(number))), has_ended=is_active)
            except ServiceLockedError:
                return False
            return True

    with ThreadPoolExecutor(RACERS) as pool:
        (winner,) = [number for number, won in enumerate(pool.map(wins, range(RACERS))) if won]
    assert locks.of(ORDERS).run.run_id == str(winner)


def lose_once(monkeypatch, locks: Locks, meanwhile) -> None:
    """Between the read and the write of the next ``take``, something happens."""
    read = Locks._read

    def read_then(self: Locks, service: ServiceKey):
        held = read(self, service)
        monkeypatch.setattr(Locks, "_read", read)
        meanwhile()
        return held

    monkeypatch.setattr(Locks, "_read", read_then)


def test_an_own_lock_whose_response_was_lost_is_ours(locks, monkeypatch):
    """The library sends a write again when its response is lost, and then meets its own blob."""
    for _ in range(2):
        lose_once(monkeypatch, locks, lambda: locks.take(lock(), has_ended=is_active))
        locks.take(lock(), has_ended=is_active)
        assert locks.of(ORDERS).run == OURS


def test_a_lock_of_another_run_at_the_same_moment(locks, monkeypatch):
    lose_once(monkeypatch, locks, lambda: locks.take(lock(THEIRS), has_ended=is_active))
    with pytest.raises(ServiceLockedError, match="scheduled__1"):
        locks.take(lock(), has_ended=is_active)


def test_a_lock_that_is_released_at_the_same_moment(locks, monkeypatch):
    locks.take(lock(THEIRS, -1), has_ended=is_active)
    lose_once(monkeypatch, locks, lambda: locks.release(ORDERS, THEIRS))
    with pytest.raises(ServiceLockedError, match="same moment"):
        locks.take(lock(), has_ended=is_active)


# --- what cannot be read ---------------------------------------------------------------------------------------------


def _without_end() -> bytes:
    """The beginning of a record whose other fields are right."""
    values = lock().to_dict()
    del values["until"]
    return json.dumps(values).encode().removesuffix(b"}") + b", "


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'"lock"',
        b"{}",
        b"null",
        json_bytes(lock().to_dict()).replace(b"run_id", b"runid"),
        json_bytes(lock().to_dict() | {"run": []}),
        _without_end() + b'"until": "2999-01-01T00:00:00"}',
        _without_end() + b'"until": "soon"}',
        _without_end() + b'"until": 5}',
    ],
)
def test_a_record_that_is_no_lock_does_not_lock(locks, client, container_name, blob, content):
    client.create_container(container_name)
    blob.upload_blob(content)
    with pytest.raises(ValueError, match=r"."):
        Lock.from_bytes(content)
    assert locks.of(ORDERS) is None
    locks.release(ORDERS, OURS)
    assert blob.exists()
    locks.take(lock(), has_ended=is_active)
    assert locks.of(ORDERS).run == OURS


def test_a_lock_as_bytes():
    taken = lock()
    content = json_bytes(taken.to_dict())
    assert Lock.from_bytes(content) == taken
    assert json_bytes(Lock.from_bytes(content).to_dict()) == content


def test_a_lock_deleted_before_it_is_read_is_none(locks, blob, monkeypatch):
    locks.take(lock(), has_ended=is_active)
    opened = Blobs.client

    def delete_then_open(self: Blobs, path: str):
        blob.delete_blob()
        return opened(self, path)

    monkeypatch.setattr(Blobs, "client", delete_then_open)
    assert locks.of(ORDERS) is None
    monkeypatch.undo()
    locks.take(lock(THEIRS), has_ended=is_active)
    assert locks.of(ORDERS).run == THEIRS


def test_an_expired_lock_is_still_of_its_run(locks):
    expired = lock(THEIRS, -1)
    locks.take(expired, has_ended=is_active)
    assert locks.of(ORDERS) == expired
    assert expired.is_expired
    assert not lock().is_expired


def test_a_takeover_that_cannot_be_recorded_goes_on(locks, monkeypatch, caplog):
    locks.take(lock(THEIRS, -1), has_ended=is_active)

    def fail(self: Blobs, path: str, values: dict) -> bool:
        raise StorageUnreachableError("Could not write it.")

    monkeypatch.setattr(Blobs, "write_once", fail)
    locks.take(lock(), has_ended=is_active)
    assert locks.of(ORDERS).run == OURS
    assert "Could not write it." in caplog.text


def test_the_catalog_lists_no_locks(archive):
    archive.locks.take(lock(), has_ended=is_active)
    assert archive.catalog.list_references() == []
    archive.catalog.publish(reference())
    assert archive.catalog.latest("orders") == reference()


# --- storage that is not reached -------------------------------------------------------------------------------------


def test_azurite_down(azurite: Azurite, container_name):
    with Azurite(azurite.folder, free_port(), azurite.process).client() as client:
        locks = Archive(StorageAccount(client), container_name).locks
        for call in (
            lambda: locks.of(ORDERS),
            lambda: locks.take(lock(), has_ended=is_active),
            lambda: locks.release(ORDERS, OURS),
        ):
            with pytest.raises(StorageUnreachableError) as caught:
                call()
            assert caught.value.advice == "retry"


def test_a_wrong_key(azurite: Azurite, container_name):
    with azurite.client("d3Jvbmc=") as client, pytest.raises(StorageAuthenticationError):
        Archive(StorageAccount(client), container_name).locks.take(lock(), has_ended=is_active)


def test_a_container_that_is_being_deleted(archive, monkeypatch):
    error = ResourceExistsError("It is being deleted.")
    error.error_code = "ContainerBeingDeleted"

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(archive._blobs._container, "create_container", refuse)
    with pytest.raises(StorageNotReadyError, match="claims/orders"):
        archive.locks.take(lock(), has_ended=is_active)
