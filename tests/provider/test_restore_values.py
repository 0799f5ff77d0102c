"""Values of a restore out of real Airflow connections, checked against emulator, Azurite, SQLite and PFX files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from biztalk_emulator.connection_strings import Login, pairs, parse_login
from biztalk_services.drivers.biztalk.connect import ConnectionSources
from biztalk_services.drivers.biztalk.options import BizTalkOptions, BizTalkOverrides
from biztalk_services.drivers.biztalk.values import (
    GivenValue,
    InvalidValueError,
    MissingValue,
    StoredValue,
    Value,
    check_ssl_certificate,
    sent_values,
)
from biztalk_services.model.plan import PlannedValue
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.hook import driver_for

from tests.archive.azurite import ACCOUNT, KEY, Azurite, free_port
from tests.biztalk.pfx import DAY, SECRET, pfx
from tests.provider.connections import NAME, SERVICE, storage
from tests.provider.connections import TRACKING as READING

ACS, TRACKING, ARCHIVE, MONITORING, CERTIFICATE = (
    "AccessControlNamespace",
    "TrackingStoreConnectionString",
    "ArchiveStoreConnectionString",
    "MonitoringStoreConnectionString",
    "ServiceCertificate",
)
DATABASE = "Data Source=tcp:sql.example,1433;Initial Catalog=Tracking"
STORE = f"AccountName={ACCOUNT}"
RECORDED = {"Edition": "premium"}
HOST = f"{NAME}.biztalk.windows.net"


def values_of(stored: dict[str, str] | None = None, target: str = NAME, **form: str) -> dict[str, Value]:
    request = RestoreRequest.from_form({"service": NAME, **form}, BizTalkOverrides.__dataclass_fields__)
    sources = ConnectionSources(AirflowConnections(), BizTalkOptions())
    return {value.setting: value for value in sources.values(request, stored or {}, target)}


def planned(setting: str, stored: dict[str, str] | None = None, target: str = NAME, **form: str) -> PlannedValue:
    value = values_of(stored, target, **form)[setting]
    plan = value.planned()
    assert SECRET not in f"{value!r} {plan!r}"
    return plan


def sql(**changes: Any) -> dict[str, Any]:
    return {
        "conn_type": "generic",
        "host": "sql.example",
        "schema": "Tracking",
        "login": "biztalk",
        "password": SECRET,
        "extra": {"check_conn_id": "reading"},
    } | changes


@pytest.fixture
def reading(connect, tmp_path) -> None:
    """A connection through which a database can be queried."""
    (tmp_path / "tracking.db").touch()
    connect("reading", {"conn_type": "sqlite", "host": str(tmp_path / "tracking.db")})


# --- no connection ---------------------------------------------------------------------------------------------------


def test_without_any_connection_all_is_in_the_backup():
    stored = {ACS: "ContosoAcs", TRACKING: DATABASE, ARCHIVE: "AccountName=arch", MONITORING: "AccountName=mon"}
    values = values_of(stored)
    assert list(values) == [ACS, TRACKING, ARCHIVE, MONITORING, CERTIFICATE]
    assert [value.wanted for value in values.values()] == [
        "biztalk_acs_contosoacs",
        "biztalk_sql_tracking",
        "biztalk_store_arch",
        "biztalk_store_mon",
        "",
    ]
    assert [value.shown for value in values.values()][:4] == list(stored.values())
    for value in values.values():
        assert isinstance(value, StoredValue)
        assert (value.planned().check, value.planned().origin) == ("not possible", "backup")


def test_what_the_backup_does_not_have_is_not_needed():
    assert ARCHIVE not in values_of({TRACKING: DATABASE, MONITORING: STORE})
    assert MONITORING not in values_of({TRACKING: DATABASE})


def test_what_is_needed_without_recorded_settings():
    assert list(values_of()) == [ACS, TRACKING, MONITORING, CERTIFICATE]
    assert {value.wanted for value in values_of().values()} == {""}


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        (ACS, "acs_conn_id"),
        (TRACKING, "tracking_conn_id"),
        (ARCHIVE, "archive_conn_id"),
        (MONITORING, "monitoring_conn_id"),
        (CERTIFICATE, "certificate_conn_id"),
    ],
)
def test_a_named_connection_has_to_exist(setting, field):
    value = values_of({}, **{field: "nowhere"})[setting]
    assert isinstance(value, MissingValue)
    plan = value.planned()
    assert (plan.check, plan.origin) == ("failed", "connection nowhere")
    assert "There is no connection nowhere; create it, or correct the form." in plan.sentence


# --- tracking database -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [None, 1433])
def test_the_connection_string_of_the_tracking_database(connect, reading, port):
    connect("biztalk_sql_tracking", sql(port=port))
    (value,) = [value for value in values_of({TRACKING: DATABASE}).values() if value.setting == TRACKING]
    server = "sql.example,1433" if port else "sql.example"
    assert value.sent == {
        "tracking_store": f"Data Source={server};Initial Catalog=Tracking;Integrated Security=False;User ID=biztalk;"
        f"Password={SECRET};Encrypt=True"
    }
    assert value.planned() == PlannedValue(
        TRACKING,
        f"Data Source={server};Initial Catalog=Tracking",
        "connection biztalk_sql_tracking",
        "passed",
        "The database is reachable through connection reading.",
    )
    sent = sent_values([value], edition="premium", unit_count=1, version="1.1.0")
    assert SECRET not in repr([value, sent])
    assert SECRET in sent.secrets()


@pytest.mark.parametrize(
    ("lacking", "fields"),
    [
        ("host", {"host": None}),
        ("schema", {"schema": None}),
        ("login", {"login": None}),
        ("password", {"password": None}),
        ("host, password", {"host": "", "password": ""}),
    ],
)
def test_a_tracking_connection_without_a_field(connect, lacking, fields):
    connect("sql", sql(**fields))
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert (plan.check, plan.shown) == ("failed", "")
    assert f"Connection sql has no {lacking};" in plan.sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"password": f"{SECRET};x"},
        {"password": f"a;Database={SECRET};b"},
        {"password": f"'{SECRET}"},
        {"password": f'"{SECRET}"'},
        {"password": f'it\'s "{SECRET}";'},
        {"password": f" {SECRET} "},
        {"password": f"={SECRET}=="},
        {"password": f"{SECRET}\n"},
        {"login": "me;Password=x"},
        {"schema": "a b"},
    ],
)
def test_what_a_connection_string_carries_in_quotes(connect, reading, fields):
    connect("sql", sql(**fields))
    (value,) = [each for each in values_of({}, tracking_conn_id="sql").values() if each.setting == TRACKING]
    given = {"login": "biztalk", "password": SECRET, "schema": "Tracking"} | fields
    written = value.sent["tracking_store"]
    assert parse_login(written) == Login(given["login"], given["password"])  # as another reader reads it
    assert dict(pairs(written))["Initial Catalog"] == given["schema"]
    assert value.planned().check == "passed"
    assert SECRET not in f"{value} {value.planned()}"


def test_what_no_connection_string_can_carry(connect):
    connect("sql", sql(password=f"{SECRET}\0"))
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert plan.check == "failed"
    assert "Connection sql cannot be used. A connection string cannot hold the value of Password" in plan.sentence
    assert SECRET not in plan.sentence


def test_what_xml_cannot_carry_fails(connect, reading):
    connect("sql", sql(password=f"{SECRET}\x01"))
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert plan.check == "failed"
    assert "XML" in plan.sentence


def test_a_password_may_hold_anything_else(connect, reading):
    connect("sql", sql(password=f"{SECRET}'\"=& <ü>"))
    assert planned(TRACKING, tracking_conn_id="sql").check == "passed"


@pytest.mark.parametrize(
    ("through", "reason"),
    [
        ("nowhere", "ConnectionNotFoundError: There is no connection nowhere"),
        ("no_database", "unable to open database file"),
    ],
)
def test_a_tracking_database_that_is_not_reachable(connect, through, reason):
    connect("no_database", {"conn_type": "sqlite", "host": "/not/there/tracking.db"})
    connect("sql", sql(extra={"check_conn_id": through}))
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert plan.check == "failed"
    assert f"cannot be reached through connection {through}: " in plan.sentence
    assert reason in plan.sentence


def test_a_connection_without_a_database_driver(connect):
    connect("sql", sql(extra={}))
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert plan.check == "failed"
    assert "through connection sql" in plan.sentence


def test_a_database_error_that_holds_the_password(connect, reading, monkeypatch):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError(f"no login for biztalk with {SECRET}")

    monkeypatch.setattr(SqliteHook, "get_conn", refuse)
    connect("sql", sql())
    plan = planned(TRACKING, tracking_conn_id="sql")
    assert "RuntimeError: no login for biztalk with ***" in plan.sentence


# --- a connection by its name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"host": "other.example"}, {"schema": "Tracking2"}, {"port": 1444}])
def test_a_matching_connection_to_another_database(connect, reading, fields):
    """A second server may have a database of the same name: only what was requested is sent."""
    connect("biztalk_sql_tracking", sql(**fields))
    plan = planned(TRACKING, {TRACKING: DATABASE})
    assert (plan.check, plan.origin) == ("failed", "connection biztalk_sql_tracking")
    assert f"the backup's value, {DATABASE}, and leads to Data Source=" in plan.sentence
    assert planned(TRACKING, {TRACKING: DATABASE}, tracking_conn_id="biztalk_sql_tracking").check == "passed"


def test_a_matching_connection_to_another_account(connect, azurite: Azurite):
    connect("biztalk_store_mon", storage(azurite))
    plan = planned(MONITORING, {MONITORING: "AccountName=Mon"})
    assert plan.check == "failed"
    assert f"AccountName=Mon, and leads to AccountName={ACCOUNT}" in plan.sentence
    assert (
        planned(MONITORING, {MONITORING: "AccountName=Mon"}, monitoring_conn_id="biztalk_store_mon").check == "passed"
    )


def test_a_matching_connection_to_another_namespace(connect):
    connect("biztalk_acs_contosoacs", {"conn_type": "generic", "password": SECRET, "extra": {"namespace": "other"}})
    plan = planned(ACS, {ACS: "contosoAcs"})
    assert plan.check == "failed"
    assert "leads to other" in plan.sentence


# --- storage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [ARCHIVE, MONITORING])
def test_a_storage_account(setting, connect, azurite: Azurite):
    connect(f"biztalk_store_{ACCOUNT}", storage(azurite))
    value = values_of({setting: f"{STORE};BlobEndpoint=x"})[setting]
    (text,) = value.sent.values()
    assert list(value.sent) == ["archive_store" if setting == ARCHIVE else "monitoring_store"]
    assert f"AccountKey={KEY}" in text
    plan = value.planned()
    assert plan.shown == f"AccountName={ACCOUNT};BlobEndpoint=http://127.0.0.1:{azurite.port}/{ACCOUNT}"
    assert (plan.check, plan.origin) == ("passed", f"connection biztalk_store_{ACCOUNT}")
    assert "is reachable and accepts the key" in plan.sentence
    assert KEY[:20] not in f"{value!r} {plan!r}"


def test_both_stores_are_separate(connect, azurite: Azurite):
    connect("one", storage(azurite))
    connect("other", storage(azurite, password="d3Jvbmc="))
    values = values_of({}, archive_conn_id="one", monitoring_conn_id="other")
    assert [values[setting].planned().check for setting in (ARCHIVE, MONITORING)] == ["passed", "failed"]
    assert [list(values[setting].sent) for setting in (ARCHIVE, MONITORING)] == [
        ["archive_store"],
        ["monitoring_store"],
    ]


def test_a_wrong_account_key(connect, azurite: Azurite):
    connect("store", storage(azurite, password="d3Jvbmc="))
    plan = planned(MONITORING, monitoring_conn_id="store")
    assert plan.check == "failed"
    assert "Check the account key" in plan.sentence
    assert "d3Jvbmc=" not in str(plan)


def test_an_account_that_does_not_exist(connect, azurite: Azurite):
    connect("store", storage(azurite, host=f"http://127.0.0.1:{free_port()}/{ACCOUNT}"))
    assert planned(MONITORING, monitoring_conn_id="store").check == "failed"


@pytest.mark.parametrize(
    "fields",
    [
        {"password": None, "extra": {"sas_token": f"sv=2024-01-01&sig={SECRET}"}},
        {"extra": {"connection_string": f"AccountKey{SECRET}"}},
        {"extra": {"connection_string": f"AccountName=x;AccountKey={SECRET}"}},
        {"login": None, "password": None, "host": None, "extra": {}},
        {"extra": {"tenant_id": "t"}, "login": None},
    ],
)
def test_a_connection_without_a_usable_key(connect, azurite: Azurite, fields):
    connect("store", storage(azurite, **fields))
    plan = planned(MONITORING, monitoring_conn_id="store")
    assert plan.check == "failed"


# --- Access Control --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"password": None}, {"extra": {}}, {"extra": {"namespace": ""}}])
def test_an_access_control_connection_without_a_field(connect, fields):
    connect("acs", {"conn_type": "generic", "password": SECRET, "extra": {"namespace": "contosoacs"}} | fields)
    plan = planned(ACS, acs_conn_id="acs")
    assert plan.check == "failed"
    assert "add it" in plan.sentence


def test_a_namespace_that_is_not_reachable(connect):
    fields = {"host": "https://127.0.0.1", "port": free_port(), "extra": {"namespace": "contosoacs"}}
    connect("acs", {"conn_type": "generic", "password": SECRET} | fields)
    plan = planned(ACS, acs_conn_id="acs")
    assert (plan.check, plan.shown, plan.origin) == ("failed", "contosoacs", "connection acs")


# --- the real surroundings of a service ------------------------------------------------------------------------------


@pytest.fixture
def surroundings(connections, connect, emulator) -> dict[str, Any]:
    """Connections to namespace and database of the sample's service; what they hold."""
    known = json.loads((emulator.home / "sample-credentials.json").read_text())["services"][NAME]
    namespace, database = known["access_control"], known["tracking_database"]
    connect(
        f"biztalk_acs_{namespace['namespace'].lower()}",
        {
            "conn_type": "generic",
            "host": emulator.data_url,
            "password": namespace["key"],
            "extra": {"namespace": namespace["namespace"], "ca_bundle": str(emulator.home / "pki/ca.pem")},
        },
    )
    connect(
        f"biztalk_sql_{database['database'].lower()}",
        {
            "conn_type": "generic",
            "host": database["server"],
            "schema": database["database"],
            "login": database["user"],
            "password": database["password"],
            "extra": {"check_conn_id": READING},
        },
    )
    return known


