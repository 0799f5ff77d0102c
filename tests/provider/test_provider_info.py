"""The provider information for Airflow, and the connection form that comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse
from airflow.providers_manager import ProvidersManager
from airflow.sdk.module_loading import import_string
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from biztalk_services.drivers.biztalk.connect import connect
from biztalk_services.provider.get_provider_info import get_provider_info
from biztalk_services.provider.hook import BizTalkServicesHook

from tests.wire.pki import identity

INFO = get_provider_info()
(TYPE,) = INFO["connection-types"]
FIELDS = TYPE["conn-fields"]
# The schema of what a provider declares in its sources, which knows more than the one of what is read at run time.
READ, DECLARED = "provider_info.schema.json", "provider.yaml.schema.json"


def schema(name: str) -> dict[str, Any]:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


def errors(name: str, document: Any, *path: str) -> list[str]:
    part = schema(name)
    for step in path:
        part = part[step]
    return [error.message for error in jsonschema.Draft7Validator(part).iter_errors(document)]


def test_it_is_valid():
    assert errors(READ, INFO) == []
    assert errors(READ, INFO | {"connection-types": [{"hook-name": "x"}]}) != []


def test_the_form_is_valid():
    path = ("properties", "connection-types", "items")
    assert errors(DECLARED, TYPE, *path) == []
    assert errors(DECLARED, TYPE | {"conn-fields": []}, *path) != []


def test_it_names_the_hook():
    assert import_string(TYPE["hook-class-name"]) is BizTalkServicesHook
    assert (TYPE["connection-type"], TYPE["hook-name"]) == (
        BizTalkServicesHook.conn_type,
        BizTalkServicesHook.hook_name,
    )


def test_airflow_knows_the_type_and_can_test_it():
    assert INFO["package-name"] in ProvidersManager().providers
    hook = ProvidersManagerTaskRuntime().hooks[BizTalkServicesHook.conn_type]
    assert hook.connection_testable
    assert hook.connection_id_attribute_name == "conn_id"


def test_the_driver_reads_exactly_the_fields():
    read: set[str] = set()

    class Extra(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

    me = identity("me")
    connection = SimpleNamespace(
        conn_id="biztalk_default",
        login="subscription",
        host=None,
        port=None,
        password=me.key_pem,
        extra_dejson=Extra(certificate=me.certificate_pem),
    )
    assert connect(connection, None, {}).subscription_id == "subscription"
    assert read == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_secrets_are_masked_in_the_form_and_paths_are_not(name):
    hidden = FIELDS[name]["schema"].get("format") == "password"
    assert hidden == (name in ("certificate", "private_key_passphrase"))


def test_secrets_are_masked_where_connections_are_shown():
    text = ConnectionResponse.model_validate(
        {
            "conn_id": "biztalk_default",
            "conn_type": "biztalk_services",
            "description": None,
            "host": "127.0.0.1",
            "login": "subscription",
            "schema": None,
            "port": 443,
            "password": "canary-key",
            "extra": json.dumps({"private_key_passphrase": "canary-passphrase", "ca_bundle": "/etc/ca.pem"}),
            "team_name": None,
        }
    ).model_dump_json()
    assert "canary" not in text
    assert "/etc/ca.pem" in text
