"""A real client of that time against the emulator: azure-servicemanagement-legacy (REST reference, appendix A)."""

from __future__ import annotations

import warnings

import pytest
import requests
from azure.common import AzureMissingResourceHttpError

from tests.emulator.driver import SUBSCRIPTION

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from azure.servicemanagement import AzureAsyncOperationHttpError, SchedulerManagementService

SERVICE = "contosoorders"
VERSION = "2014-10-01"


@pytest.fixture
def client(emulator) -> SchedulerManagementService:
    session = requests.Session()
    session.trust_env, session.verify, session.cert = False, emulator.session.verify, emulator.session.cert
    return SchedulerManagementService(SUBSCRIPTION, host=f"127.0.0.1:{emulator.port}", request_session=session)


def test_cloud_services(client):
    groups = {group.name: group for group in client.list_cloud_services()}
    assert groups["contoso-west-us"].geo_region == "West US"
    resources = {resource.name: resource for resource in client.get_cloud_service("contoso-west-us").resources}
    assert resources[SERVICE].resource_provider_namespace == "biztalkservices"
    assert resources[SERVICE].state == "Started"
    with pytest.raises(AzureMissingResourceHttpError):
        client.get_cloud_service("nowhere")


def test_life_of_a_cloud_service(client):
    created = client.create_cloud_service("legacy-group", "label", "description", "West Europe")
    client.wait_for_operation_status(created.request_id, sleep_interval=0.05)
    deleted = client.delete_cloud_service("legacy-group")
    client.wait_for_operation_status(deleted.request_id, sleep_interval=0.05)


def test_actions_with_its_odd_content_type(client, emulator, storage):
    path = f"/{SUBSCRIPTION}{emulator.path(SERVICE)}"
    suspended = client.perform_post(f"{path}?comp=suspend", "", VERSION)
    request_id = dict(suspended.headers)["x-ms-request-id"]
    client.wait_for_operation_status(request_id, sleep_interval=0.05)
    assert emulator.state(SERVICE) == "Suspended"
    emulator.fault("operation-fails", "backup", count=1)
    body = (
        f"<ServiceBackupSettings><BackupStoreConnectionString>{storage}</BackupStoreConnectionString>"
        "<BackupName>legacy-backup</BackupName></ServiceBackupSettings>"
    )
    backup = client.perform_post(f"{path}/?comp=backup", body, VERSION)
    with pytest.raises(AzureAsyncOperationHttpError):
        client.wait_for_operation_status(dict(backup.headers)["x-ms-request-id"], sleep_interval=0.05)


def test_poll_whose_query_it_drops_becomes_a_plain_get(client, emulator):
    path = f"/{SUBSCRIPTION}{emulator.path(SERVICE)}"
    answer = client.perform_get(f"{path}?OperationStatus/{'0' * 32}", VERSION)
    assert answer.status == 200
    assert b"<Resource " in answer.body