def test_an_existing_service_leads_to_its_connections(surroundings):
    stored = driver_for("biztalk_default").get_service(ServiceRef.parse(SERVICE)).settings
    values = values_of(dict(stored))
    plans = {setting: value.planned() for setting, value in values.items()}
    for setting in (ACS, TRACKING):
        assert plans[setting].check == "passed", plans[setting]
    assert "issued a token of namespace" in plans[ACS].sentence
    assert plans[ACS].shown == surroundings["access_control"]["namespace"]
    sent = sent_values(values.values(), edition="premium", unit_count=1, version="1.1.0")
    assert sent.acs_key == surroundings["access_control"]["key"]
    for secret in (surroundings["access_control"]["key"], surroundings["tracking_database"]["password"]):
        assert secret not in f"{values!r} {plans!r} {sent!r}"


def test_a_wrong_namespace_key(surroundings, connect, emulator):
    extra = {"namespace": surroundings["access_control"]["namespace"], "ca_bundle": str(emulator.home / "pki/ca.pem")}
    wrong = base64.b64encode(b"canary").decode()
    connect("acs", {"conn_type": "generic", "host": emulator.data_url, "password": wrong, "extra": extra})
    plan = planned(ACS, acs_conn_id="acs")
    assert plan.check == "failed"
    assert wrong not in str(plan)


