"""What a plan is made of, through connections to emulator and Azurite: locks, the backup, its inventory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import (
    AmbiguousServiceError,
    BackupDamagedError,
    NotInCatalogError,
    WrongAccountError,
)
from biztalk_services.flows.plan_restore import Planner, RestoreRefusedError, driver_of, find_backup
from biztalk_services.flows.restore_checks import not_locked
from biztalk_services.model.backup import BackupReference, StoredBlob
from biztalk_services.model.checks import Check
from biztalk_services.model.errors import AuthenticationError
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run as RunOfLock
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.provider.base import run_of, run_state
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.hook import driver_for

from tests.archive.azurite import ACCOUNT
from tests.archive.samples import reference
from tests.biztalk.inventories import inventory
from tests.conftest import AIRFLOW_ID
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import DAG_ID, Run

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture
def archive(connections: None) -> Archive:
    return open_archive(f"biztalk_backup_storage/catalog-{uuid4().hex}")


@pytest.fixture
def planner(run: Run, archive: Archive) -> Planner:
    ti = run.context("plan")["ti"]
    driver = driver_for("biztalk_default")
    return Planner(driver, "biztalk_default", archive, run_of(ti), lambda other: run_state(ti, other), run.begun_at)


@pytest.fixture
def backup(blobs) -> BackupReference:
    """A backup of one blob and its descriptor, in Azurite."""
    name = f"orders-{uuid4().hex[:12]}"
    contents = {"a.json": b"[1]", f"{name}.txt": b"A backup of orders."}
    container = blobs.create_container(name)
    for blob, content in contents.items():
        container.upload_blob(blob, content)
    stored = tuple(StoredBlob(blob, len(content), sha256(content).hexdigest()) for blob, content in contents.items())
    return reference(name, account=ACCOUNT, blobs=stored)


def test_the_subscription_and_its_services(planner):
    assert planner.driver.subscription_id == SUBSCRIPTION
    assert SERVICE in {str(service.ref) for service in planner.driver.list_services()}


# --- other runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(archive) -> Callable[..., Lock]:
    def lock(dag_id: str, run_id: str, hours: float = 1, airflow: str = AIRFLOW_ID) -> Lock:
        until = datetime.now(UTC) + timedelta(hours=hours)
        taken = Lock(SERVICE, SUBSCRIPTION, RunOfLock(dag_id, run_id, airflow), "backup", until)
        archive.locks.take(taken, has_ended=lambda run: True)
        return taken

    return lock


def key(address: str = SERVICE) -> ServiceKey:
    return ServiceKey(SUBSCRIPTION, ServiceRef.parse(address))


def one_run(planner: Planner, service: str = SERVICE) -> Check:
    check = not_locked(planner.archive, key(service), planner.run, planner.run_state)
    assert check.rule == "one-run"
    return check


def test_the_lock_of_another_active_run(planner, run, locked):
    assert one_run(planner).passed
    run.active_runs.add("other")
    held = locked(DAG_ID, "other")
    check = one_run(planner, SERVICE.upper())
    assert planner.archive.locks.of(key(SERVICE.upper())) == held
    assert (check.passed, str(held) in check.message) == (False, True)
    assert one_run(planner, "contoso-west-us/billing").passed
    assert one_run(planner, f"another/{NAME}").passed


def test_the_lock_of_a_run_that_ended_without_release(planner, locked):
    """As when the lock is taken."""
    locked(DAG_ID, "other")
    assert one_run(planner).passed


def test_the_lock_of_a_run_that_airflow_does_not_know(planner, run, locked):
    """It may be of another Airflow."""
    run.unknown_runs.add("of a lost database")
    assert one_run(planner).passed
    held = locked(DAG_ID, "of a lost database")
    check = one_run(planner)
    assert (check.passed, str(held) in check.message) == (False, True)


def test_an_expired_lock_and_our_own_are_ignored(planner, run, locked):
    run.active_runs |= {"other", run.run_id}
    locked(DAG_ID, "other", hours=-1)
    assert one_run(planner).passed
    locked(DAG_ID, run.run_id)
    assert one_run(planner).passed


def test_a_run_of_another_dag_may_have_our_id(planner, run, locked):
    run.active_runs.add(run.run_id)
    assert one_run(planner).passed
    held = locked("another", run.run_id)
    check = one_run(planner)
    assert (check.passed, str(held) in check.message) == (False, True)


@pytest.mark.parametrize("airflow", ["e5f60718", ""])
def test_a_run_of_another_airflow_may_have_our_ids(airflow, planner, run, locked):
    """Whether that run has ended is not known here, whatever became of ours; an earlier version stored no Airflow."""
    held = locked(DAG_ID, run.run_id, airflow=airflow)
    check = one_run(planner)
    assert (check.passed, str(held) in check.message) == (False, True)


# --- the backup ------------------------------------------------------------------------------------------------------


def test_the_backup_is_read_back(archive, backup):
    assert archive.verify(backup) == "All 2 blobs (22 bytes) were read back and are what was recorded."


def test_a_backup_that_is_not_what_was_recorded(archive, backup, blobs):
    blobs.get_blob_client(backup.container, "a.json").upload_blob(b"[2]", overwrite=True)
    with pytest.raises(BackupDamagedError, match=r"a\.json has another content than when it was written"):
        archive.verify(backup)


def test_a_backup_in_another_account(archive):
    with pytest.raises(WrongAccountError, match="is in account backups, and the credentials are those of devstore"):
        archive.verify(reference())


def test_the_inventory_or_none(archive, backup):
    assert archive.catalog.inventory_of(backup) is None
    archive.catalog.record_inventory(backup.container, inventory())
    assert archive.catalog.inventory_of(backup) == inventory()


def test_earlier_durations(archive):
    assert archive.restores.durations(NAME) == []


# --- which backup a form means ---------------------------------------------------------------------------------------


def found(planner: Planner, form: dict[str, Any]) -> BackupReference:
    return find_backup(planner.archive, form, {"biztalk_default": lambda: planner.driver})


def meant(planner: Planner, **form: Any) -> str:
    backup = found(planner, form)
    request = planner.request(form, backup)
    assert (request.service, request.backup) == (backup.service, backup.container)
    return backup.container


def test_a_backup_by_name_by_reference_or_the_newest(planner):
    first, second = reference(), reference("orders-20260102-020000", finished_at=reference().created_at)
    for each in (first, second):
        planner.archive.catalog.publish(each)
    assert meant(planner, service="Orders", backup=first.container) == first.container
    assert meant(planner, service="orders", backup=first.place) == first.container
    assert meant(planner, service="orders") == second.container
    assert meant(planner, service="orders", backup=" ") == second.container
    assert meant(planner, service="orders", backup=first.to_dict()) == first.container
    assert meant(planner, backup=first.to_dict()) == first.container


@pytest.mark.parametrize("kind", ["safety", "drill"])
def test_the_newest_is_not_a_safety_backup_or_a_drill(kind, planner):
    first, second = reference(), reference("orders-20260102-020000", finished_at=reference().created_at, kind=kind)
    for each in (first, second):
        planner.archive.catalog.publish(each)
    assert meant(planner, service="orders") == first.container
    assert meant(planner, service="orders", backup=second.container) == second.container


def test_a_reference_counts_as_the_catalog_has_it(planner):
    with pytest.raises(NotInCatalogError):
        meant(planner, service="orders", backup=reference().to_dict())
    planner.archive.catalog.publish(reference())
    backup = found(planner, {"backup": reference().to_dict() | {"edition": "basic"}})
    assert backup == reference()


def test_a_reference_to_a_backup_of_another_service(planner):
    planner.archive.catalog.publish(reference())
    with pytest.raises(
        RestoreRefusedError, match=r"names service billing, and the backup .* is one of service contoso-"
    ):
        meant(planner, service="billing", backup=reference().to_dict())


def test_of_services_of_one_name_the_scope_tells_which_is_meant(planner):
    west, east = (
        reference(),
        reference("orders-20260102-020000", scope="contoso-east", finished_at=reference().created_at),
    )
    for each in (west, east):
        planner.archive.catalog.publish(each)
    assert meant(planner, service="contoso-west/orders") == west.container
    assert meant(planner, service="Contoso-East/Orders") == east.container
    assert meant(planner, service="biztalk_default/contoso-east/orders") == east.container
    assert meant(planner, service="orders", backup=west.container) == west.container
    with pytest.raises(AmbiguousServiceError, match="contoso-east/orders in subscription"):
        meant(planner, service="orders")
    with pytest.raises(RestoreRefusedError, match="names service contoso-east/orders, and the backup"):
        meant(planner, service="contoso-east/orders", backup=west.container)


def elsewhere() -> BackupReference:
    """A newer backup of a service of the same address in another subscription."""
    return reference("orders-20260102-020000", finished_at=reference().created_at, subscription_id="0b51f9c2")


def test_only_a_backup_of_the_subscription_is_the_newest(planner):
    """Another one is refused by the plan, when it is named."""
    own, other = reference(), elsewhere()
    for each in (own, other):
        planner.archive.catalog.publish(each)
    assert meant(planner, service="orders") == own.container
    assert meant(planner, service="orders", backup=other.container) == other.container


def test_where_there_are_several_subscriptions_their_backups_are_told_apart(planner):
    own, other = reference(), elsewhere()
    for each in (own, other):
        planner.archive.catalog.publish(each)
    drivers = {"north": lambda: planner.driver, "south": lambda: SimpleNamespace(subscription_id=other.subscription_id)}

    def chosen(service: str) -> tuple[str, str]:
        backup = find_backup(planner.archive, {"service": service}, drivers)
        return backup.container, driver_of(backup, drivers)[0]

    assert chosen("north/contoso-west/orders") == (own.container, "north")
    assert chosen("south/contoso-west/orders") == (other.container, "south")
    for unclear in ("orders", "contoso-west/orders"):
        with pytest.raises(AmbiguousServiceError):
            chosen(unclear)
    with pytest.raises(RestoreRefusedError, match="no connection west in option conn_id; it has north, south"):
        chosen("west/contoso-west/orders")


def test_a_broken_connection_does_not_matter_to_a_restore_through_another(planner):
    def broken() -> Any:
        raise AuthenticationError("Rejected.")

    drivers = {"broken": broken, "north": lambda: planner.driver}
    assert driver_of(reference(), drivers)[0] == "north"
    with pytest.raises(AuthenticationError):  # it may be the one
        driver_of(elsewhere(), drivers)
    assert driver_of(elsewhere(), {"north": lambda: planner.driver})[0] == "north"
