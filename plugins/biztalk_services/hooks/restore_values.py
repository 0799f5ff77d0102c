"""The values of a restore out of Airflow connections, each with the check of the real thing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of
from biztalk_services.drivers.biztalk.given_values import (
    InvalidValueError,
    access_control_value,
    certificate_value,
    needed,
    store_value,
)
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    CERTIFICATE_OF_BACKUP,
    MONITORING,
    GivenValue,
    MissingValue,
    StoredValue,
    Value,
    same_thing,
)
from biztalk_services.hooks.partner_management import access_control, namespace_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import redact
from biztalk_services.model.restore_request import RestoreRequest
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from biztalk_services.model.service import Service

_NEEDS_QUOTES = re.compile(r";|^[\"']|^\s|\s$")


def restore_values(
    request: RestoreRequest,
    stored: Mapping[str, str],
    target: str,
    settings: Settings,
    living: Sequence[Service] = (),
) -> list[Value]:
    """
    Every value that the restored service will work with, in the order of the form.

    :param request: names connections where it wants others than the backup's values lead to.
    :param stored: the backup's settings without secrets, by element name; empty where they are not known.
    :param target: name of the restored service.
    :param settings: how connections are found by namespace, database and account.
    :param living: the services of the subscription, for a check that needs one.
    """
    database = parts_of(stored.get(TRACKING, ""))
    named = {
        ACCESS_CONTROL: request.acs_conn_id,
        TRACKING: request.tracking_conn_id,
        ARCHIVE: request.archive_conn_id,
        MONITORING: request.monitoring_conn_id,
        CERTIFICATE: request.certificate_conn_id,
    }
    found = {
        ACCESS_CONTROL: _found(settings.acs_conn_id, "namespace", stored.get(ACCESS_CONTROL)),
        TRACKING: _found(settings.sql_conn_id, "database", database.get("initial catalog") or database.get("database")),
        **{
            setting: _found(settings.store_conn_id, "account", parts_of(stored.get(setting, "")).get("accountname"))
            for setting in (ARCHIVE, MONITORING)
        },
        CERTIFICATE: "",
    }
    given = {
        ACCESS_CONTROL: lambda connection: _access_control(connection, target, living),
        TRACKING: _tracking,
        ARCHIVE: lambda connection: _store(connection, ARCHIVE),
        MONITORING: lambda connection: _store(connection, MONITORING),
        CERTIFICATE: lambda connection: _certificate(connection, target),
    }
    shown = {**stored, CERTIFICATE: CERTIFICATE_OF_BACKUP}
    return [
        _value(setting, named[setting], found[setting], shown.get(setting, ""), given[setting])
        for setting in needed(stored, [setting for setting, conn_id in named.items() if conn_id])
    ]


def _value(setting: str, named: str, found: str, stored: str, given) -> Value:
    conn_id = named or found
    try:
        connection = BaseHook.get_connection(conn_id) if conn_id else None
    except AirflowNotFoundException:
        connection = None
    if connection is None:
        if named:
            return MissingValue(
                setting, f"connection {named}", f"There is no connection {named}; make it, or correct the form."
            )
        return StoredValue(setting, stored, found)
    try:
        value = given(connection)
    except BackupServiceError as error:
        return MissingValue(setting, f"connection {conn_id}", str(error))
    if not named and not same_thing(setting, value.shown, stored):
        sentence = (
            f"Connection {conn_id} has the name that belongs to the backup's value, {stored}, and leads to "
            f"{value.shown}. Correct it, or name the right one in the form."
        )
        return MissingValue(setting, f"connection {conn_id}", sentence, value.shown)
    return value


def _found(pattern: str, part: str, value: str | None) -> str:
    return pattern.replace(f"{{{part}}}", value.lower()) if value else ""


def _access_control(connection: Connection, target: str, living: Sequence[Service]) -> GivenValue:
    namespace, key = namespace_of(connection), connection.password or ""
    if not namespace or not key:
        raise InvalidValueError(
            f"Connection {connection.conn_id} does not say the Access Control namespace (extra: namespace) or has no "
            "key (password); add it."
        )
    return access_control_value(
        f"connection {connection.conn_id}",
        namespace,
        key,
        target,
        living,
        lambda service: access_control(connection, service),
    )


def _tracking(connection: Connection) -> GivenValue:
    """The ADO.NET connection string out of host, port, schema, login and password."""
    parts = {
        "Data Source": f"{connection.host}{f',{connection.port}' if connection.port else ''}",
        "Initial Catalog": connection.schema,
        "Integrated Security": "False",
        "User ID": connection.login,
        "Password": connection.password,
        "Encrypt": "True",
    }
    lacking = [
        name
        for name, field in (("host", connection.host), ("schema", connection.schema), ("login", connection.login),
                            ("password", connection.password))
        if not field
    ]  # fmt: skip
    if lacking or any(_NEEDS_QUOTES.search(str(part)) for part in parts.values()):
        why = (
            f"has no {', '.join(lacking)}"
            if lacking
            else "holds a semicolon, a quotation mark at the beginning or a blank at an end, which a plain connection "
            "string cannot carry"
        )
        raise InvalidValueError(
            f"Connection {connection.conn_id} {why}; it has to name server (host), database (schema), user and "
            "password as the service uses them."
        )
    shown = f"Data Source={parts['Data Source']};Initial Catalog={parts['Initial Catalog']}"
    through = connection.extra_dejson.get("check_conn_id") or connection.conn_id

    def check() -> str:
        try:
            BaseHook.get_connection(through).get_hook().run("SELECT 1", handler=lambda cursor: cursor.fetchall())
        except Exception as error:
            said = redact(str(error), (connection.password,), limit=200).rstrip(".")
            raise InvalidValueError(
                f"The database cannot be reached through connection {through}: {type(error).__name__}: {said}. Check "
                "server, database, user and password."
            ) from None
        return f"The database answers through connection {through}."

    sent = {"tracking_store": ";".join(f"{name}={part}" for name, part in parts.items())}
    return GivenValue(TRACKING, shown, f"connection {connection.conn_id}", sent, check)


def _store(connection: Connection, setting: str) -> GivenValue:
    try:
        account = storage_account(connection.conn_id)
    except Exception as error:
        raise InvalidValueError(
            f"Connection {connection.conn_id} does not lead to a storage account ({type(error).__name__}); it has to "
            "be one of Azure Blob Storage, with account name (login) and key (password)."
        ) from None
    return store_value(setting, f"connection {connection.conn_id}", account)


def _certificate(connection: Connection, target: str) -> GivenValue:
    """The PFX file at ``certificate_path`` (extra), opened by the password."""
    path, password = connection.extra_dejson.get("certificate_path"), connection.password
    if not path or not password:
        raise InvalidValueError(
            f"Connection {connection.conn_id} does not name the PFX file of the SSL certificate (extra: "
            "certificate_path), or has no password of it; add it."
        )
    return certificate_value(f"connection {connection.conn_id}", path, password, target)
