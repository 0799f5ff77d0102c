"""Connections that do not work: the first step reports the reason in one sentence, once."""

from __future__ import annotations

import socket
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stack.ports import HOST
from stack.settings import STORAGE_ACCOUNT, storage_connection
from tests.system.world import World
from tests.wire.pki import DAY, identity

DAG_ID = "other_connections"
SIGNATURE = "made-up-signature-of-a-sas"
MANAGEMENT = {
    "m_stranger": "403 AuthenticationFailed",
    "m_subscription": "403 AuthenticationFailed",
    "m_expired": "expired on",
    "m_missing_file": "cannot be read from",
    "m_no_certificate": "There is no management certificate.",
    "m_other_key": "The private key does not belong to the management certificate",
    "m_unreachable": "Could not connect to",
    "m_distrusted": "The certificate of the server is not signed by a CA that is trusted here",
    "m_no_connection": "There is no connection m_no_connection.",
}
STORAGE = {
    "s_wrong_key": "Check the account key where this is Azurite",
    "s_unreachable": "Check the account's name and address and the network",
    "s_unknown_host": "Check the account's name and address and the network",
    "s_sas_only": "has no account key, and the service writes backups with nothing else",
}
QUERIES = {
    "SELECT agreement FROM nowhere": "no such table",
    "SELECT 1 AS agreement": "batch, messages, oldest is missing",
    "SELECT agreement, batch, messages, oldest FROM batch_events WHERE owner = :service": "no such column",
}


class Step(NamedTuple):
    state: str
    log: str
    xcom: Any


@pytest.fixture(scope="module")
def steps(world: World, tmp_path_factory) -> dict[str, Step]:
    """The steps, each with a connection or a query, by the name of that."""
    before = world.last_seq()
    world.secrets.add(SIGNATURE)
    described = management(world, tmp_path_factory.mktemp("certificates")) | storage(world)
    for conn_id, fields in described.items():
        world.connection(conn_id, fields)
    names = {"find": list(MANAGEMENT), "check": list(STORAGE), "recheck": list(QUERIES)}
    conf = dict(zip(("management", "storage", "queries"), names.values(), strict=True))
    world.airflow.wait_for_dag(DAG_ID)
    run_id = world.airflow.trigger(DAG_ID, {**conf, "service": "contoso-west-us/contosoorders"})
    world.airflow.wait_run(DAG_ID, run_id)
    found = {}
    for instance in world.airflow.task_instances(DAG_ID, run_id):
        if (task := instance["task_id"]) in names:
            index, log = instance["map_index"], world.log(DAG_ID, run_id, instance)
            xcom = world.airflow.xcom(DAG_ID, run_id, task, map_index=index)
            found[names[task][index]] = Step(instance["state"], log, xcom)
    operations = world.emulator.journal(after=before, kind="operation")
    assert [each for each in operations if each["service"] == "contosoorders"] == []
    return found


@pytest.mark.parametrize("name", MANAGEMENT)
def test_an_unusable_subscription_connection_fails_with_why(steps, name):
    assert steps[name].state == "failed"
    assert MANAGEMENT[name] in steps[name].log


@pytest.mark.parametrize("name", STORAGE)
def test_an_unusable_storage_account_fails_the_check(steps, name):
    assert steps[name].state == "failed"
    assert STORAGE[name] in steps[name].log


@pytest.mark.parametrize("query", QUERIES)
def test_an_invalid_drain_query_leaves_the_batches_unknown(steps, query):
    assert steps[query].state == "success", steps[query].log
    assert steps[query].xcom["answer"] == "unknown"
    assert QUERIES[query] in steps[query].xcom["reason"]


def management(world: World, folder: Path) -> dict[str, dict]:
    good = world.stack.connections["biztalk_default"]
    ours = good["extra"]
    ca = {"ca_bundle": ours["ca_bundle"]}
    stranger, other = identity("A stranger"), identity("Another one")
    expired = identity("Forgotten", begins=-400 * DAY, ends=-DAY)
    world.emulator.admin("POST", "/certificates", {"certificate": expired.certificate_pem})
    expired_path, expired_key = map(str, expired.write(folder, "expired"))

    def with_extra(extra: dict[str, str], password: str = "") -> dict:
        return good | {"extra": extra, "password": password}

    return {
        "m_stranger": with_extra(ca | {"certificate": stranger.certificate_pem}, stranger.key_pem),
        "m_subscription": good | {"login": "00000000-0000-4000-8000-000000000000"},
        "m_expired": with_extra(ours | {"certificate_path": expired_path, "private_key_path": expired_key}),
        "m_missing_file": with_extra(ours | {"certificate_path": str(folder / "nowhere.pem")}),
        "m_no_certificate": with_extra(ca),
        "m_other_key": with_extra(ca | {"certificate": stranger.certificate_pem}, other.key_pem),
        "m_unreachable": good | {"port": unused_port()},
        "m_distrusted": with_extra({key: ours[key] for key in ours if key != "ca_bundle"}),
    }


def storage(world: World) -> dict[str, dict]:
    good = storage_connection(world.stack.ports)
    once = good | {"extra": good["extra"] | {"retry_total": 0}}
    sas = {"sas_token": f"?sv=2026-06-06&sig={SIGNATURE}"}
    return {
        "s_wrong_key": once | {"password": b64encode(b"wrong" * 13).decode()},
        "s_unreachable": once | {"host": f"http://{HOST}:{unused_port()}/{STORAGE_ACCOUNT}"},
        "s_unknown_host": once | {"host": "https://nobody.blob.core.windows.invalid"},
        "s_sas_only": once | {"password": "", "extra": once["extra"] | sas},
    }


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
