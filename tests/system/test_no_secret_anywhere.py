"""After all other tests: no secret is stored outside its connection. (conftest puts this file last.)"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.system.canaries import canaries_of, database_rows, leaks, log_files
from tests.system.world import CATALOG, World


@pytest.fixture(scope="module")
def canaries(world: World) -> set[bytes]:
    return canaries_of(world)


@pytest.fixture(scope="module", autouse=True)
def traces(good_night, troubled_night) -> None:
    """The traces exist even when this file runs alone."""


def test_there_are_secrets_to_search_for(world, canaries):
    store = (world.stack.home / "emulator/emulator.db").read_bytes()
    assert len(canaries) > 50
    assert leaks(canaries, [("the emulator's own store", store)])
    assert leaks(canaries, [("a backup", b"".join(payload(world)))])


def test_no_secret_in_any_log(world, canaries):
    logs = list(log_files(world))
    assert len(logs) > 300
    assert any(
        re.search(rb"Requested backup \S+ of contoso-west-us/proving-html: operation", content) for _, content in logs
    )
    assert leaks(canaries, logs) == []


def test_no_secret_in_any_table_of_airflows_database(world, canaries):
    rows = list(database_rows(world))
    kept = {"xcom", "rendered_task_instance_fields", "task_state_store", "dag_run", "serialized_dag", "asset_event"}
    assert kept < {table for table, _ in rows}
    assert leaks(canaries, rows) == []


def test_no_secret_in_the_arguments_of_triggers(world, canaries):
    assert any("proving-1-bkup-stuck" in arguments for arguments in world.triggers_seen)
    assert leaks(canaries, [("trigger", arguments.encode()) for arguments in world.triggers_seen]) == []


def test_no_secret_in_the_catalog_and_in_descriptors(world, canaries):
    entries = list(world.content(CATALOG).items())
    assert len(entries) > 10
    assert leaks(canaries, entries) == []
    descriptors = [(name, world.content(name).get(f"{name}.txt", b"")) for name in world.containers() - {CATALOG}]
    assert any(content for _, content in descriptors)
    assert leaks(canaries, descriptors) == []


def test_no_secret_in_the_emulators_journal(world, canaries):
    journal = json.dumps(world.emulator.journal()).encode()
    assert leaks(canaries, [("journal", journal)]) == []


def payload(world: World) -> Iterator[bytes]:
    name = next(iter(world.containers() - {CATALOG}))
    yield from world.content(name).values()
