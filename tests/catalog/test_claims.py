"""One job a service: claims on a real Azurite."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from azure.core.exceptions import ResourceExistsError
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import (
    ContainerExistsError,
    ServiceLockedError,
    StorageAuthenticationError,
    StorageUnreachableError,
)
from biztalk_services.archive.locks import Locks
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run

from tests.catalog.azurite import Azurite, free_port
from tests.catalog.samples import reference

OURS, THEIRS = Run("biztalk_restore", "manual__1"), Run("biztalk_nightly_backup", "scheduled__1")
RACERS = 8


def claim(run: Run = OURS, hours: float = 1, service: str = "Orders", purpose: str = "restore") -> Lock:
    return Lock(service, run, purpose, datetime.now(UTC) + timedelta(hours=hours))


def runs_on(run: Run) -> bool:
    return False


def has_ended(run: Run) -> bool:
    return True


@pytest.fixture
def claims(client, container_name) -> Locks:
    return Locks(client, container_name)


@pytest.fixture
def blob(client, container_name):
    """The blob of the claim on service orders."""
    return client.get_blob_client(container_name, "claims/orders.json")


@pytest.fixture
def takeovers(client, container_name):
    """The records of takeovers of service orders."""
    container = client.get_container_client(container_name)

    def listed() -> list[dict]:
        found = container.list_blobs("claims/taken-over/orders/")
        return [json.loads(container.download_blob(blob.name).readall()) for blob in found]

    return listed


def test_taken_and_given_up(claims, blob):
    assert claims.of("orders") is None
    taken = claim()
    claims.take(taken, has_ended=runs_on)
    assert claims.of("ORDERS") == taken
    assert claims.of("billing") is None
    assert blob.get_blob_properties().content_settings.content_type == "application/json"
    claims.give_up("orders", OURS)
    assert claims.of("orders") is None


def test_another_run_keeps_away(claims):
    held = claim(THEIRS, purpose="backup")
    claims.take(held, has_ended=runs_on)
    with pytest.raises(ServiceLockedError) as caught:
        claims.take(claim(), has_ended=runs_on)
    assert caught.value.advice == "stop"
    for part in ("scheduled__1 of biztalk_nightly_backup", "service Orders (backup)", f"{held.until:%Y-%m-%d %H:%M}"):
        assert part in str(caught.value)
    assert claims.of("orders") == held


def test_only_the_run_that_holds_it_is_asked_about(claims):
    asked = []
    claims.take(claim(THEIRS), has_ended=asked.append)
    assert asked == []
    claims.take(claim(), has_ended=lambda run: bool(asked.append(run)) or True)
    assert asked == [THEIRS]


def test_another_service_is_free(claims):
    claims.take(claim(THEIRS), has_ended=runs_on)
    claims.take(claim(service="billing"), has_ended=runs_on)
    assert (claims.of("orders").run, claims.of("billing").run) == (THEIRS, OURS)


def test_the_same_run_takes_it_again_and_longer(claims):
    claims.take(claim(), has_ended=runs_on)
    longer = claim(hours=5)
    claims.take(longer, has_ended=runs_on)
    assert claims.of("orders") == longer


@pytest.mark.parametrize("stranger", [replace(OURS, dag_id="another"), replace(OURS, run_id="another")])
def test_a_run_is_its_dag_and_its_id(claims, stranger):
    claims.take(claim(stranger), has_ended=runs_on)
    with pytest.raises(ServiceLockedError):
        claims.take(claim(), has_ended=runs_on)


@pytest.mark.parametrize(("hours", "ended"), [(1, has_ended), (0, runs_on), (-1, runs_on)])
def test_a_claim_whose_run_or_time_has_ended_is_taken_over(claims, hours, ended, takeovers):
    held = claim(THEIRS, hours)
    claims.take(held, has_ended=runs_on)
    assert held.is_over() == (hours <= 0)
    assert takeovers() == []
    taken = claim()
    claims.take(taken, has_ended=ended)
    assert claims.of("orders").run == OURS
    (record,) = takeovers()
    why = "its time was over" if hours <= 0 else "its run had ended"
    assert record == {"from": held.to_dict(), "to": taken.to_dict(), "why": why}


def test_one_that_was_overtaken_is_refused_and_does_not_take_it_back(claims):
    claims.take(claim(hours=-1), has_ended=runs_on)
    claims.take(claim(THEIRS), has_ended=runs_on)
    with pytest.raises(ServiceLockedError):
        claims.take(claim(), has_ended=runs_on)
    assert claims.of("orders").run == THEIRS


def test_taking_it_again_is_no_takeover(claims, takeovers):
    for hours in (1, 2):
        claims.take(claim(hours=hours), has_ended=has_ended)
    assert takeovers() == []


def test_only_ones_own_is_given_up(claims):
    claims.give_up("orders", OURS)
    claims.take(claim(THEIRS), has_ended=runs_on)
    claims.give_up("orders", OURS)
    assert claims.of("orders").run == THEIRS
    claims.give_up("Orders", THEIRS)
    assert claims.of("orders") is None


def test_what_was_taken_over_meanwhile_is_not_given_up(claims, monkeypatch):
    claims.take(claim(), has_ended=runs_on)
    read = Locks._read

    def read_then_lose(self: Locks, service: str):
        found = read(self, service)
        monkeypatch.setattr(Locks, "_read", read)
        claims.take(claim(THEIRS), has_ended=has_ended)
        return found

    monkeypatch.setattr(Locks, "_read", read_then_lose)
    claims.give_up("orders", OURS)
    assert claims.of("orders").run == THEIRS


# --- races -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [None, claim(THEIRS, -1), "rubbish"])
def test_of_many_that_race_one_wins(azurite: Azurite, claims, client, container_name, blob, there):
    """All have read before the first one writes, so that only the conditional write decides."""
    client.create_container(container_name)
    if isinstance(there, Lock):
        claims.take(there, has_ended=runs_on)
    elif there:
        blob.upload_blob(there)
    line = Barrier(RACERS)

    def wins(number: int) -> bool:
        with azurite.client() as own:
            racer = Locks(own, container_name)
            read, looked = racer._read, []

            def read_together(service: str):
                found = read(service)
                if not looked:
                    looked.append(line.wait(30))
                return found

            racer._read = read_together
            try:
                racer.take(claim(Run("biztalk_restore", str(number))), has_ended=runs_on)
            except ServiceLockedError:
                return False
            return True

    with ThreadPoolExecutor(RACERS) as pool:
        (winner,) = [number for number, won in enumerate(pool.map(wins, range(RACERS))) if won]
    assert claims.of("orders").run.run_id == str(winner)


def lose_once(monkeypatch, claims: Locks, meanwhile) -> None:
    """Between the look and the write of the next ``take``, something happens."""
    read = Locks._read

    def read_then(self: Locks, service: str):
        found = read(self, service)
        monkeypatch.setattr(Locks, "_read", read)
        meanwhile()
        return found

    monkeypatch.setattr(Locks, "_read", read_then)


def test_an_own_claim_whose_answer_was_lost_is_ours(claims, monkeypatch):
    """The library sends a write again when its answer is lost, and then meets its own blob."""
    for _ in range(2):
        lose_once(monkeypatch, claims, lambda: claims.take(claim(), has_ended=runs_on))
        claims.take(claim(), has_ended=runs_on)
        assert claims.of("orders").run == OURS


def test_somebody_elses_claim_at_the_same_moment(claims, monkeypatch):
    lose_once(monkeypatch, claims, lambda: claims.take(claim(THEIRS), has_ended=runs_on))
    with pytest.raises(ServiceLockedError, match="scheduled__1"):
        claims.take(claim(), has_ended=runs_on)


def test_a_claim_that_vanishes_at_the_same_moment(claims, monkeypatch):
    claims.take(claim(THEIRS, -1), has_ended=runs_on)
    lose_once(monkeypatch, claims, lambda: claims.give_up("orders", THEIRS))
    with pytest.raises(ServiceLockedError, match="same moment"):
        claims.take(claim(), has_ended=runs_on)


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"claim"',
        b"{}",
        b"null",
        claim().to_bytes().replace(b"run_id", b"runid"),
        b'{"service": "orders", "run": [], "purpose": "x", "until": "2026-01-01T00:00:00+00:00"}',
        b'{"service": "orders", "run": {"dag_id": "d", "run_id": "r"}, "purpose": "x", "until": "2999-01-01T00:00:00"}',
        b'{"service": "orders", "run": {"dag_id": "d", "run_id": "r"}, "purpose": "x", "until": "soon"}',
        b'{"service": "orders", "run": {"dag_id": "d", "run_id": "r"}, "purpose": "x", "until": 5}',
    ],
)
def test_what_is_no_claim_holds_nobody_up(claims, client, container_name, blob, content):
    client.create_container(container_name)
    blob.upload_blob(content)
    with pytest.raises(ValueError, match=r"."):
        Lock.from_bytes(content)
    assert claims.of("orders") is None
    claims.give_up("orders", OURS)
    assert blob.exists()
    claims.take(claim(), has_ended=runs_on)
    assert claims.of("orders").run == OURS


def test_a_claim_as_bytes():
    taken = claim()
    assert Lock.from_bytes(taken.to_bytes()) == taken
    assert taken.to_bytes() == Lock.from_bytes(taken.to_bytes()).to_bytes()


def test_the_catalog_does_not_mind(claims, client, container_name):
    catalog = Catalog(client, container_name)
    claims.take(claim(), has_ended=runs_on)
    assert catalog.list() == []
    catalog.publish(reference())
    assert catalog.latest("orders") == reference()


# --- storage that does not answer ------------------------------------------------------------------------------------


def test_azurite_down(azurite: Azurite, container_name):
    with Azurite(azurite.folder, free_port(), azurite.process).client() as client:
        claims = Locks(client, container_name)
        for call in (
            lambda: claims.of("orders"),
            lambda: claims.take(claim(), has_ended=runs_on),
            lambda: claims.give_up("orders", OURS),
        ):
            with pytest.raises(StorageUnreachableError) as caught:
                call()
            assert caught.value.advice == "retry"


def test_a_wrong_key(azurite: Azurite, container_name):
    with azurite.client("d3Jvbmc=") as client, pytest.raises(StorageAuthenticationError):
        Locks(client, container_name).take(claim(), has_ended=runs_on)


def test_a_container_that_is_being_deleted(claims, monkeypatch):
    error = ResourceExistsError("It is being deleted.")
    error.error_code = "ContainerBeingDeleted"

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(claims._container, "create_container", refuse)
    with pytest.raises(ContainerExistsError, match="claim service Orders"):
        claims.take(claim(), has_ended=runs_on)
