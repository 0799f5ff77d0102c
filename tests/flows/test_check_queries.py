"""What a check of queries and connections finds and how it tells it: with fake drivers and a fake archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.flows.check_connections import ConnectionChecks
from biztalk_services.flows.check_document import lines_of, summary_of
from biztalk_services.flows.check_queries import Configured, QueryChecks
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.finding import Finding
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, PARTS, Inventory
from biztalk_services.model.query_check import ColumnSeen, DatabaseSeen, QueryCheck, QueryLook
from biztalk_services.model.service import Phase, Service, ServiceRef

NOW = datetime(2026, 1, 3, 2, tzinfo=UTC)
WEEK_AGO = NOW - timedelta(days=7)


def service(name: str, scope: str = "contoso", has_backups: bool | None = True) -> Service:
    return Service(ServiceRef(scope, name), "Active", Phase.RUNNING, has_backups=has_backups)


def check(*problems: str) -> QueryCheck:
    return QueryCheck(conn_id="database", problems=problems)


@dataclass
class FakeDriver:
    """A subscription. What is an error is raised.

    :param checks: by the name of the service.
    """

    services: list[Service] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    subscription_id: str = "one"
    unread: tuple[str, ...] = ()
    unreachable: Exception | None = None
    source: str | None = None
    parts: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(PARTS))
    checked: list[str] = field(default_factory=list)
    sent: UseReport | None = None

    def drain_source(self, name: str) -> str | None:
        return self.source

    def check_connection(self) -> str:
        if self.unreachable:
            raise self.unreachable
        return "It was reached."

    def list_services(self, on_unread: Callable[[str], None]) -> list[Service]:
        for sentence in self.unread:
            on_unread(sentence)
        return self.services

    def check_queries(self, name: str) -> QueryCheck | None:
        self.checked.append(name)
        found = self.checks.get(name, check())
        if isinstance(found, Exception):
            raise found
        return found

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        return self.sent

    def inventory(self, service: Service) -> Inventory:
        return Inventory(
            service=service.ref.name,
            edition="standard",
            product_version="1",
            taken_at=NOW,
            settings={"Edition": "standard"},
            parts=self.parts,
        )


class FakeArchive:
    def check_writable(self) -> str:
        return "Records can be written."


def configured(*drivers: FakeDriver, **changes: Any) -> Configured:
    opened = {f"subscription_{number}": lambda driver=driver: driver for number, driver in enumerate(drivers, 1)}
    values: dict[str, Any] = {
        "subscriptions": opened,
        "includes": lambda address: True,
        "archive": FakeArchive,
        "alerts": lambda: "Alerts are only logged.",
    }
    return Configured(**values | changes)


def found(*drivers: FakeDriver, named: tuple[str, ...] = (), **changes: Any) -> dict[str, Finding]:
    findings = list(QueryChecks(configured(*drivers, **changes), named).findings())
    assert len({each.subject for each in findings}) == len(findings)
    return {each.subject: each for each in findings}


def verdicts(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: each.verdict for subject, each in findings.items()}


def test_every_included_service_with_backups_is_checked():
    driver = FakeDriver([service("orders"), service("other"), service("dev", has_backups=False)])
    findings = found(driver, includes=lambda address: not address.endswith("/other"))
    assert verdicts(findings) == {
        "connection subscription_1": "good",
        "service subscription_1/contoso/orders": "good",
        "service subscription_1/contoso/dev": "not checked",
    }
    assert driver.checked == ["orders"]
    assert findings["service subscription_1/contoso/dev"].sentences == ("Its edition has no backups.",)


@pytest.mark.parametrize("name", ["DEV", "contoso/dev", "subscription_1/contoso/dev"])
def test_a_named_service_is_checked_whatever_it_is(name):
    driver = FakeDriver([service("orders"), service("dev", has_backups=False)])
    findings = found(driver, named=(name,), includes=lambda address: False)
    assert driver.checked == ["dev"]
    assert verdicts(findings)["service subscription_1/contoso/dev"] == "good"


def test_a_name_that_no_subscription_has_is_wrong():
    driver = FakeDriver([service("orders")])
    findings = found(driver, named=("ordres",))
    assert findings["services"].is_wrong
    assert "no service ordres; it has orders" in findings["services"].sentences[0]
    assert driver.checked == []


def test_one_bad_database_hides_no_other():
    driver = FakeDriver(
        [service("a"), service("b"), service("c"), service("d")],
        {"a": RuntimeError("password=hunter2"), "b": check("It does not name :since."), "c": None},
    )
    findings = found(driver)
    assert verdicts(findings) == {
        "connection subscription_1": "good",
        "service subscription_1/contoso/a": "wrong",
        "service subscription_1/contoso/b": "wrong",
        "service subscription_1/contoso/c": "not checked",
        "service subscription_1/contoso/d": "good",
    }
    assert findings["service subscription_1/contoso/a"].sentences == ("It failed: RuntimeError; see the log.",)


def test_one_bad_subscription_hides_no_other():
    gone = FakeDriver(unreachable=BackupServiceError("There is no connection subscription_1."))
    odd = FakeDriver([service("orders")], subscription_id="two", unread=("One entry cannot be read.",))
    findings = found(gone, odd, FakeDriver([service("sales")], subscription_id="three"))
    assert verdicts(findings) == {
        "connection subscription_1": "wrong",
        "connection subscription_2": "wrong",
        "connection subscription_3": "good",
        "service subscription_2/contoso/orders": "good",
        "service subscription_3/contoso/sales": "good",
    }
    assert findings["connection subscription_2"].sentences == ("One entry cannot be read.",)


def test_without_any_list_no_named_service_is_said_to_be_missing():
    gone = FakeDriver(unreachable=BackupServiceError("There is no connection subscription_1."))
    findings = found(gone, named=("orders",))
    assert verdicts(findings) == {"connection subscription_1": "wrong", "services": "not checked"}
    assert "no list of services can be read" in findings["services"].sentences[0]


def test_two_connections_to_one_subscription_are_wrong():
    findings = found(FakeDriver([service("orders")]), FakeDriver([service("orders")]))
    assert "lead to the same subscription" in findings["services"].sentences[0]


def test_services_of_one_name_need_connections_of_their_own():
    first = FakeDriver([service("orders")], source="tracking_orders")
    second = FakeDriver([service("orders")], source="tracking_orders", subscription_id="two")
    findings = found(first, second)
    for subject in ("service subscription_1/contoso/orders", "service subscription_2/contoso/orders"):
        assert "would be read through the same connection tracking_orders" in findings[subject].sentences[0]
    assert first.checked == second.checked == []


def test_bad_options_and_what_cannot_be_looked_at_are_told():
    findings = found(FakeDriver(), problems=("Option include is bad.",), notes=("There is no database.",))
    assert findings["options"].is_wrong
    assert findings["options"].sentences == ("Option include is bad.",)
    assert findings["Airflow"].verdict == "not checked"


class TestConnections:
    def found(self, driver: FakeDriver, **changes: Any) -> dict[str, Finding]:
        return {each.subject: each for each in ConnectionChecks(configured(driver, **changes)).findings()}

    def test_everything_is_reached(self):
        findings = self.found(FakeDriver([service("orders")]))
        assert verdicts(findings) == {
            "storage": "good",
            "alerts": "good",
            "connection subscription_1": "good",
            "service subscription_1/contoso/orders": "good",
            "contents of service subscription_1/contoso/orders": "good",
        }
        assert findings["storage"].sentences == ("Records can be written.",)

    @pytest.mark.parametrize(("problem", "verdict"), [(None, "good"), ("It has no container.", "wrong")])
    def test_a_second_source_is_looked_at(self, problem, verdict):
        sent = UseReport(source="archive", problem=problem, since=WEEK_AGO, checked_at=NOW)
        finding = self.found(FakeDriver([service("orders")], sent=sent))[
            "interchanges that service subscription_1/contoso/orders has sent"
        ]
        assert (finding.verdict, finding.sentences) == (verdict, (sent.sentence(),))

    def test_what_is_wrong_hides_nothing(self):
        def broken() -> Any:
            raise BackupServiceError("There is no connection.")

        driver = FakeDriver([service("orders")], {"orders": check("No rows.")})
        driver.parts[PARTNER_MANAGEMENT] = "There is no key of its namespace."
        findings = self.found(driver, archive=broken, alerts=broken)
        wrong = {subject: each.sentences for subject, each in findings.items() if each.is_wrong}
        assert wrong == {
            "storage": ("There is no connection.",),
            "alerts": ("There is no connection.",),
            "service subscription_1/contoso/orders": (),
            "contents of service subscription_1/contoso/orders": ("There is no key of its namespace.",),
        }


def answered() -> Finding:
    columns = (ColumnSeen("agreement", ("varchar", "str")), ColumnSeen("highest"))
    looks = (
        QueryLook(option="drain_query", query="query 11111111", columns=columns, rows=1, seconds=0.123),
        QueryLook(option="control_number_query", query="query 22222222", since=WEEK_AGO, rows=0, seconds=2.0),
        QueryLook(option="control_number_query", query="query 22222222", since=WEEK_AGO, rows=0, seconds=1.5),
        QueryLook(option="control_number_query", query="query 22222222", since=EVER, seconds=60.0),
    )
    numbers = UseReport(
        uses=(ControlNumberUse("Fabrikam", "group", None, 7, 3, None),),
        ever=(
            ControlNumberUse("Fabrikam", "group", None, 7, 9, NOW),
            ControlNumberUse("Northwind", "interchange", 900, 12, 20, WEEK_AGO),
        ),
        source="database",
        since=WEEK_AGO,
        checked_at=NOW,
    )
    queries = QueryCheck(
        conn_id="tracking",
        database=DatabaseSeen(
            conn_type="mssql",
            driver="pymssql 2.3",
            server="SQL Azure 12",
            time_zone="UTC",
            clock_ahead_seconds=-1.25,
        ),
        looks=looks,
        batches=DrainStatus(answer="empty", source="database", checked_at=NOW),
        numbers=numbers,
        problems=("The clock is wrong.",),
        remarks=("Times are taken as UTC.",),
    )
    return Finding(subject="service orders", verdict="wrong", queries=queries)


def test_a_finding_as_text():
    assert (
        "\n".join(lines_of(answered()))
        == """\
