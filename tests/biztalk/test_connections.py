"""The driver out of connections: ids that a shell can export, subscription and hosts as people write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.biztalk import connect as connect_module
from biztalk_services.drivers.biztalk.connect import ConnectionSources, connect
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.model.drain import DrainUnknownError
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import ServiceRef

from tests.biztalk.inventories import inventory
from tests.wire.pki import identity

SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = identity("management")


@dataclass
class Values:
    """A connection."""

    conn_id: str
    conn_type: str | None = "generic"
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    extra_dejson: dict[str, Any] = field(default_factory=dict)


class Known:
    """Connections by their ids; a query returns no row, and is recorded."""

    def __init__(self, *connections: Values) -> None:
        self.connections = {each.conn_id: each for each in connections}
        self.queried: list[str] = []

    def get(self, conn_id: str) -> Values | None:
        return self.connections.get(conn_id)

    def storage(self, conn_id: str) -> StorageAccount:
        raise NotImplementedError

    def query(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        if conn_id not in self.connections:
            raise ConnectionNotFoundError(f"There is no connection {conn_id}.")
        self.queried.append(conn_id)
        return (["agreement", "batch", "messages", "oldest"], [])


def tracking(*conn_ids: str, services: tuple[str, ...] = ()) -> tuple[ConnectionSources, Known]:
    known = Known(*map(Values, conn_ids))
    return ConnectionSources(known, BizTalkOptions(), service_names=lambda: services), known


@pytest.mark.parametrize(
    ("service", "there", "used"),
    [
        ("Orders", ["biztalk_tracking_orders"], "biztalk_tracking_orders"),
        ("contoso-orders-2", ["biztalk_tracking_contoso-orders-2"], "biztalk_tracking_contoso-orders-2"),
        ("contoso-orders-2", ["biztalk_tracking_contoso_orders_2"], "biztalk_tracking_contoso_orders_2"),
        ("contoso.orders", ["biztalk_tracking_contoso_orders"], "biztalk_tracking_contoso_orders"),
        (
            "contoso-orders",
            ["biztalk_tracking_contoso_orders", "biztalk_tracking_contoso-orders"],
            "biztalk_tracking_contoso-orders",
        ),
    ],
)
def test_tracking_database_by_an_id_that_can_be_exported(service, there, used):
    sources, known = tracking(*there, services=(service, "returns"))
    status = sources.drain_status(service)
    assert (status.answer, known.queried) == ("empty", [used])
    assert used in status.source
    sources.control_numbers_since(service, SINCE)
    assert known.queried == [used, used]


@pytest.mark.parametrize("other", ["contoso.orders", "Contoso_Orders", "contoso-orders."])
def test_id_that_two_services_would_share_is_refused(other):
    exported = "biztalk_tracking_" + ("contoso_orders_" if other.endswith(".") else "contoso_orders")
    service = "contoso-orders-" if other.endswith(".") else "contoso-orders"
    sources, known = tracking(exported, services=(service, other, "returns"))
    with pytest.raises(DrainUnknownError, match=f"service {service} or of service {other.lower()}") as caught:
        sources.drain_status(service)
    assert caught.value.advice == "stop"
    report = sources.control_numbers_since(service, SINCE)
    assert report.problem
    assert f"There is no connection biztalk_tracking_{service}" in report.problem
    assert known.queried == []


def test_missing_connection_is_named_as_the_service_is():
    sources, _ = tracking()
    with pytest.raises(DrainUnknownError, match="no connection biztalk_tracking_contoso-orders"):
        sources.drain_status("contoso-orders")


def test_a_second_source_that_raises_anything_is_a_problem_of_the_source(monkeypatch):
    sources, known = tracking()
    monkeypatch.setattr(known, "get", lambda conn_id: {}["not a word of ours"])
    report = sources.sent_interchanges(inventory(), SINCE)
    assert report.source.startswith("archive of sent interchanges of connection biztalk_sent_")
    assert report.problem == "It cannot be read (KeyError)."


def test_other_connections_by_ids_that_can_be_exported():
    known = Known(
        Values("biztalk_acs_contoso_acs", password="x", extra_dejson={"namespace": "contoso-acs"}),
        Values("biztalk_sql_orders_db", host="sql", schema="orders-db", login="u", password="x"),
    )
    sources = ConnectionSources(known, BizTalkOptions())
    stored = {
        "AccessControlNamespace": "Contoso-Acs",
        "TrackingStoreConnectionString": "Data Source=sql;Initial Catalog=orders-db",
    }
    values = {
        each.setting: each for each in sources.values(RestoreRequest.from_form({"service": "x"}, {}), stored, "x")
    }
    assert values["AccessControlNamespace"].origin == "connection biztalk_acs_contoso_acs"
    assert values["TrackingStoreConnectionString"].origin == "connection biztalk_sql_orders_db"


@pytest.mark.parametrize("namespace", ["Contoso-Acs", "contoso-acs.accesscontrol.chinacloudapi.cn"])
def test_partner_management_by_the_name_of_the_namespace(namespace):
    sources = ConnectionSources(
        Known(Values("biztalk_acs_contoso-acs", password="x", extra_dejson={"namespace": namespace})),
        BizTalkOptions(service_host="biztalk.chinacloudapi.cn"),
    )
    service = biztalk_service(ServiceRef("west", "orders"), "Active", settings={"AccessControlNamespace": namespace})
    with sources.partner_management(service) as client:
        assert repr(client) == "<PartnerManagementClient https://orders.biztalk.chinacloudapi.cn of service orders>"


def test_partner_management_with_the_key_of_another_namespace():
    sources = ConnectionSources(
        Known(Values("biztalk_acs_contoso_acs", password="x", extra_dejson={"namespace": "contoso_acs"})),
        BizTalkOptions(),
    )
    settings = {"AccessControlNamespace": "contoso-acs"}
    service = biztalk_service(ServiceRef("west", "orders"), "Active", settings=settings)
    with pytest.raises(AccessControlError, match="of namespace contoso_acs, not of contoso-acs"):
        sources.partner_management(service)


def management(**changes: Any) -> Values:
    values = {"login": SUBSCRIPTION, "password": PERSON.key_pem} | changes
    extra = {"certificate": PERSON.certificate_pem} | values.pop("extra", {})
    return Values("biztalk_default", "biztalk_services", extra_dejson=extra, **values)


@pytest.mark.parametrize(
    "login", [SUBSCRIPTION, f"{{{SUBSCRIPTION.upper()}}}", f" {SUBSCRIPTION} ", f'"{SUBSCRIPTION}"']
)
def test_subscription_as_people_write_it(login):
    assert connect(management(login=login), Known(), {}).subscription_id == SUBSCRIPTION


@pytest.mark.parametrize(
    ("host", "port", "origin"),
    [
        (None, None, "https://management.core.windows.net"),
        ("", None, "https://management.core.windows.net"),
        ("https://management.core.chinacloudapi.cn/", None, "https://management.core.chinacloudapi.cn"),
        ("management.core.windows.net.", 8443, "https://management.core.windows.net:8443"),
        ("127.0.0.1:18443", None, "https://127.0.0.1:18443"),
    ],
)
def test_management_host_as_people_write_it(host, port, origin):
    driver = connect(management(host=host, port=port), Known(), {})
    assert repr(driver.client) == f"<BizTalkServicesClient {origin}/{SUBSCRIPTION}>"


@pytest.mark.parametrize("changes", [{"host": "http://x.example"}, {"host": "https://x.example/sub"}, {"login": "a b"}])
def test_what_cannot_be_meant_is_one_sentence(changes):
    with pytest.raises(InvalidAddressError, match="is not"):
        connect(management(**changes), Known(), {})


@pytest.mark.parametrize("host", ["127.0.0.1:18445", "https://127.0.0.1:18445/", "127.0.0.1"])
def test_endpoint_of_partner_management_as_people_write_it(host):
    port = None if "18445" in host else 18445
    values = Values("acs", host=host, port=port, password="x", extra_dejson={"namespace": "contosoacs"})
    sources = ConnectionSources(Known(values), BizTalkOptions())
    service = biztalk_service(ServiceRef("west", "orders"), "Active")
    with sources.partner_management(service, "acs") as client:
        assert repr(client) == "<PartnerManagementClient https://127.0.0.1:18445 of service orders>"


def test_options_in_the_extra_of_the_management_connection(monkeypatch):
    """Two subscriptions of one Airflow may be in two clouds, and have services of one name."""
    made: list[BizTalkOptions] = []
    sources = connect_module.ConnectionSources
    monkeypatch.setattr(
        connect_module,
        "ConnectionSources",
        lambda found, options, *more: made.append(options) or sources(found, options),
    )
    extra = {"service_host": "https://Biztalk.ChinaCloudAPI.cn", "tracking_conn_id": "china_tracking_{service}"}
    connect(management(extra=extra), Known(), {"tracking_conn_id": "biztalk_tracking_{service}", "conn_id": "x"})
    assert made[0].service_host == "biztalk.chinacloudapi.cn"
    assert made[0].access_control_host == "accesscontrol.windows.net"
    assert made[0].tracking_conn_id_of("Orders") == "china_tracking_orders"


def test_what_partners_accept_reaches_the_driver():
    text = '{"Fabrikam": {"policy": "gapless"}}'
    driver = connect(management(), Known(), {"control_number_partners": text})
    assert driver.partners.of("fabrikam").policy == "gapless"
    assert connect(management(), Known(), {}).partners.of("fabrikam").policy == "increasing"
