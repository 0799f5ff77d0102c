"""The secrets of a stack, and where they must not be."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from urllib.parse import quote

from stack.settings import STORAGE_KEY
from tests.system.world import World


def canaries_of(world: World) -> set[bytes]:
    """Every secret in each spelling in which it may be stored."""
    spellings = [(text, quote(text, safe=""), json.dumps(text)[1:-1]) for text in secrets(world)]
    return {spelling.encode() for each in spellings for spelling in each}


def secrets(world: World) -> Iterator[str]:
    """The account key, our private key, the secrets of Airflow, of its stores, of the services and of the tests."""
    yield STORAGE_KEY
    yield from (line for line in key_file(world).splitlines() if line and not line.startswith("-"))
    for file in ("secrets.json", "store-passwords.json"):
        if (world.stack.home / file).exists():
            yield from json.loads((world.stack.home / file).read_text()).values()
    yield from world.secrets
    with closing(sqlite3.connect(world.stack.home / "emulator/emulator.db")) as store:
        services = [json.loads(settings) for (settings,) in store.execute("SELECT settings FROM services")]
    for settings in services:
        yield from filter(None, [settings.get("AccessControlKey"), *settings.get("ServiceCertificate", {}).values()])
        for value in settings.values():
            if isinstance(value, str):
                yield from re.findall(r"(?:Password|AccountKey)=([^;]+)", value)


def key_file(world: World) -> str:
    return (world.stack.home / "emulator/pki/management.key").read_text()


def leaks(canaries: set[bytes], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """The places that contain a secret, without the secret."""
    return [name for name, content in places if any(canary in content for canary in canaries)]


def log_files(world: World) -> Iterator[tuple[str, bytes]]:
    for folder in ("logs", "airflow/logs"):
        for file in (world.stack.home / folder).rglob("*"):
            if file.is_file():
                yield str(file), file.read_bytes()


def database_rows(world: World) -> Iterator[tuple[str, bytes]]:
    """Every row of Airflow's database, with the name of its table."""
    for table in world.tables():
        for row in world.rows(table):
            yield table, "\n".join(map(str, row)).encode()
