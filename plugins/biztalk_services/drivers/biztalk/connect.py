"""Makes the driver out of connections: that to the subscription, and those that the names in it lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.errors import AccessControlError, InvalidCertificateError
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.sources import OVERRIDES, Sources
from biztalk_services.drivers.biztalk.tracking import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DEFAULT_DRAIN_QUERY,
    drain_status,
    since_text,
    use_report,
)
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    CERTIFICATE,
    GivenValue,
    InvalidValueError,
    MissingValue,
    StoredValue,
    Value,
    access_control_value,
    certificate_value,
    same_thing,
    store_value,
)
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.errors import Advice, BackupServiceError
from biztalk_services.model.redaction import redact

if TYPE_CHECKING:
    from biztalk_services.drivers.registry import Connections, ConnectionValues
    from biztalk_services.model.requests import RestoreRequest
    from biztalk_services.model.service import Service

_NEEDS_QUOTES = re.compile(r";|^[\"']|^\s|\s$")


def connect(connection: ConnectionValues, connections: Connections, options: Mapping[str, Any]) -> BizTalkDriver:
    """The driver for a connection to a subscription.

    The connection holds: host and port of the management endpoint, login = subscription id, password = private key (PEM
    text); extra: ``certificate`` (PEM text) or ``certificate_path`` (PEM or PFX), ``private_key_path``,
    ``private_key_passphrase``, ``ca_bundle``, ``api_version``.

    :raises InvalidCertificateError: there is no management certificate, it cannot be used, or ``certificate`` holds
        more than certificates in PEM.
    """
    extra = connection.extra_dejson
    optional: dict[str, Any] = {"host": connection.host, "port": connection.port}
    optional |= {name: extra.get(name) for name in ("ca_bundle", "api_version")}
    client = BizTalkServicesClient(
        (connection.login or "").strip(),
        ManagementCredentials(
            certificate=_without_key(extra.get("certificate")),
            private_key=connection.password,
            certificate_path=extra.get("certificate_path"),
            private_key_path=extra.get("private_key_path"),
            passphrase=extra.get("private_key_passphrase"),
        ),
        **{name: value for name, value in optional.items() if value},
    )
    own = {each.name: options[each.name] for each in fields(BizTalkOptions) if each.name in options}
    return BizTalkDriver(client, ConnectionSources(connections, BizTalkOptions(**own)))


class ConnectionSources(Sources):
    """What surrounds the services, by connections.

    :param options: how the connections are called.
    """

    def __init__(self, connections: Connections, options: BizTalkOptions) -> None:
        self._connections = connections
        self._options = options

    def partner_management(self, service: Service, override: str | None = None) -> PartnerManagementClient:
        namespace = service.settings.get(ACCESS_CONTROL, "")
        conn_id = override or self._options.access_control_conn_id.replace("{namespace}", namespace.lower())
        connection = self._connections.get(conn_id)
        if connection is None:
            raise AccessControlError(
                f"Partner management of service {service.ref} cannot be read: there is no connection {conn_id} to its "
                f"Access Control namespace {namespace or '(which it does not report)'}."
            )
        return _access_control(connection, service.ref.name)

    def drain_status(self, name: str) -> DrainStatus:
        conn_id = self._options.tracking_conn_id_of(name)
        source = f"tracking database of connection {conn_id}"
        try:
            columns, rows = self._query(conn_id, self._options.drain_query or DEFAULT_DRAIN_QUERY, {"service": name})
        except Exception as error:
            reason, checked_at = _problem(source, error), datetime.now(UTC)
            unknown = DrainStatus(answer="unknown", source=source, reason=reason, checked_at=checked_at)
            advice: Advice | None = "stop" if isinstance(error, ConnectionNotFoundError) else None
            raise DrainUnknownError(unknown, advice=advice) from None
        status = drain_status(columns, rows, source=source, checked_at=datetime.now(UTC))
        if status.answer == "unknown":
            raise DrainUnknownError(status)
        return status

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        conn_id, checked_at = self._options.tracking_conn_id_of(name), datetime.now(UTC)
        source = f"tracking database of connection {conn_id}"
        query = self._options.control_number_query or DEFAULT_CONTROL_NUMBER_QUERY
        try:
            columns, rows = self._query(conn_id, query, {"service": name, "since": since_text(since)})
        except Exception as error:
            return UseReport(source=source, problem=_problem(source, error), since=since, checked_at=checked_at)
        return use_report(columns, rows, source=source, since=since, checked_at=checked_at)

    def value(
        self, setting: str, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service]
    ) -> Value:
        chosen, matching = request.override(OVERRIDES[setting]), self._matching(setting, stored)
        conn_id = chosen or matching
        connection = self._connections.get(conn_id) if conn_id else None
        origin = f"connection {conn_id}"
        if connection is None and chosen:
            return MissingValue(setting, origin, f"There is no connection {chosen}; create it, or correct the form.")
        if connection is None:
            return StoredValue(setting, stored[setting], matching)
        try:
            value = self._given(setting, connection, target, services)
        except BackupServiceError as error:
            return MissingValue(setting, origin, str(error))
        if not chosen and not same_thing(setting, value.shown, stored[setting]):
            sentence = (
                f"Connection {conn_id} has the name that belongs to the backup's value, {stored[setting]}, and leads "
                f"to {value.shown}. Correct it, or name the right one in the form."
            )
            return MissingValue(setting, origin, sentence, value.shown)
        return value

    def _query(self, conn_id: str, sql: str, offered: dict[str, str]) -> tuple[list[str], Sequence[Sequence[Any]]]:
        """Of the offered parameters the query gets those that it names."""
        named = {name: value for name, value in offered.items() if f":{name}" in sql or f"%({name})s" in sql}
        return self._connections.query(conn_id, sql, named)

    def _matching(self, setting: str, stored: Mapping[str, str]) -> str:
        """Id of the connection that matches a value of the backup; empty when there is no such value."""
        options, parts = self._options, parts_of(stored[setting])
        database = parts.get("initial catalog") or parts.get("database") or ""
        store = options.service_store_conn_id, "{account}", parts.get("accountname", "")
        pattern, part, value = {
            ACCESS_CONTROL: (options.access_control_conn_id, "{namespace}", stored[setting]),
            TRACKING: (options.tracking_store_conn_id, "{database}", database),
            CERTIFICATE: ("", "", ""),
        }.get(setting, store)
        return pattern.replace(part, value.lower()) if value else ""

    def _given(
        self, setting: str, connection: ConnectionValues, target: str, services: Sequence[Service]
    ) -> GivenValue:
        origin = f"connection {connection.conn_id}"
        if setting == TRACKING:
            return self._tracking(connection, origin)
        if setting == CERTIFICATE:
            path = connection.extra_dejson.get("certificate_path")
            if not path or not connection.password:
                raise InvalidValueError(
                    f"Connection {connection.conn_id} does not name the PFX file of the SSL certificate (extra: "
                    "certificate_path), or has no password of it; add it."
                )
            return certificate_value(origin, path, connection.password, target)
        if setting != ACCESS_CONTROL:
            return self._store(setting, connection, origin)
        namespace, key = _namespace(connection), connection.password or ""
        if not namespace or not key:
            raise InvalidValueError(
                f"Connection {connection.conn_id} does not name the Access Control namespace (extra: namespace) or has "
                "no key (password); add it."
            )
        return access_control_value(
            origin, namespace, key, target, services, lambda service: _access_control(connection, service)
        )

    def _tracking(self, connection: ConnectionValues, origin: str) -> GivenValue:
        """The ADO.NET connection string out of host, port, schema, login and password."""
        parts = {
            "Data Source": f"{connection.host}{f',{connection.port}' if connection.port else ''}",
            "Initial Catalog": connection.schema,
            "Integrated Security": "False",
            "User ID": connection.login,
            "Password": connection.password,
            "Encrypt": "True",
        }
        lacking = [name for name in ("host", "schema", "login", "password") if not getattr(connection, name)]
        if lacking or any(_NEEDS_QUOTES.search(str(part)) for part in parts.values()):
            why = (
                f"has no {', '.join(lacking)}"
                if lacking
                else "holds a semicolon, a quotation mark at the beginning or a blank at an end, which a plain "
                "connection string cannot carry"
            )
            raise InvalidValueError(
                f"Connection {connection.conn_id} {why}; it has to name server (host), database (schema), user and "
                "password as the service uses them."
            )
        shown = f"Data Source={parts['Data Source']};Initial Catalog={parts['Initial Catalog']}"
        through = connection.extra_dejson.get("check_conn_id") or connection.conn_id

        def check() -> str:
            try:
                self._connections.query(through, "SELECT 1", {})
            except Exception as error:
                reason = redact(str(error), (connection.password or "",), limit=200).rstrip(".")
                raise InvalidValueError(
                    f"The database cannot be reached through connection {through}: {type(error).__name__}: {reason}. "
                    "Check server, database, user and password."
                ) from None
            return f"The database is reachable through connection {through}."

        sent = {"tracking_store": ";".join(f"{name}={part}" for name, part in parts.items())}
        return GivenValue(TRACKING, shown, origin, sent, check)

    def _store(self, setting: str, connection: ConnectionValues, origin: str) -> GivenValue:
        try:
            account = self._connections.storage(connection.conn_id)
        except Exception as error:
            raise InvalidValueError(
                f"Connection {connection.conn_id} does not lead to a storage account ({type(error).__name__}); it has "
                "to be one of Azure Blob Storage, with account name (login) and key (password)."
            ) from None
        return store_value(setting, origin, account)


def _access_control(connection: ConnectionValues, service: str) -> PartnerManagementClient:
    """The client for the partner management of a service.

    The connection (of any type) holds: password = key of the namespace; login = issuer name (default ``owner``); extra:
    ``namespace``, ``ca_bundle``; host: only where namespace and services are not at their real addresses,
    ``https://host:port`` below which the real host names are the first part of every path.
    """
    endpoint = connection.host or None
    if endpoint and connection.port:
        endpoint = f"{endpoint.rstrip('/')}:{connection.port}"
    return PartnerManagementClient(
        service,
        namespace=_namespace(connection),
        key=connection.password or "",
        issuer=connection.login or "owner",
        endpoint=endpoint,
        ca_bundle=connection.extra_dejson.get("ca_bundle"),
    )


def _namespace(connection: ConnectionValues) -> str:
    return connection.extra_dejson.get("namespace") or ""


def _without_key(certificate: str | None) -> str | None:
    if certificate and ("-----BEGIN CERTIFICATE-----" not in certificate or "PRIVATE KEY" in certificate):
        raise InvalidCertificateError(
            "The field certificate takes certificates as PEM text and nothing else, because Airflow shows it to all "
            "who may read connections. Put the private key into the password, or the path of a PEM or PFX file that "
            "holds both into certificate_path."
        )
    return certificate


def _problem(source: str, error: Exception) -> str:
    if isinstance(error, ConnectionNotFoundError):
        return str(error)
    return f"The {source} cannot be queried: {type(error).__name__}: {redact(str(error), limit=200)}."
