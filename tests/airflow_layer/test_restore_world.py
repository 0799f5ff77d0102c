"""What a plan looks at, through connections to emulator and Azurite: other jobs, the backup, its inventory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from biztalk_services.archive.errors import BackupDamagedError, NotInCatalogError, WrongAccountError
from biztalk_services.archive.locks import Locks
from biztalk_services.flows.plan_restore import RestoreRefusedError
from biztalk_services.hooks.restore_world import AirflowWorld
from biztalk_services.model.backup import BackupReference, StoredBlob
from biztalk_services.model.backup import Run as RunOfClaim
from biztalk_services.model.records import Lock
from biztalk_services.provider.operators.plan import find_backup

from tests.airflow_layer.connections import NAME, SERVICE
from tests.airflow_layer.fakes import DAG_ID, Run, TaskInstance
from tests.catalog.azurite import ACCOUNT
from tests.catalog.samples import reference
from tests.emulator.driver import SUBSCRIPTION
from tests.rules.inventories import inventory

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture
def catalog_container() -> str:
    return f"catalog-{uuid4().hex}"


@pytest.fixture
def world(run: Run, catalog_container: str) -> AirflowWorld:
    return AirflowWorld(run.context("plan"), "biztalk_default", "biztalk_backup_storage", catalog_container)


@pytest.fixture
def backup(blobs) -> BackupReference:
    """A backup of one blob in Azurite, without descriptor's list."""
    name = f"orders-{uuid4().hex[:12]}"
    contents = {"a.json": b"[1]", f"{name}.txt": b"A backup of orders."}
    container = blobs.create_container(name)
    for blob, content in contents.items():
        container.upload_blob(blob, content)
    stored = tuple(StoredBlob(blob, len(content), sha256(content).hexdigest()) for blob, content in contents.items())
    return reference(name, account=ACCOUNT, blobs=stored)


def test_the_subscription_and_its_services(world):
    assert world.subscription_id == SUBSCRIPTION
    assert SERVICE in {str(service.address) for service in world.services()}


# --- other jobs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def claimed(blobs, catalog_container):
    def claim(dag_id: str, run_id: str, hours: float = 1) -> Lock:
        made = Lock(NAME, RunOfClaim(dag_id, run_id), "backup", datetime.now(UTC) + timedelta(hours=hours))
        Locks(blobs, catalog_container).take(made, has_ended=lambda run: True)
        return made

    return claim


def test_a_run_that_works_on_the_service_is_met(world, run, claimed):
    assert world.claim(NAME) is None
    run.others_that_run.add("other")
    held = claimed(DAG_ID, "other")
    assert world.claim(NAME.upper()) == held
    assert world.claim("billing") is None


def test_a_run_that_has_ended_without_a_word_holds_nobody_up(world, claimed):
    """As when the claim is taken."""
    claimed(DAG_ID, "other")
    assert world.claim(NAME) is None


def test_a_run_that_this_airflow_does_not_know_may_be_anothers(run, claimed, catalog_container, monkeypatch):
    def unknown(*arguments: Any, **options: Any) -> str:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))

    monkeypatch.setattr(TaskInstance, "get_dagrun_state", unknown)
    world = AirflowWorld(run.context("plan"), "biztalk_default", "biztalk_backup_storage", catalog_container)
    assert world.claim(NAME) is None
    held = claimed(DAG_ID, "of a lost database")
    assert world.claim(NAME) == held


def test_what_is_over_or_ours_is_no_other_job(world, run, claimed):
    run.others_that_run |= {"other", run.run_id}
    claimed(DAG_ID, "other", hours=-1)
    assert world.claim(NAME) is None
    claimed(DAG_ID, run.run_id)
    assert world.claim(NAME) is None


def test_a_run_of_another_dag_may_have_our_id(world, run, claimed):
    run.others_that_run.add(run.run_id)
    assert world.claim(NAME) is None
    held = claimed("another", run.run_id)
    assert world.claim(NAME) == held


# --- the backup ------------------------------------------------------------------------------------------------------


def test_the_backup_is_read_back(world, backup):
    assert world.read_back(backup) == "All 2 blobs (22 bytes) were read back and are what was recorded."


def test_a_backup_that_is_not_what_was_recorded(world, backup, blobs):
    blobs.get_blob_client(backup.container, "a.json").upload_blob(b"[2]", overwrite=True)
    with pytest.raises(BackupDamagedError, match=r"a\.json has another content than when it was written"):
        world.read_back(backup)


def test_a_backup_in_another_account(world):
    with pytest.raises(WrongAccountError, match="lies in account backups, and the credentials are those of devstore"):
        world.read_back(reference())


def test_the_inventory_or_none(world, backup):
    assert world.inventory(backup) is None
    world.catalog.record_inventory(backup.container, inventory())
    assert world.inventory(backup) == inventory()


def test_earlier_durations(world):
    assert world.earlier_durations(NAME) == []


# --- which backup a form means ---------------------------------------------------------------------------------------


def meant(world: AirflowWorld, **form: Any) -> str:
    found, request = find_backup(world, form)
    assert (request.service, request.backup) == (found.service, found.container)
    return found.container


def test_a_backup_by_name_by_reference_or_the_newest(world):
    first, second = reference(), reference("orders-20260102-020000", finished_at=reference().created_at)
    for each in (first, second):
        world.catalog.publish(each)
    assert meant(world, service="Orders", backup=first.container) == first.container
    assert meant(world, service="orders", backup=first.place) == first.container
    assert meant(world, service="orders") == second.container
    assert meant(world, service="orders", backup=" ") == second.container
    assert meant(world, service="orders", backup=first.to_dict()) == first.container
    assert meant(world, backup=first.to_dict()) == first.container


def test_a_reference_counts_as_the_catalog_has_it(world):
    with pytest.raises(NotInCatalogError):
        meant(world, service="orders", backup=reference().to_dict())
    world.catalog.publish(reference())
    found, _ = find_backup(world, {"backup": reference().to_dict() | {"edition": "basic"}})
    assert found == reference()


def test_a_reference_to_a_backup_of_another_service(world):
    world.catalog.publish(reference())
    with pytest.raises(RestoreRefusedError, match=r"names service billing, and the backup .* is one of service orders"):
        meant(world, service="billing", backup=reference().to_dict())
