"""The queries of docs/edi.md for SQL Server, which no test can start: as drivers send them, and read the answer.

Whether SQL Server takes them is not tried; docs/edi.md says so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from biztalk_services.model.control_numbers import ControlNumberUse

from tests.databases.conftest import Database
from tests.databases.documented import documented
from tests.databases.tables import SINCE
from tests.databases.tds import TdsServer, tds_server
from tests.databases.ways import Way

KINDS = list(documented("sqlserver").moments)
LAST = datetime(2024, 11, 25, 15, 0, 0, 123_000)
WAYS = [
    Way("pymssql", "sqlserver", "mssql", "pymssql"),
    Way("freetds", "sqlserver", "odbc", "pyodbc", {"TDS_Version": "7.4"}, odbc=("FreeTDS", "tdsodbc")),
]

pytestmark = pytest.mark.parametrize("way", WAYS, indirect=True, ids=lambda way: way.name)


def connected(way: Way, server: TdsServer, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(way, server.port, lambda *statements: [], server, monkeypatch)
    database.connect()
    return database


def sent(way: Way, server: TdsServer) -> list[str]:
    """What arrived that asks for rows: a text, or the call of one with its values."""
    if way.odbc is None:
        return server.asked
    # Texts begin at an even or at an odd place of the call.
    return [call.decode("utf-16-le", "ignore") + call[1:].decode("utf-16-le", "ignore") for call in server.calls]


def expected(way: Way, query: str, **values: str) -> list[str]:
    """Texts each of which has to be in the message."""
    if way.odbc is None:
        for name, value in values.items():
            query = query.replace(f":{name}", f"N'{value}'")
        return [query.strip()]
    for position, name in enumerate(re.findall(r":(since|service)", query), start=1):
        query = query.replace(f":{name}", f"@P{position}", 1)
    return [query.strip(), *values.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_control_numbers(way, kind, monkeypatch):
    columns = [("agreement", "nvarchar"), ("kind", "nvarchar"), ("highest", "bigint"), ("latest", "bigint")]
    columns += [("used", "int"), ("last_used", "datetime2")]
    query = documented("sqlserver").numbers_for(kind)
    with tds_server(columns, [("ContosoRetail", "interchange", 10004, 10004, 7, LAST)]) as server:
        report = connected(way, server, monkeypatch).tracking(control_number_query=query).control_numbers_since(SINCE)
        looks = sent(way, server)

    assert report.problem is None
    last_used = LAST.replace(tzinfo=UTC)
    assert report.uses == (ControlNumberUse("ContosoRetail", "interchange", 10004, 10004, 7, last_used),)
    for look, since in zip(looks, ("2024-11-25T02:00:00.500000Z", "1753-01-01T00:00:00.000000Z"), strict=True):
        for part in expected(way, query, since=since, service="contosoorders"):
            assert part in look


@pytest.mark.parametrize("kind", KINDS)
def test_batches(way, kind, monkeypatch):
    columns = [("agreement", "nvarchar"), ("batch", "nvarchar"), ("messages", "int"), ("oldest", "datetime2")]
    query = documented("sqlserver").drain_for(kind)
    with tds_server(columns, [("ContosoRetail", "Hourly", 2, LAST), ("NorthwindEDI", "50% off", 1, None)]) as server:
        status = connected(way, server, monkeypatch).tracking(drain_query=query).drain_status()
        (look,) = sent(way, server)

    assert [(each.agreement, each.messages, each.oldest) for each in status.batches] == [
        ("ContosoRetail", 2, LAST.replace(tzinfo=UTC)),
        ("NorthwindEDI", 1, None),
    ]
    for part in expected(way, query, service="contosoorders"):
        assert part in look
