"""The storage account behind a ``wasb`` connection.

Airflow's hook derives the account's name from the host, puts the cloud's host in place of one without a dot, and gives
an account key to the library as it is. So it is asked only where the connection has an identity and no key; everything
else is opened here, out of the same fields in the same order of precedence.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import Connection

from biztalk_services.archive.connect import (
    CLIENT_OPTIONS,
    account_by_key,
    account_by_sas,
    account_by_string,
    address_of,
    connection_errors,
)
from biztalk_services.archive.storage import StorageAccount

_PREFIX = "extra__wasb__"
_CREDENTIALS = ("connection_string", "tenant_id", "shared_access_key", "sas_token", "account_key")
_IDENTITY = ("managed_identity_client_id", "workload_identity_tenant_id", "client_secret_auth_config")


def account_of(connection: Connection) -> StorageAccount:
    """The storage account that a connection leads to; no request is sent.

    :raises StorageConnectionError: it leads to none; the message says why.
    """
    origin = f"Connection {connection.conn_id}"
    extra = {
        name.removeprefix(_PREFIX): _number(value)
        for name, value in connection.extra_dejson.items()
        if value not in (None, "")
    }
    given = {name: str(extra.pop(name)) for name in _CREDENTIALS if name in extra}
    identity = {name: extra.pop(name) for name in _IDENTITY if name in extra}
    options = {**CLIENT_OPTIONS, **extra}
    if text := given.get("connection_string"):
        return account_by_string(text, origin, options)
    if "tenant_id" in given:
        return _by_identity(connection, origin, options | identity | {"tenant_id": given["tenant_id"]})
    sas = given.get("sas_token", "")
    with connection_errors(origin, (connection.password or "", *given.values())):
        host = sas if sas.startswith("https:") else connection.host
        name, endpoint = address_of(connection.login, host, connection.port)
    if "shared_access_key" in given:
        return account_by_key(name, given["shared_access_key"], endpoint, origin, options)
    if sas:
        return account_by_sas(name, sas.rpartition("?")[2], endpoint, origin, options)
    secret = connection.password or given.get("account_key", "")
    if "sig=" in secret:
        return account_by_sas(name, secret, endpoint, origin, options)
    if secret:
        return account_by_key(name, secret, endpoint, origin, options)
    return _by_identity(connection, origin, options | identity, endpoint, name)


def _by_identity(
    connection: Connection,
    origin: str,
    extra: dict[str, Any],
    endpoint: str | None = None,
    name: str | None = None,
) -> StorageAccount:
    """The account, opened by Airflow's hook with an identity of Entra."""
    from airflow.providers.microsoft.azure.hooks.wasb import WasbHook

    changed = Connection(
        conn_id=connection.conn_id,
        conn_type=connection.conn_type,
        host=endpoint or connection.host,
        login=connection.login,
        password=connection.password,
        extra=json.dumps(extra),
    )
    hook: Any = WasbHook(wasb_conn_id=connection.conn_id)
    hook.get_connection = lambda _: changed
    with connection_errors(origin, (connection.password or "",)):
        return StorageAccount(hook.get_conn(), name)


def _number(value: Any) -> Any:
    """A number that was typed as text, as a number: the client calculates with its options."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value
