"""Storage connections as people write them: custom domains, other clouds, Azurite in a container, and typos."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from airflow.sdk import Connection
from biztalk_services.archive.connect import CLIENT_OPTIONS, open_account
from biztalk_services.archive.errors import (
    StorageConnectionError,
    StorageForbiddenError,
    StorageImmutableError,
    StorageKeyMissingError,
    StorageUnavailableError,
    StorageUnreachableError,
)
from biztalk_services.provider.connections import AirflowConnections, open_archive
from biztalk_services.provider.operators.backup import CheckBackupOperator
from biztalk_services.provider.operators.watchdog import FindSuspensionsOperator
from biztalk_services.provider.storage import account_of

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, free_port
from tests.archive.storage_policy import ImmutabilityPolicy
from tests.archive.troubled_storage import Trouble, troubled
from tests.provider.connections import NAME, SERVICE, storage

CANARY = "Y2FuYXJ5LWtleQ=="
NAMED = "contosobackups"
PUBLIC = f"https://{NAMED}.blob.core.windows.net"
OTHERS = {
    "custom domain": "https://backups.contoso.example",
    "DNS zone": f"https://{NAMED}.z05.blob.storage.azure.net",
    "China": f"https://{NAMED}.blob.core.chinacloudapi.cn",
    "Azure Stack": f"https://{NAMED}.blob.local.azurestack.external",
    "private link": f"https://{NAMED}.privatelink.blob.core.windows.net",
    "container": f"http://azurite:10000/{NAMED}",
    "IPv6": f"https://[fd00::1]:10000/{NAMED}",
}


def connection(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    values = {"login": NAMED, "password": CANARY} | fields
    return Connection(conn_id="store", conn_type="wasb", extra=json.dumps(extra) if extra else None, **values)


def parts(account) -> dict[str, str]:
    pairs = (part.partition("=") for part in account.connection_string().split(";"))
    return {name: value for name, _, value in pairs}


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("end", ["", "/", " \n"])
def test_an_account_key_works_with_any_host(host, end):
    account = account_of(connection(host=host + end))
    assert (account.name, account.container_url("x")) == (NAMED, f"{host}/x")
    sent = parts(account)
    assert (sent["BlobEndpoint"], sent["AccountName"], sent["AccountKey"]) == (host, NAMED, CANARY)
    follows = ".blob." in host
    assert ("QueueEndpoint" in sent, "TableEndpoint" in sent) == (follows, follows)
    assert sent.get("QueueEndpoint", "") == (host.replace(".blob.", ".queue.") if follows else "")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": ""},
        {"host": NAMED},
        {"host": f"{NAMED}.blob.core.windows.net"},
        {"host": f"{PUBLIC.upper()}/"},
        {"host": f' "{PUBLIC}" '},
        {"login": "ContosoBackups"},
        {"login": f" {NAMED}\n"},
        {"login": PUBLIC},
        {"login": f"{NAMED}.blob.core.windows.net"},
        {"login": None, "host": PUBLIC},
        {"login": PUBLIC, "host": PUBLIC},
        {"password": f"{CANARY}\n"},
        {"password": f' "{CANARY}" '},
        {"password": None, "extra": {"account_key": CANARY}},
        {"password": None, "extra": {"shared_access_key": CANARY}},
        {"password": None, "extra": {"extra__wasb__shared_access_key": CANARY, "extra__wasb__tenant_id": ""}},
    ],
)
def test_every_way_to_write_the_public_cloud(fields):
    account = account_of(connection(**fields))
    assert (account.name, account.container_url("x")) == (NAMED, f"{PUBLIC}/x")
    assert parts(account)["AccountKey"] == CANARY


@pytest.mark.parametrize(
    "fields",
    [
        {"host": f"http://azurite:10000/{ACCOUNT}"},
        {"host": "http://azurite:10000"},
        {"host": "http://azurite:10000/"},
        {"host": "http://azurite", "port": 10000},
    ],
)
def test_an_emulator_is_its_host_and_the_name(fields):
    account = account_of(connection(login=ACCOUNT, **fields))
    assert account.container_url("x") == f"http://azurite:10000/{ACCOUNT}/x"
    assert parts(account)["BlobEndpoint"] == f"http://azurite:10000/{ACCOUNT}"


STRINGS = [
    f"DefaultEndpointsProtocol=https;AccountName={NAMED};AccountKey={CANARY};EndpointSuffix=core.windows.net",
    f'"DefaultEndpointsProtocol=https;AccountName={NAMED};AccountKey={CANARY};EndpointSuffix=core.windows.net"',
    f" AccountName = {NAMED} ; AccountKey = '{CANARY}' ;\n",
    f'accountname="{NAMED.upper()}";ACCOUNTKEY="{CANARY}"',
    f"BlobEndpoint={PUBLIC}/;AccountKey={CANARY}",
]


@pytest.mark.parametrize("text", STRINGS)
def test_a_connection_string_in_any_form(text):
    for account in (
        account_of(connection({"connection_string": text}, login=None, password=None)),
        open_account(text, "the environment", None),
    ):
        assert (account.name, account.container_url("x")) == (NAMED, f"{PUBLIC}/x")
        assert parts(account)["AccountKey"] == CANARY


def test_a_connection_string_of_a_custom_domain_and_of_the_emulator():
    own = f"BlobEndpoint=https://backups.contoso.example;AccountName={NAMED};AccountKey={CANARY}"
    assert account_of(connection({"connection_string": own})).container_url("x") == "https://backups.contoso.example/x"
    account = open_account("UseDevelopmentStorage=true", "the environment", None)
    assert (account.name, account.container_url("x")) == (ACCOUNT, f"http://127.0.0.1:10000/{ACCOUNT}/x")


@pytest.mark.parametrize(
    ("extra", "fields"),
    [
        ({"sas_token": "?sv=2024&sig=canary"}, {"password": None}),
        ({"sas_token": f"{PUBLIC}?sv=2024&sig=canary"}, {"password": None, "login": None}),
        (None, {"password": "sv=2024&sig=canary"}),
        ({"connection_string": f"AccountName={NAMED};SharedAccessSignature=sv=2024&sig=canary"}, {"password": None}),
        ({"tenant_id": "t"}, {"login": "app", "host": PUBLIC, "password": "canary-secret"}),
        (None, {"password": None}),
        (None, {"password": None, "host": "https://backups.contoso.example"}),
    ],
)
def test_without_an_account_key_the_archive_can_be_read(extra, fields):
    account = account_of(connection(extra, **fields))
    assert account.name == NAMED
    with pytest.raises(StorageKeyMissingError) as caught:
        account.connection_string()
    assert "canary" not in str(caught.value)


# --- what leads to no account ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"password": "not base64 canary!"}, "its account key is no base64 text"),
        ({"password": "canar"}, "its account key is no base64 text"),
        ({"host": "https://backups.contoso.example:port"}, "Port could not be cast"),
        ({"host": "ftp://backups.contoso.example"}, "neither with https:// nor with http://"),
        ({"host": "https://back ups.example"}, "its host is not the name of one"),
        ({"host": "https://-x.example"}, "its host is not the name of one"),
        ({"host": f"https://{'x' * 300}.example"}, "its host is not the name of one"),
        ({"host": f"{PUBLIC}/some-container"}, "has the path /some-container"),
        ({"host": "http://127.0.0.1:10000/another"}, "has the path /another"),
        ({"login": "backup store"}, "is not the name of an account"),
        ({"login": "ab"}, "is not the name of an account"),
        ({"login": "https://backups.contoso.example"}, "the name of the account is missing"),
        ({"login": None, "host": "https://backups.contoso.example"}, "the name of the account is missing"),
        ({"login": None, "host": None}, "the name of the account is missing"),
        ({"extra": {"api_version": "1999-01-01"}}, "Unsupported API version"),
        ({"extra": {"credential": "canary"}}, "multiple values"),
        ({"extra": {"connection_string": "canary"}}, "has no name before an equals sign"),
        ({"extra": {"connection_string": f"AccountName={NAMED}"}}, "it has no AccountKey"),
        ({"extra": {"connection_string": f"AccountKey={CANARY}"}}, "neither AccountName nor BlobEndpoint"),
        ({"extra": {"connection_string": f"AccountName={NAMED};AccountKey=canary"}}, "no base64 text"),
        ({"extra": {"connection_string": f"AccountName={NAMED};AccountKey='{CANARY}"}}, "quotation mark"),
        (
            {"extra": {"connection_string": f"BlobEndpoint=x:y;AccountKey={CANARY}"}},
            "the name of the account is missing",
        ),
    ],
)
def test_what_leads_to_no_account_is_a_sentence(fields, part):
    with pytest.raises(StorageConnectionError, match="Connection store leads to no storage account") as caught:
        account_of(connection(**fields))
    assert part in str(caught.value)
    assert caught.value.advice == "stop"
    assert caught.value.__cause__ is None
    assert CANARY not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_whatever_the_library_raises_is_a_sentence(monkeypatch):
    import azure.storage.blob

    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError(f"a new rule, AccountKey={CANARY}")

    monkeypatch.setattr(azure.storage.blob, "BlobServiceClient", refuse)
    with pytest.raises(StorageConnectionError, match="a new rule") as caught:
        account_of(connection())
    assert CANARY not in str(caught.value)


def test_a_missing_connection_is_named_with_its_option():
    with pytest.raises(StorageConnectionError, match="There is no connection nowhere") as caught:
        AirflowConnections().storage("nowhere")
    assert "storage_conn_id" in str(caught.value)


@pytest.mark.usefixtures("connections")
@pytest.mark.parametrize("fields", [{"password": "canary!"}, {"host": "https://x:y"}, {"login": "a b"}])
def test_a_step_is_refused_and_not_tried_again(run, azurite, connect, fields):
    connect("biztalk_backup_storage", storage(azurite, **fields))
    check = CheckBackupOperator(task_id="check", service=SERVICE, backup_name=f"{NAME}-20260101-020000")
    find = FindSuspensionsOperator(task_id="find")
    for task in (check, find):
        with pytest.raises(StorageConnectionError) as caught:
            run.execute(task)
        assert caught.value.advice == "stop"
        assert "canary" not in str(caught.value)
    assert run.xcom("check", "failure")


# --- against Azurite -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["", "path", "upper", "blanks", "port", "string"])
def test_a_real_account_behind_each_form(azurite, change):
    url, version = f"http://127.0.0.1:{azurite.port}", {"api_version": API_VERSION}
    forms: dict[str, Connection] = {
        "": connection(version, login=ACCOUNT, password=KEY, host=url),
        "path": connection(version, login=ACCOUNT, password=KEY, host=f"{url}/{ACCOUNT}/"),
        "upper": connection(version, login=ACCOUNT.upper(), password=KEY, host=url),
        "blanks": connection(version, login=f" {ACCOUNT} ", password=f"{KEY}\n", host=f" {url} "),
        "port": connection(version, login=ACCOUNT, password=KEY, host="http://127.0.0.1", port=azurite.port),
        "string": connection(
            version | {"connection_string": f"'BlobEndpoint={url}; AccountName={ACCOUNT};AccountKey=\"{KEY}\"'"}
        ),
    }
    account = account_of(forms[change])
    assert account.check() == f"Storage account {ACCOUNT} is reachable and accepts the key."
    again = open_account(account.connection_string(), "the request", API_VERSION)
    assert again.check() == account.check()


@pytest.mark.parametrize(("level", "logged"), [(None, False), ("", False), ("nonsense", False), ("INFO", True)])
def test_the_log_of_a_step_has_no_requests_of_the_library(azurite, caplog, monkeypatch, level, logged):
    """With its headers each request is twenty lines, among which those of the step are not found."""
    monkeypatch.delenv("AZURE_HTTP_LOGGING_LEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("AZURE_HTTP_LOGGING_LEVEL", level)
    with troubled(azurite) as proxy, caplog.at_level("INFO"):
        account_of(connection({"api_version": API_VERSION}, login=ACCOUNT, password=KEY, host=proxy.url)).check()
    assert any("Request URL" in record.getMessage() for record in caplog.records) is logged


def test_the_client_gives_up_within_seconds(azurite):
    """With the library's own retries a busy account takes 75 to 93 seconds, while a service is suspended."""
    with troubled(azurite) as proxy:
        proxy.troubles = [Trouble("GET", "comp=properties", 503, "ServerBusy", count=100)]
        account = account_of(connection({"api_version": API_VERSION}, login=ACCOUNT, password=KEY, host=proxy.url))
        began = time.monotonic()
        with pytest.raises(StorageUnavailableError) as caught:
            account.check()
        assert caught.value.advice == "retry"
        assert len(proxy.requests) == 1 + CLIENT_OPTIONS["retry_total"]
        assert time.monotonic() - began < 10
        proxy.requests.clear()
        proxy.troubles = [Trouble("GET", "comp=properties", 429, "TooManyRequests", count=100)]
        with pytest.raises(StorageUnavailableError) as caught:
            account.check()
        assert (caught.value.advice, len(proxy.requests)) == ("retry", 1)