# --- SSL certificate -------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(connect, tmp_path) -> Callable[..., Path]:
    """Gives Airflow the connection ``ssl`` with this PFX file."""

    def give(content: bytes, password: str | None = SECRET) -> Path:
        path = tmp_path / "ssl.pfx"
        path.write_bytes(content)
        connect("ssl", {"conn_type": "generic", "password": password, "extra": {"certificate_path": str(path)}})
        return path

    return give


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"common_name": "ContosoOrders.BizTalk.Windows.Net"},
        {"common_name": "other", "hosts": ("x.example", "contosoorders.biztalk.windows.net")},
        {"common_name": None, "hosts": ("*.biztalk.windows.net",)},
    ],
)
def test_a_certificate_that_fits(certificate, names):
    content = pfx(**names)
    path = certificate(content)
    value = values_of({}, certificate_conn_id="ssl")[CERTIFICATE]
    plan = value.planned()
    assert (plan.check, plan.shown, plan.origin) == ("passed", str(path), "connection ssl")
    assert "is for contosoorders.biztalk.windows.net and valid until" in plan.sentence
    assert value.sent == {"certificate": base64.b64encode(content).decode(), "certificate_password": SECRET}
    sent = sent_values([value], edition="premium", unit_count=1, version="1.1.0")
    assert SECRET not in f"{value!r} {plan!r} {sent!r}"
    assert base64.b64encode(content).decode()[:40] not in f"{value!r} {plan!r} {sent!r}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"begins": -2 * DAY, "ends": -DAY}, "so it is not valid now; get a new one"),
        ({"begins": DAY, "ends": 2 * DAY}, "so it is not valid now"),
        ({"common_name": "billing.biztalk.windows.net"}, "for billing.biztalk.windows.net, not for contosoorders."),
        ({"common_name": "contosoorders"}, "not for contosoorders.biztalk.windows.net"),
        ({"common_name": "*.windows.net"}, "not for contosoorders"),
        ({"common_name": None}, "for no host, not for"),
        ({"common_name": "x", "hosts": ("a.example", "b.example")}, "for a.example, b.example, x, not for"),
        ({"password": f"{SECRET}2"}, "is a PFX file, and the password is wrong"),
        ({"with_key": False}, "no certificate with its private key"),
    ],
)
def test_a_certificate_that_does_not_fit(certificate, changes, reason):
    certificate(pfx(**changes))
    plan = planned(CERTIFICATE, RECORDED, certificate_conn_id="ssl")
    assert plan.check == "failed"
    assert reason in plan.sentence


