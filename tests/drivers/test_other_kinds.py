"""The real DAGs back up and restore two invented kinds of service, of which only their drivers know anything."""

from __future__ import annotations

import time
from typing import Any

import pytest
from biztalk_services.provider.connections import open_archive

from tests.drivers.exported.driver import MANIFEST, RegisterDriver, Shop
from tests.drivers.self_writing.driver import Rack
from tests.provider.fakes import Died, Run
from tests.provider.walk import Night, Restoration

ARCHIVE = "biztalk_backup_storage/biztalk-backup-catalog"
CONTAINER = "biztalk-backup-catalog"
PAGES = ({"a": "one", "b": "two"}, {"c": "three"}, {"d": "four"})

self_writing = pytest.mark.parametrize("platform", ["self_writing"], indirect=True)
exported = pytest.mark.parametrize("platform", ["exported"], indirect=True)


def fresh(prefix: str) -> str:
    return f"{prefix}{time.time_ns() % 10**9}"


def succeeded(walk: Any) -> bool:
    assert walk.errors == {}
    assert walk.failure is None
    return True


@self_writing
def test_a_night_of_a_service_that_writes_its_backup(platform: Rack, fast_clock):
    first, second = fresh("relay"), fresh("relay-b")
    platform.add(first, north="a")
    platform.add(second, south="b", east="c")
    night = Night(Run(), container=CONTAINER).all()
    assert succeeded(night)
    assert [(each["outcome"], each["state"]) for each in night.outcome] == [("backed up", "on")] * 2
    for name in (first, second):
        assert [request for request in platform.requests if request.endswith(name)] == [
            f"suspend {name}",
            f"back up {name}",
            f"resume {name}",
        ]
    reference = open_archive(ARCHIVE).catalog.latest(second)
    assert (reference.service_kind, reference.scope, reference.kind) == ("relay", "rack", "manual")
    assert reference.items == {"routes": 2}
    assert [each.what for each in reference.not_included] == ["messages in flight"]
    assert open_archive(ARCHIVE).verify(reference).startswith("All 1 blobs")


@self_writing
def test_a_restore_to_its_own_name_of_such_a_service(platform: Rack, fast_clock):
    name = fresh("relay")
    platform.add(name, north="a")
    assert succeeded(Night(Run(), name, container=CONTAINER).all())
    platform.relays[name]["routes"]["north"] = "changed"
    restoration = Restoration(Run(), service=name, existing_service_policy="replace", resume_afterwards=True).all()
    assert succeeded(restoration)
    assert restoration.outcome["outcome"] == "restored"
    assert platform.relays[name] == {"state": "on", "routes": {"north": "a"}, "etag": platform.relays[name]["etag"]}
    requests = [request for request in platform.requests if request.endswith(name)][3:]
    assert [request.split()[0] for request in requests] == ["suspend", "back", "delete", "restore", "resume"]
    safety = open_archive(ARCHIVE).catalog.list_references(name)[0]
    assert safety.kind == "safety"
    assert open_archive(ARCHIVE).catalog.latest(name, kinds=("nightly", "manual")) != safety


@self_writing
def test_a_restore_is_refused_without_a_request(platform: Rack, fast_clock):
    name = fresh("relay")
    platform.add(name, north="a")
    assert succeeded(Night(Run(), name, container=CONTAINER).all())
    before = list(platform.requests)
    restoration = Restoration(Run(), service=name).all()
    assert restoration.outcome["outcome"] == "refused"
    assert f"Service rack/{name} already exists (on); a restore never overwrites it." in restoration.failure
    assert platform.requests == before


@exported
def test_a_night_of_a_service_that_the_client_exports(platform: Shop, fast_clock):
    name = fresh("register")
    platform.add(name, *PAGES)
    night = Night(Run(), name, container=CONTAINER).all()
    assert succeeded(night)
    assert night.outcome[0]["state"] == "Enabled"
    assert platform.reads == [(name, 0), (name, 1), (name, 2), (name, 3)]
    archive = open_archive(ARCHIVE)
    reference = archive.catalog.latest(name)
    assert [blob.name for blob in reference.blobs] == [MANIFEST, "page-0.json", "page-1.json", "page-2.json"]
    assert archive.verify(reference).startswith("All 4 blobs")
    assert {item.name for item in archive.catalog.inventory_of(reference).items} == {"a", "b", "c", "d"}


