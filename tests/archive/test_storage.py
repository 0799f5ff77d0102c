"""The storage account and its errors."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, IncompleteReadError, ServiceResponseError
from azure.storage.blob import BlobServiceClient
from biztalk_services.archive.errors import (
    ContainerExistsError,
    StorageAuthenticationError,
    StorageForbiddenError,
    StorageKeyMissingError,
    StorageRefusedError,
    StorageUnavailableError,
    StorageUnreachableError,
)
from biztalk_services.archive.storage import StorageAccount, storage_errors

from tests.archive.azurite import API_VERSION, KEY, Azurite, free_port

AZURE_KEY = "Y2FuYXJ5LWtleQ=="
AZURE = "https://backups.blob.core.windows.net"


def parts(account: StorageAccount) -> dict[str, str]:
    pairs = (part.partition("=") for part in account.connection_string().split(";"))
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize(
    "client",
    [
        BlobServiceClient(AZURE, credential=AZURE_KEY),
        BlobServiceClient(AZURE + "/", credential={"account_name": "backups", "account_key": AZURE_KEY}),
        BlobServiceClient.from_connection_string(
            f"DefaultEndpointsProtocol=https;AccountName=backups;AccountKey={AZURE_KEY};EndpointSuffix=core.windows.net"
        ),
    ],
)
def test_the_documented_connection_string(client):
    account = StorageAccount(client)
    assert account.name == "backups"
    assert account.connection_string() == (
        "BlobEndpoint=https://backups.blob.core.windows.net;QueueEndpoint=https://backups.queue.core.windows.net;"
        "TableEndpoint=https://backups.table.core.windows.net;AccountName=backups;"
        f"AccountKey={AZURE_KEY};DefaultEndpointsProtocol=https"
    )
    assert repr(account) == "<StorageAccount backups>"


def test_the_address_of_a_container_opens_nothing():
    client = BlobServiceClient(AZURE + "?sv=2024-01-01&sig=canary")
    assert StorageAccount(client).container_url("orders-1") == AZURE + "/orders-1"


def test_other_clouds_and_secondary_names():
    china = StorageAccount(BlobServiceClient("https://backups.blob.core.chinacloudapi.cn", credential=AZURE_KEY))
    assert parts(china)["TableEndpoint"] == "https://backups.table.core.chinacloudapi.cn"


def test_azurite_has_no_endpoints_of_queues_and_tables(azurite: Azurite, client):
    assert parts(StorageAccount(client)) == {
        "BlobEndpoint": f"http://127.0.0.1:{azurite.port}/devstoreaccount1",
        "AccountName": "devstoreaccount1",
        "AccountKey": KEY,
        "DefaultEndpointsProtocol": "http",
    }


def test_the_connection_string_works(client, container_name):
    text = StorageAccount(client).connection_string()
    again = BlobServiceClient.from_connection_string(text, api_version=API_VERSION)
    again.create_container(container_name)
    assert client.get_container_client(container_name).exists()


@pytest.mark.parametrize("credential", [None, "sv=2024-01-01&sig=canary"])
def test_without_account_key_there_is_no_connection_string(credential):
    from azure.core.credentials import AzureSasCredential

    client = BlobServiceClient(AZURE, credential=credential and AzureSasCredential(credential))
    with pytest.raises(StorageKeyMissingError, match="account backups has no account key") as caught:
        StorageAccount(client).connection_string()
    assert "canary" not in str(caught.value)


def test_check(azurite: Azurite, client):
    assert StorageAccount(client).check() == "Storage account devstoreaccount1 is reachable and accepts the key."
    with azurite.client("d3Jvbmc=") as stranger, pytest.raises(StorageAuthenticationError) as caught:
        StorageAccount(stranger).check()
    assert caught.value.status == 403
    assert caught.value.request_id
    with Azurite(azurite.folder, free_port(), azurite.process).client() as gone, pytest.raises(StorageUnreachableError):
        StorageAccount(gone).check()


def test_a_container_that_exists(client, container_name):
    account = StorageAccount(client)
    assert account.container_exists(container_name) is False
    client.create_container(container_name)
    assert account.container_exists(container_name) is True
    with pytest.raises(ContainerExistsError) as caught, storage_errors("create it"):
        client.create_container(container_name)
    assert (caught.value.status, caught.value.code) == (409, "ContainerAlreadyExists")


def http_error(status: int) -> HttpResponseError:
    error = HttpResponseError("AccountKey=canary")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (http_error(500), StorageUnavailableError, "retry"),
        (http_error(503), StorageUnavailableError, "retry"),
        (http_error(429), StorageUnavailableError, "retry"),
        (http_error(400), StorageRefusedError, "stop"),
        (http_error(403), StorageForbiddenError, "stop"),
        (http_error(401), StorageAuthenticationError, "stop"),
        (ServiceResponseError("AccountKey=canary"), StorageUnreachableError, "retry"),
        (IncompleteReadError("AccountKey=canary"), StorageUnreachableError, "retry"),
        (ConnectionResetError("AccountKey=canary"), StorageUnreachableError, "retry"),
        (TimeoutError(), StorageUnreachableError, "retry"),
    ],
)
def test_what_errors_mean(error, kind, advice):
    with pytest.raises(kind, match="Could not do it") as caught, storage_errors("do it"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.advice == advice
    assert "canary" not in str(caught.value)


def test_other_errors_pass():
    with pytest.raises(KeyError), storage_errors("do it"):
        raise KeyError("x")