def test_the_certificate_has_to_fit_the_new_name(certificate):
    certificate(pfx())
    assert planned(CERTIFICATE, RECORDED, target="OrdersTwo", certificate_conn_id="ssl").check == "failed"
    certificate(pfx("orderstwo.biztalk.windows.net"))
    assert planned(CERTIFICATE, RECORDED, target="OrdersTwo", certificate_conn_id="ssl").check == "passed"


@pytest.mark.parametrize("content", [b"", b"no PFX", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_file_that_is_not_a_pfx(certificate, content):
    certificate(content)
    plan = planned(CERTIFICATE, RECORDED, certificate_conn_id="ssl")
    assert plan.check == "failed"


@pytest.mark.parametrize("password", [None, ""])
def test_a_certificate_without_password_cannot_be_sent(certificate, password):
    """The check would pass, and the restore be refused when the existing service is deleted already."""
    certificate(pfx(password=None), password)
    plan = planned(CERTIFICATE, RECORDED, certificate_conn_id="ssl")
    assert plan.check == "failed"
    assert "no password" in plan.sentence


@pytest.mark.parametrize("place", [None, "", "gone.pfx", "."])
def test_a_file_that_cannot_be_read(connect, tmp_path, place):
    extra = {} if place is None else {"certificate_path": place and str(tmp_path / place)}
    connect("ssl", {"conn_type": "generic", "password": SECRET, "extra": extra})
    plan = planned(CERTIFICATE, RECORDED, certificate_conn_id="ssl")
    assert plan.check == "failed"
    assert "certificate_path" in plan.sentence or "cannot be read" in plan.sentence


def test_a_certificate_is_valid_between_its_dates():
    content = pfx(begins=timedelta(), ends=DAY)
    now = datetime.now(UTC)
    assert "valid until" in check_ssl_certificate(content, SECRET, HOST, now + DAY / 2)
    for moment in (now - DAY, now + 2 * DAY):
        with pytest.raises(InvalidValueError, match="not valid now"):
            check_ssl_certificate(content, SECRET, HOST, moment)


# --- all of them -----------------------------------------------------------------------------------------------------


def test_every_value_is_sent_and_no_secret_is_shown(connect, reading, certificate, azurite: Azurite):
    certificate(pfx())
    connect("sql", sql())
    connect("store", storage(azurite))
    connect("acs", {"conn_type": "generic", "password": SECRET, "extra": {"namespace": "contosoacs"}})
    stores = {"archive_conn_id": "store", "monitoring_conn_id": "store"}
    values = values_of({}, acs_conn_id="acs", tracking_conn_id="sql", certificate_conn_id="ssl", **stores)
    assert all(isinstance(value, GivenValue) for value in values.values())
    sent = sent_values(values.values(), edition="premium", unit_count=2, version="1.1.0")
    missing = [name for name in sent.__dataclass_fields__ if getattr(sent, name) is None]
    assert missing == ["custom_domain_url"]
    for secret in (SECRET, KEY[:20], sent.certificate[:40]):
        assert secret not in f"{values!r} {sent!r}"