service orders: WRONG
  connection tracking (mssql): driver pymssql 2.3, server SQL Azure 12, session time zone UTC, \
server's clock 1.2 s behind ours
  drain_query (query 11111111): 1 row in 0.12 s
    columns: agreement (varchar, read as str), highest (no value)
  control_number_query (query 22222222) since 2025-12-27 02:00:00 UTC: 0 rows in 2.00 s
    columns: none
  control_number_query (query 22222222) since 2025-12-27 02:00:00 UTC: 0 rows in 1.50 s
  control_number_query (query 22222222) ever: no answer after 60.00 s
  understood: No batch held messages at 2026-01-03 02:00:00 UTC (database).
  understood: 3 control numbers were used by 1 agreement from 2025-12-27 02:00:00 UTC to 2026-01-03 02:00:00 UTC \
(database).
                            since 2025-12-27 02:00:00 UTC           ever
    agreement  kind         highest  latest  used  last used (UTC)  highest  latest  used  last used (UTC)
    Fabrikam   group        unknown  7       3     unknown          unknown  7       9     2026-01-03 02:00:00
    Northwind  interchange  none     none    0                      900      12      20    2025-12-27 02:00:00
  WRONG: The clock is wrong.
  note: Times are taken as UTC."""
    )


def test_a_finding_without_a_database():
    finding = Finding(
        subject="service orders", verdict="wrong", queries=check("There is no connection database. Create it.")
    )
    assert list(lines_of(finding)) == [
        "service orders: WRONG",
        "  connection database",
        "  WRONG: There is no connection database. Create it.",
    ]


def test_the_summary_names_what_is_wrong():
    good, skipped = Finding(subject="a", verdict="good"), Finding(subject="b", verdict="not checked")
    assert summary_of([good, skipped]) == "1 good, none wrong, 1 not checked."
    assert summary_of([answered(), good]) == "1 good, 1 wrong (service orders), 0 not checked."


def test_a_finding_is_plain():
    finding = answered()
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding
