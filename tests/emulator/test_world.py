"""The world around the services: databases and namespaces that are there or not, with the right secret or not."""

from __future__ import annotations

import json
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest
from biztalk_emulator.business.content import new_content, new_runtime
from biztalk_emulator.business.tracking import DRAIN_QUERY
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.store import CloudService, Service, Store
from biztalk_emulator.world import World

from tests.emulator.driver import EmulatorProcess

SERVICE = "contosoorders"
AGREEMENT = "Northwind X12 send"


def databases(emulator) -> dict[str, dict]:
    return {each["name"]: each for each in emulator.admin("GET", "/world")["databases"]}


def namespaces(emulator) -> dict[str, dict]:
    return {each["name"]: each for each in emulator.admin("GET", "/world")["namespaces"]}


def test_the_sample_introduces_what_it_names_and_no_secret_is_shown(emulator):
    world = emulator.admin("GET", "/world")
    assert databases(emulator)["contosoordersTracking"]["used_by"] == SERVICE
    assert namespaces(emulator)["contosoordersacs"]["used_by"] == [SERVICE]
    assert {name for each in world["databases"] for name in each} == {"name", "user", "used_by", "path"}
    assert {name for each in world["namespaces"] for name in each} == {"name", "used_by"}


def test_create_and_update_introduce_what_they_name(emulator):
    name = f"intro{time.time_ns() % 10**9}"
    emulator.operation(emulator.create(name, AccessControlNamespace="IntroAcs", AccessControlKey="a-key-to-hide"))
    emulator.reaches(name, "Active")
    assert databases(emulator)[f"{name}Tracking"]["used_by"] == name
    assert namespaces(emulator)["IntroAcs"]["used_by"] == [name]
    moved = f"Data Source=tcp:x;Initial Catalog={name}Moved;User ID=mover;Password=moved-to-hide"
    emulator.operation(emulator.update(name, TrackingStoreConnectionString=moved))
    emulator.reaches(name, "Active")
    assert databases(emulator)[f"{name}Moved"]["user"] == "mover"
    assert databases(emulator)[f"{name}Tracking"]["used_by"] is None
    assert "to-hide" not in str(emulator.admin("GET", "/world")) + str(emulator.journal())


def test_a_new_database_has_the_schema_at_once(emulator):
    answer = emulator.raw_admin("PUT", "/world/databases/Fresh.Tracking", {"user": "u", "password": "p-to-hide"})
    assert answer.status_code == 201
    path = databases(emulator)["Fresh.Tracking"]["path"]
    assert path == str(emulator.home / "tracking/Fresh.Tracking.db")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(DRAIN_QUERY).fetchall() == []
    rotated = emulator.raw_admin("PUT", "/world/databases/FRESH.tracking", {"password": "q-to-hide"})
    assert rotated.status_code == 200
    assert databases(emulator)["Fresh.Tracking"]["user"] == "u"
    emulator.admin("DELETE", "/world/databases/fresh.TRACKING")
    assert not Path(path).exists()
    events = [(each["event"], each["database"]) for each in emulator.journal(kind="admin")[-3:]]
    assert events == [
        ("make database", "Fresh.Tracking"),
        ("change login", "FRESH.tracking"),
        ("drop database", "fresh.TRACKING"),
    ]
    assert "to-hide" not in str(emulator.journal())


def test_a_service_with_an_old_password_processes_no_message(own_emulator):
    order = {"agreement": AGREEMENT}
    own_emulator.admin("PUT", f"/world/databases/{SERVICE}Tracking", {"password": "rotated"})
    refused = own_emulator.raw_admin("POST", f"/services/{SERVICE}/messages", order)
    assert (refused.status_code, "refused user name and password" in refused.json()["error"]) == (409, True)
    assert own_emulator.raw_admin("GET", f"/services/{SERVICE}/duplicates").status_code == 409
    right = f"Data Source=tcp:x;Initial Catalog={SERVICE}Tracking;User ID={SERVICE}User;Password=rotated"
    own_emulator.operation(own_emulator.update(SERVICE, TrackingStoreConnectionString=right))
    own_emulator.reaches(SERVICE, "Active")
    assert own_emulator.raw_admin("POST", f"/services/{SERVICE}/messages", order).status_code == 200


def test_a_dropped_database_stays_away_after_a_restart(own_emulator):
    path = Path(databases(own_emulator)[f"{SERVICE}Tracking"]["path"])
    own_emulator.admin("DELETE", f"/world/databases/{SERVICE}Tracking")
    own_emulator.kill()
    own_emulator.start()
    assert not path.exists()
    assert f"{SERVICE}Tracking" not in databases(own_emulator)
    refused = own_emulator.raw_admin("POST", f"/services/{SERVICE}/messages", {"agreement": AGREEMENT})
    assert (refused.status_code, "does not exist" in refused.json()["error"]) == (409, True)
    assert own_emulator.operation(own_emulator.act(SERVICE, "suspend")) == "Succeeded"


@pytest.mark.parametrize("by", ["management", "portal"])
def test_synchronizing_keys_takes_the_present_key(own_emulator, storage, by):
    own_emulator.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": "rotated-to-hide"})
    if by == "management":
        own_emulator.operation(own_emulator.act(SERVICE, "syncacskeys"))
    else:
        own_emulator.admin("POST", f"/services/{SERVICE}/actions", {"action": "sync_keys"})
    own_emulator.reaches(SERVICE, "Active")
    with closing(sqlite3.connect(own_emulator.home / "emulator.db")) as connection:
        (settings,) = connection.execute("SELECT settings FROM services WHERE key = ?", (SERVICE,)).fetchone()
    assert "rotated-to-hide" in settings
    assert "rotated-to-hide" not in str(own_emulator.journal())


def test_a_home_from_before_the_world_is_introduced_once(tmp_path):
    store = Store(tmp_path / "emulator.db")
    store.save_cloud_service(CloudService("group", "", "", "West US", ""))
    text = "Data Source=x;Initial Catalog=Old;User ID=u;Password=p"
    settings = {
        "Edition": "standard",
        "TrackingStoreConnectionString": text,
        "AccessControlNamespace": "oldacs",
        "AccessControlKey": "k",
    }
    store.save_service(Service("oldone", "group", "Active", "", 0.0, settings, new_content(), new_runtime()))
    world = World(store, tmp_path)
    world.introduce_once()
    world.check_database(text)
    world.check_namespace("oldacs", "k")
    world.drop_database("old")
    world.introduce_once()
    with pytest.raises(OperationFailure, match="does not exist"):
        world.check_database(text)
    store.close()


def test_the_keys_and_passwords_of_the_sample_open_what_they_belong_to(tmp_path):
    emulator = EmulatorProcess(tmp_path / "home", "--sample-fleet").start()
    try:
        file = emulator.home / "sample-credentials.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        services = json.loads(file.read_text())["services"]
        assert set(services) == {each["name"] for each in emulator.admin("GET", "/services")["services"]}
        users = {name: each["user"] for name, each in databases(emulator).items()}
        for service, known in services.items():
            database, namespace = known["tracking_database"], known["access_control"]
            assert users[database["database"]] == database["user"]
            assert database["server"].startswith("tcp:")
            assert database["password"]
            answer = emulator.request_token(service, namespace["key"], namespace=namespace["namespace"])
            assert answer.status_code == 200, answer.text
    finally:
        assert emulator.stop() == 0
