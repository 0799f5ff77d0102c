"""What `check-queries` sees of real servers by real drivers."""

from __future__ import annotations

from datetime import UTC, datetime

from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.query_check import check_queries
from biztalk_services.flows.check_document import lines_of
from biztalk_services.model.finding import Finding
from biztalk_services.model.query_check import QueryCheck
from biztalk_services.provider.connections import AirflowConnections

from tests.databases.conftest import Database
from tests.databases.servers import PASSWORD
from tests.databases.tables import COUNTS, MOMENTS, SERVICE, statements
from tests.databases.ways import CONN_ID

SERVERS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}


def checked(database: Database) -> QueryCheck:
    kind, columns = next(iter(MOMENTS[database.way.database].items()))
    database.run(*statements(columns[0], COUNTS["bigint"]))
    documented = database.documented
    options = BizTalkOptions(
        drain_query=documented.drain_for(kind),
        control_number_query=documented.numbers_for(kind),
        tracking_query_seconds=20,
    )
    return check_queries(AirflowConnections(), CONN_ID, SERVICE, options, datetime.now(UTC))


def test_the_documented_queries_are_good_and_the_server_is_named(database: Database):
    check = checked(database)
    assert check.problems == ()
    assert [(look.option, look.rows is not None) for look in check.looks] == [
        ("drain_query", True),
        ("control_number_query", True),
        ("control_number_query", True),
    ]
    assert check.batches.answer == "active"
    assert check.numbers.ever
    seen = check.database
    assert seen.conn_type == database.way.conn_type
    assert seen.driver.startswith(database.way.module)
    assert SERVERS[database.way.database] in seen.server
    if database.server:
        assert seen.time_zone
        assert abs(seen.clock_ahead_seconds) < 60
    text = "\n".join(lines_of(Finding(subject="service", verdict="good", queries=check)))
    assert PASSWORD not in text
    assert "highest (" in text
