"""The values of a restore out of Airflow connections, each with the check of the real thing."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from biztalk_services.hooks.partner_management import access_control, namespace_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.plans.request import RestoreRequest
from biztalk_services.plans.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    MONITORING,
    CheckNotPossible,
    GivenValue,
    MissingValue,
    StoredValue,
    Value,
    same_thing,
)
from biztalk_services.rest.errors import AccessControlRefused, BizTalkServicesError
from biztalk_services.rest.redaction import redact
from biztalk_services.rules.connection_strings import TRACKING, parts_of
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from biztalk_services.rest.messages import Service

_FIELDS = {ARCHIVE: "archive_store", MONITORING: "monitoring_store"}
_NEEDS_QUOTES = re.compile(r";|^[\"']|^\s|\s$")


class ValueUnusable(BizTalkServicesError):
    """A connection does not hold what a restore needs of it, or the thing behind it does not work."""


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
    values = [
        _value(
            ACCESS_CONTROL,
            request.acs_conn_id,
            _found(settings.acs_conn_id, "namespace", stored.get(ACCESS_CONTROL)),
            stored.get(ACCESS_CONTROL, ""),
            lambda connection: _access_control(connection, target, living),
        ),
        _value(
            TRACKING,
            request.tracking_conn_id,
            _found(settings.sql_conn_id, "database", database.get("initial catalog") or database.get("database")),
            stored.get(TRACKING, ""),
            _tracking,
        ),
    ]
    for setting, named in ((ARCHIVE, request.archive_conn_id), (MONITORING, request.monitoring_conn_id)):
        account = parts_of(stored.get(setting, "")).get("accountname")
        if named or stored.get(setting) or (setting == MONITORING and not stored):
            found = _found(settings.store_conn_id, "account", account)
            values.append(
                _value(
                    setting,
                    named,
                    found,
                    stored.get(setting, ""),
                    lambda connection, it=setting: _store(connection, it),
                )
            )
    if request.certificate_conn_id:
        values.append(
            _value(
                CERTIFICATE, request.certificate_conn_id, "", "", lambda connection: _certificate(connection, target)
            )
        )
    else:
        values.append(StoredValue(CERTIFICATE, "certificate and password of the backup", ""))
    return values


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
    except BizTalkServicesError as error:
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
        raise ValueUnusable(
            f"Connection {connection.conn_id} does not say the Access Control namespace (extra: namespace) or has no "
            "key (password); add it."
        )

    users = [each for each in living if each.settings.get(ACCESS_CONTROL, "").lower() == namespace.lower()]

    def check() -> str:
        """A namespace gives tokens for services that there are, and a restored one comes about only later."""
        try:
            return access_control(connection, users[0].address.name if users else target).check()
        except AccessControlRefused as refused:
            if users or refused.status != HTTPStatus.BAD_REQUEST:
                raise
            raise CheckNotPossible(
                f"Namespace {namespace} answers, and gives no token for a service that does not exist yet; whether the "
                f"key is right shows when the restore checks it. {refused}"
            ) from None

    sent = {"acs_namespace": namespace, "acs_key": key}
    return GivenValue(ACCESS_CONTROL, namespace, f"connection {connection.conn_id}", sent, check)


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
        raise ValueUnusable(
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
            raise ValueUnusable(
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
        raise ValueUnusable(
            f"Connection {connection.conn_id} does not lead to a storage account ({type(error).__name__}); it has to "
            "be one of Azure Blob Storage, with account name (login) and key (password)."
        ) from None
    shown = f"AccountName={account.name};BlobEndpoint={account.client.url.partition('?')[0].rstrip('/')}"
    sent = {_FIELDS[setting]: account.connection_string()}
    return GivenValue(setting, shown, f"connection {connection.conn_id}", sent, account.check)


def _certificate(connection: Connection, target: str) -> GivenValue:
    """The PFX file at ``certificate_path`` (extra), opened by the password."""
    path, password = connection.extra_dejson.get("certificate_path"), connection.password
    if not path or not password:
        raise ValueUnusable(
            f"Connection {connection.conn_id} does not name the PFX file of the SSL certificate (extra: "
            "certificate_path), or has no password of it; add it."
        )
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueUnusable(
            f"The SSL certificate {path} of connection {connection.conn_id} cannot be read ({error.strerror})."
        ) from None
    sent = {"certificate": base64.b64encode(data).decode(), "certificate_password": password}
    return GivenValue(
        CERTIFICATE,
        path,
        f"connection {connection.conn_id}",
        sent,
        lambda: check_ssl_certificate(data, password, target),
    )


def check_ssl_certificate(pfx: bytes, password: str, service: str, now: datetime | None = None) -> str:
    """One sentence on an SSL certificate that fits a service.

    Rules: provisioning pages of BizTalk Services (name of the service's host, not expired).

    :raises ValueUnusable: it cannot be opened, has no key, is not valid now, or is for another host.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs12

    now = now or datetime.now(UTC)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(pfx, password.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueUnusable("The SSL certificate is no PFX file, or its password is another one.") from None
    if certificate is None or key is None:
        raise ValueUnusable("The PFX file has no certificate with its private key; export both.")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ValueUnusable(
            f"The SSL certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, which is not now; get a new one."
        )
    host = f"{service.lower()}.biztalk.windows.net"
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = named.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    names += [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if not any(name.lower() in (host, f"*.{host.partition('.')[2]}") for name in names):
        raise ValueUnusable(f"The SSL certificate is for {', '.join(names) or 'no host'}, not for {host}.")
    return f"The SSL certificate is for {host} and valid until {certificate.not_valid_after_utc:%Y-%m-%d}."