def test_retries_are_set_in_the_connection_also_as_text():
    extra = {"api_version": API_VERSION, "retry_total": "0", "connection_timeout": "1"}
    account = account_of(connection(extra, login=ACCOUNT, password=KEY, host=f"http://127.0.0.1:{free_port()}"))
    began = time.monotonic()
    with pytest.raises(StorageUnreachableError):
        account.check()
    assert time.monotonic() - began < 2


# --- checked before a service is suspended ---------------------------------------------------------------------------


@pytest.fixture
def behind(azurite, connect):
    """A proxy that the storage connection leads to."""
    with troubled(azurite) as proxy:
        connect("biztalk_backup_storage", storage(azurite, host=proxy.url))
        yield proxy


@pytest.mark.usefixtures("connections")
class TestCheckedBefore:
    def check(self, archive: str) -> CheckBackupOperator:
        name = f"{NAME}-20260101-{time.time_ns() % 10**6:06}"
        return CheckBackupOperator(task_id="check", service=SERVICE, backup_name=name, archive=archive)

    def test_a_policy_on_the_catalog_is_named_and_the_layout_works(self, behind, run, container_names):
        catalog, records = container_names
        behind.policy = ImmutabilityPolicy(frozenset({catalog}))
        with pytest.raises(StorageImmutableError, match="BlobImmutableDueToPolicy") as caught:
            run.execute(self.check(f"biztalk_backup_storage/{catalog}"))
        assert "records_container" in str(caught.value)
        for _ in range(2):
            checked = run.execute(self.check(f"biztalk_backup_storage/{catalog}/{records}"))
            assert checked["service"] == SERVICE
        archive = open_archive(f"biztalk_backup_storage/{catalog}/{records}")
        assert archive.check_writable().startswith("Records can be created, overwritten and deleted in")

    @pytest.mark.parametrize(
        ("method", "code"),
        [
            ("PUT", "AuthorizationFailure"),
            ("PUT", "KeyBasedAuthenticationNotPermitted"),
            ("DELETE", "AccountIsDisabled"),
        ],
    )
    def test_a_setting_that_forbids_writing_is_named(self, behind, run, container_names, method, code):
        behind.troubles = [Trouble(method, "/checks/", 403, code)]
        task = self.check(f"biztalk_backup_storage/{container_names[0]}")
        with pytest.raises(StorageForbiddenError, match=code) as caught:
            run.execute(task)
        assert "rotated" not in str(caught.value)
        assert task.retry_policy.evaluate(caught.value, 1, 5).action.value == "fail"


@pytest.fixture
def container_names() -> tuple[str, str]:
    """Of a catalog and of its records."""
    name = f"catalog-{time.time_ns()}"
    return name, f"{name}-records"