@exported
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_export_that_dies_goes_on_at_its_cursor(platform: Shop, fast_clock, monkeypatch, after):
    """The worker dies with a page in its hands; the next try neither starts another export nor reads again."""
    name = fresh("register")
    platform.add(name, *PAGES)
    night = Night(Run(), name, container=CONTAINER)
    backup = night.backup().until("back_up")
    advance, pieces = RegisterDriver.advance, []

    def dies(self, ref, operation, account):
        pieces.append(operation.cursor["page"])
        if len(pieces) == after + 1:
            monkeypatch.setattr(RegisterDriver, "advance", advance)
            raise Died("advance")
        return advance(self, ref, operation, account)

    monkeypatch.setattr(RegisterDriver, "advance", dies)
    with pytest.raises(Died):
        backup.step("back_up")
    del backup.states["back_up"]
    assert succeeded(night.all())
    assert [request for request in platform.requests if request.startswith("back up")] == [f"back up {name}"]
    assert platform.reads == [(name, 0), (name, 1), (name, 2), (name, 3)]


@exported
def test_an_export_that_dies_before_its_first_cursor_is_stored(platform: Shop, fast_clock):
    name = fresh("register")
    platform.add(name, *PAGES)
    night = Night(Run(), name, container=CONTAINER)
    backup = night.backup().until("back_up")
    backup.run.store("back_up").die_after_request("backup")
    with pytest.raises(Died):
        backup.step("back_up")
    del backup.states["back_up"]
    assert succeeded(night.all())
    assert platform.reads == [(name, 0), (name, 1), (name, 2), (name, 3)]


@exported
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_import_that_dies_goes_on_at_its_cursor(platform: Shop, fast_clock, monkeypatch, after):
    name, copy = fresh("register"), fresh("copy")
    platform.add(name, *PAGES)
    assert succeeded(Night(Run(), name, container=CONTAINER).all())
    restoration = Restoration(Run(), service=name, target_name=copy).until("restore")
    if after == 0:
        restoration.run.store("restore").die_after_request("restore")
    advance, pieces = RegisterDriver.advance, []

    def dies(self, ref, operation, account):
        pieces.append(operation.cursor["page"])
        if len(pieces) == after:
            raise Died("advance")
        return advance(self, ref, operation, account)

    monkeypatch.setattr(RegisterDriver, "advance", dies)
    with pytest.raises(Died):
        restoration.step("restore")
    del restoration.states["restore"]
    restoration.all()
    assert platform.registers[copy]["pages"] == list(PAGES)
    assert [request for request in platform.requests if request == f"restore {copy}"] == [f"restore {copy}"] * (
        2 if after == 0 else 1
    )


@exported
def test_a_restore_of_such_a_service_under_another_name(platform: Shop, fast_clock):
    name, copy = fresh("register"), fresh("copy")
    platform.add(name, *PAGES)
    assert succeeded(Night(Run(), name, container=CONTAINER).all())
    restoration = Restoration(Run(), service=name, target_name=copy, margin=7).all()
    assert restoration.outcome["outcome"] == "failed"
    assert "Service changed from" in restoration.failure
    assert platform.registers[copy]["pages"] == list(PAGES)
    assert platform.registers[copy]["state"] == "Paused"
    assert platform.registers[name]["state"] == "Enabled"


@exported
def test_a_restore_to_its_own_name_of_such_a_service_too(platform: Shop, fast_clock):
    name = fresh("register")
    platform.add(name, *PAGES)
    assert succeeded(Night(Run(), name, container=CONTAINER).all())
    platform.registers[name]["pages"][0]["a"] = "changed"
    restoration = Restoration(Run(), service=name, existing_service_policy="replace", margin=7).all()
    assert succeeded(restoration)
    assert platform.registers[name]["pages"] == list(PAGES)
    assert (platform.registers[name]["state"], platform.registers[name]["next"]) == ("Paused", 8)
    assert restoration.outcome["numbers"][0]["next"] == 8
