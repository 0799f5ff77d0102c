"""Makes the driver out of connections: that to the subscription, and those that the names in it lead to."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, parts_of, shown
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.errors import AccessControlError, InvalidCertificateError
from biztalk_services.drivers.biztalk.numbers.partners import Partners
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.sources import OVERRIDES, Sources
from biztalk_services.drivers.biztalk.tracking.database import TrackingDatabase, drain_unknown, problem_of, source_of
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    CERTIFICATE,
    CUSTOM_DOMAIN,
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
from biztalk_services.drivers.biztalk.wire.hosts import custom_domain, read_host, read_namespace
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.drivers.registry import ConnectionNotFoundError, storage_of
from biztalk_services.model.connection_strings import join
from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.query_check import QueryCheck
from biztalk_services.model.redaction import redact
from biztalk_services.model.tls import chosen_bundle

if TYPE_CHECKING:
    from biztalk_services.drivers.registry import Connections, ConnectionValues
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.requests import RestoreRequest
    from biztalk_services.model.service import Service


def connect(connection: ConnectionValues, connections: Connections, options: Mapping[str, Any]) -> BizTalkDriver:
    """The driver for a connection to a subscription.

    The connection holds: host and port of the management endpoint, login = subscription id, password = private key (PEM
    text); extra: ``certificate`` (PEM text) or ``certificate_path`` (PEM, PFX or publish settings),
    ``private_key_path``, ``private_key_passphrase``, ``api_version``, and ``ca_bundle``, ``access_control_host``,
    ``service_host``, ``tracking_conn_id``, ``sent_interchanges_conn_id`` in place of the options of these names.

    :raises InvalidCaBundleError: a CA bundle cannot be read.
    :raises InvalidCertificateError: there is no management certificate, it cannot be used, or ``certificate`` holds
        more than certificates in PEM.
    """
    extra = connection.extra_dejson
    optional: dict[str, Any] = {"host": connection.host, "port": connection.port}
    default_bundle = str(options.get("ca_bundle") or "")
    optional["ca_bundle"] = chosen_bundle(extra, connection.conn_id, default_bundle)
    optional["api_version"] = extra.get("api_version")
    client = BizTalkServicesClient(
        connection.login or "",
        ManagementCredentials(
            certificate=_without_key(extra.get("certificate")),
            private_key=connection.password,
            certificate_path=extra.get("certificate_path"),
            private_key_path=extra.get("private_key_path"),
            passphrase=extra.get("private_key_passphrase"),
            subscription_id=connection.login,
        ),
        **{name: value for name, value in optional.items() if value},
    )
    own = {each.name: options[each.name] for each in fields(BizTalkOptions) if each.name in options}
    for name in ("tracking_conn_id", "sent_interchanges_conn_id"):
        if pattern := extra.get(name):
            own[name] = str(pattern)
    for name in ("access_control_host", "service_host"):
        if host := extra.get(name):
            own[name] = read_host(str(host), f"the extra {name} of connection {connection.conn_id}").name

    def service_names() -> list[str]:
        return [service.ref.name for service in client.list_services()]

    sources = ConnectionSources(connections, BizTalkOptions(**own), default_bundle, service_names)
    return BizTalkDriver(client, sources, Partners.parsed(str(options.get("control_number_partners") or "")))


class ConnectionSources(Sources):
    """What surrounds the services, by connections.

    :param options: how the connections are called.
    :param ca_bundle: of connections that have none of their own; empty: the usual CAs.
    :param service_names: reads the names of all services of the subscription.
    """

    def __init__(
        self,
        connections: Connections,
        options: BizTalkOptions,
        ca_bundle: str = "",
        service_names: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._connections = connections
        self._options = options
        self._ca_bundle = ca_bundle
        self._service_names = service_names

    def partner_management(self, service: Service, override: str | None = None) -> PartnerManagementClient:
        namespace = service.settings.get(ACCESS_CONTROL, "")
        conn_id = override or self._existing(self._options.access_control_conn_id_of(namespace))
        connection = self._connections.get(conn_id)
        if connection is None:
            raise AccessControlError(
                f"Partner management of service {service.ref} cannot be read: there is no connection {conn_id} to its "
                f"Access Control namespace {namespace or '(which it does not report)'}."
            )
        given = _namespace(connection)
        if namespace and given and not override and not same_thing(ACCESS_CONTROL, given, namespace):
            raise AccessControlError(
                f"Partner management of service {service.ref} cannot be read: connection {conn_id} has the key of "
                f"namespace {given}, not of {namespace}, which the service reports. Correct it."
            )
        return self._access_control(connection, service.ref.name, service.settings.get(CUSTOM_DOMAIN, ""))

    def drain_status(self, name: str) -> DrainStatus:
        try:
            database = self._tracking_database(name)
        except Exception as error:
            raise drain_unknown(source_of(self._options.tracking_conn_id_of(name)), error) from None
        return database.drain_status()

    def drain_source(self, name: str) -> str | None:
        return self._options.tracking_conn_id_of(name)

    def check_queries(self, name: str) -> QueryCheck:
        from biztalk_services.drivers.biztalk.query_check import check_queries

        try:
            conn_id = self._tracking_conn_id(name)
        except Exception as error:
            conn_id = self._options.tracking_conn_id_of(name)
            return QueryCheck(conn_id=conn_id, problems=(problem_of(source_of(conn_id), error),))
        return check_queries(self._connections, conn_id, name, self._options, datetime.now(UTC))

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        try:
            database = self._tracking_database(name)
        except Exception as error:
            source = source_of(self._options.tracking_conn_id_of(name))
            problem = problem_of(source, error)
            return UseReport(source=source, problem=problem, since=since, checked_at=datetime.now(UTC))
        return database.control_numbers_since(since)

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        from biztalk_services.drivers.biztalk.interchanges.connect import archive_of

        conn_id_of, checked_at = self._options.sent_interchanges_conn_id_of, datetime.now(UTC)
        conn_id = conn_id_of(inventory.service)
        try:
            conn_id = self._conn_id(inventory.service, conn_id_of)
            archive = archive_of(self._connections, conn_id)
            return archive.uses_since(inventory, since) if archive else None
        except BackupServiceError as error:
            problem = str(error)
        except Exception as error:  # a second source that cannot be read takes no restore down
            problem = f"It cannot be read ({type(error).__name__})."
        source = f"archive of sent interchanges of connection {conn_id}"
        return UseReport(source=source, problem=problem, since=since, checked_at=checked_at)

    def value(
        self, setting: str, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service]
    ) -> Value:
        chosen, matching = request.override(OVERRIDES[setting]), self._matching(setting, stored)
        conn_id = chosen or self._existing(matching)
        connection = self._connections.get(conn_id) if conn_id else None
        origin = f"connection {conn_id}"
        if connection is None and chosen:
            return MissingValue(setting, origin, f"There is no connection {chosen}; create it, or correct the form.")
        if connection is None:
            return StoredValue(setting, stored[setting], matching)
        try:
            value = self._given(setting, connection, stored, target, services)
        except BackupServiceError as error:
            return MissingValue(setting, origin, str(error))
        if not chosen and not same_thing(setting, value.shown, stored[setting]):
            sentence = (
                f"Connection {conn_id} has the name that belongs to the backup's value, {stored[setting]}, and leads "
                f"to {value.shown}. Correct it, or name the right one in the form."
            )
            return MissingValue(setting, origin, sentence, value.shown)
        return value

    def _existing(self, conn_id: str) -> str:
        """The id of a connection as it exists: this one, or where there is none, its form as a variable can have it."""
        exported = as_variable(conn_id)
        if exported == conn_id or self._connections.get(conn_id) or not self._connections.get(exported):
            return conn_id
        return exported

    def _tracking_database(self, name: str) -> TrackingDatabase:
        return TrackingDatabase(self._connections, self._tracking_conn_id(name), name, self._options)

    def _tracking_conn_id(self, name: str) -> str:
        return self._conn_id(name, self._options.tracking_conn_id_of)

    def _conn_id(self, name: str, conn_id_of: Callable[[str], str]) -> str:
        """The id of a connection of this service, as it exists.

        :param conn_id_of: the id by the name of a service.
        :raises ConnectionNotFoundError: the connection may be that of another service.
        """
        wanted = conn_id_of(name)
        found = self._existing(wanted)
        if found == wanted:
            return wanted
        others = {other.lower() for other in self._service_names()} - {name.lower()}
        same = sorted(other for other in others if as_variable(conn_id_of(other)) == found)
        if same:
            raise ConnectionNotFoundError(
                f"There is no connection {wanted}, and {found} may be that of service {name} or of service "
                f"{', '.join(same)}. Give each its own connection in Airflow's pages, in a secrets backend, or by a "
                "container's environment, where a name may have dashes and dots."
            )
        return found

    def _matching(self, setting: str, stored: Mapping[str, str]) -> str:
        """Id of the connection that matches a value of the backup; empty when there is no such value."""
        options, parts = self._options, parts_of(stored[setting])
        database = parts.get("initial catalog") or parts.get("database") or ""
        store = options.service_store_conn_id, "{account}", parts.get("accountname", "")
        pattern, part, value = {
            ACCESS_CONTROL: (options.access_control_conn_id, "{namespace}", read_namespace(stored[setting])[0]),
            TRACKING: (options.tracking_store_conn_id, "{database}", database),
            CERTIFICATE: ("", "", ""),
        }.get(setting, store)
        return pattern.replace(part, value.lower()) if value else ""

    def _given(
        self,
        setting: str,
        connection: ConnectionValues,
        stored: Mapping[str, str],
        target: str,
        services: Sequence[Service],
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
            password, service_host = connection.password, self._options.service_host
            return certificate_value(origin, path, password, target, stored, service_host)
        if setting != ACCESS_CONTROL:
            return self._store(setting, connection, origin)
        namespace, key = _namespace(connection), connection.password or ""
        if not namespace or not key:
            raise InvalidValueError(
                f"Connection {connection.conn_id} does not name the Access Control namespace (extra: namespace) or has "
                "no key (password); add it."
            )
        return access_control_value(
            origin,
            namespace,
            key,
            target,
            services,
            lambda service: self._access_control(connection, service),
            stored[ACCESS_CONTROL],
        )

    def _access_control(
        self, connection: ConnectionValues, service: str, custom_domain_url: str = ""
    ) -> PartnerManagementClient:
        """The client for the partner management of a service.

        The connection (of any type) holds: password = key of the namespace; login = issuer name (default ``owner``);
        extra: ``namespace`` (name or host), ``ca_bundle``; host: only where namespace and services are not at their
        real addresses, ``https://host:port`` below which the real host names are the first part of every path.
        """
        endpoint = None
        if (connection.host or "").strip():
            endpoint = read_host(str(connection.host), f"connection {connection.conn_id}", connection.port).origin()
        return PartnerManagementClient(
            service,
            namespace=_namespace(connection),
            key=connection.password or "",
            issuer=connection.login or "owner",
            endpoint=endpoint,
            access_control_host=self._options.access_control_host,
            service_host=self._options.service_host,
            custom_domain=custom_domain(custom_domain_url, self._options.service_host),
            ca_bundle=chosen_bundle(connection.extra_dejson, connection.conn_id, self._ca_bundle),
        )

    def _tracking(self, connection: ConnectionValues, origin: str) -> GivenValue:
        """The ADO.NET connection string out of host, port, schema, login and password, quoted where that is needed."""
        parts = {
            "Data Source": f"{(connection.host or '').strip()}{f',{connection.port}' if connection.port else ''}",
            "Initial Catalog": (connection.schema or "").strip(),
            "Integrated Security": "False",
            "User ID": connection.login or "",
            "Password": connection.password or "",
            "Encrypt": "True",
        }
        if lacking := [name for name in ("host", "schema", "login", "password") if not getattr(connection, name)]:
            raise InvalidValueError(
                f"Connection {connection.conn_id} has no {', '.join(lacking)}; it has to name server (host), database "
                "(schema), user and password as the service uses them."
            )
        try:
            connection_string = join(parts)
        except ValueError as error:
            raise InvalidValueError(f"Connection {connection.conn_id} cannot be used. {error}") from None
        through = connection.extra_dejson.get("check_conn_id") or connection.conn_id

        def check() -> str:
            try:
                self._connections.query(through, "SELECT 1", {}, float(self._options.tracking_query_seconds))
            except Exception as error:
                reason = redact(str(error), (connection.password or "",), limit=200).rstrip(".")
                raise InvalidValueError(
                    f"The database cannot be reached through connection {through}: {type(error).__name__}: {reason}. "
                    "Check server, database, user and password."
                ) from None
            return f"The database is reachable through connection {through}."

        return GivenValue(TRACKING, shown(connection_string), origin, {"tracking_store": connection_string}, check)

    def _store(self, setting: str, connection: ConnectionValues, origin: str) -> GivenValue:
        try:
            account = storage_of(self._connections, connection.conn_id)
        except BackupServiceError as error:
            raise InvalidValueError(str(error)) from None
        return store_value(setting, origin, account)


def as_variable(conn_id: str) -> str:
    """A connection id as a shell can export it: every character but letters, digits and underscores is one."""
    return re.sub(r"[^A-Za-z0-9_]", "_", conn_id)


def _namespace(connection: ConnectionValues) -> str:
    return str(connection.extra_dejson.get("namespace") or "").strip("\"' ")


def _without_key(certificate: str | None) -> str | None:
    if certificate and ("-----BEGIN CERTIFICATE-----" not in certificate or "PRIVATE KEY" in certificate):
        raise InvalidCertificateError(
            "The field certificate takes certificates as PEM text and nothing else, because Airflow shows it to all "
            "who may read connections. Put the private key into the password, or the path of a PEM or PFX file that "
            "holds both into certificate_path."
        )
    return certificate
