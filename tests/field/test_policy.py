"""Nights on a storage account with an immutability policy, with and without the layout that the documents give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from stack import Ports, Stack
from stack.settings import connection_environment, storage_connection
from tests.archive.storage_policy import CODE, ImmutabilityPolicy
from tests.archive.troubled_storage import TroubledStorage
from tests.field.nights import DURATIONS, SETTINGS, begin_night, end_of_night
from tests.system.world import BACKUP_OPERATIONS, CATALOG, Night, World

RECORDS = "biztalk-backup-records"
SERVICES = ("contosoeurope", "ContosoRetail")
IN_LAYOUT = ImmutabilityPolicy(frozenset({CATALOG}))
EVERYWHERE = ImmutabilityPolicy(frozenset({CATALOG, RECORDS}))


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Ports, TroubledStorage]]:
    """The ports of the stack, and a storage account with a policy on the catalog in front of its Azurite."""
    ports = Ports.free()
    proxy = TroubledStorage(SimpleNamespace(port=ports.azurite))
    proxy.policy = IN_LAYOUT
    yield ports, proxy
    proxy.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, account: tuple[Ports, TroubledStorage]) -> Iterator[World]:
    ports, proxy = account
    storage = storage_connection(ports) | {"host": proxy.url}
    stack = Stack(
        tmp_path_factory.mktemp("policy"),
        ports,
        emulator_options=["--durations", json.dumps(DURATIONS)],
        airflow_settings={
            **SETTINGS,
            **connection_environment({"biztalk_backup_storage": storage}),
            "AIRFLOW__BIZTALK_SERVICES__RECORDS_CONTAINER": RECORDS,
        },
    )
    with stack.up():
        yield World.of(stack)


def night(world: World, run_id: str) -> Night:
    after = world.last_seq()
    begin_night(world, run_id, list(SERVICES))
    return end_of_night(world, run_id, after)


@pytest.fixture(scope="module")
def in_layout(world: World) -> list[Night]:
    """Two nights in a row: what the first one has written, the second one may not change."""
    return [night(world, run_id) for run_id in ("first", "second")]


@pytest.fixture(scope="module")
def without_layout(world: World, account: tuple[Ports, TroubledStorage], in_layout: list[Night]) -> Night:
    """A night after these with locks and suspension records under the policy, too."""
    account[1].policy = EVERYWHERE
    return night(world, "third")


def blobs(world: World, container: str, folder: str = "") -> list[str]:
    return [blob.name for blob in world.blobs.get_container_client(container).list_blobs(folder)]


@pytest.mark.parametrize("service", SERVICES)
def test_both_nights_pass(in_layout, world, service):
    assert [night.state for night in in_layout] == ["success", "success"]
    assert [night.operations(service) for night in in_layout] == [BACKUP_OPERATIONS] * 2
    backups = {night.backup(service) for night in in_layout}
    assert len(backups) == 2
    assert set(world.catalog("references", service)) == backups


def test_what_is_changed_again_is_kept_apart_from_the_catalog(in_layout, world):
    assert {name.partition("/")[0] for name in blobs(world, CATALOG)} <= {"references", "inventories", "checks"}
    assert blobs(world, RECORDS, "suspensions/closed/")
    assert blobs(world, RECORDS, "suspensions/open/") + blobs(world, RECORDS, "claims/") == []


@pytest.mark.parametrize("service", SERVICES)
def test_without_the_layout_nothing_is_suspended(without_layout, service):
    assert without_layout.state == "failed"
    assert without_layout.changes(service) == []
    assert without_layout.states[service] == "Active"


@pytest.mark.parametrize("service", SERVICES)
def test_the_check_names_the_policy_and_the_layout(without_layout, service):
    row = without_layout.report[service]
    assert (row["failed_step"], row["backup"]) == ("check_backup", None)
    assert CODE in row["reason"]
    assert "records_container" in row["reason"]
