"""SQL Server without one: pymssql's own conversion, and the whole way over a wire that speaks TDS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.tracking.queries import DEFAULT_CONTROL_NUMBER_QUERY, DEFAULT_DRAIN_QUERY
from biztalk_services.drivers.sql.errors import QueryTimeoutError
from biztalk_services.drivers.sql.statement import tokens_of, translate
from biztalk_services.provider.connections import AirflowConnections

from tests.databases.tds import HOST, TdsServer, tds_server

pymssql = pytest.importorskip("pymssql")

SINCE = "2026-11-25T02:00:00.000000Z"
VALUES = {"since": SINCE, "service": "o'contoso-ü"}
QUERY = """
    SELECT agreement, MAX(number) AS highest -- 100% of them
    FROM tracking.sent
    WHERE sent_at >= CAST(:since AS datetime2(7)) AND service = :service AND [state:] LIKE N'%sent:since%'
    GROUP BY agreement
"""
ARRIVED = QUERY.replace("-- 100% of them\n", "").replace(":since AS", f"N'{SINCE}' AS")
ARRIVED = ARRIVED.replace("= :service", "= N'o''contoso-ü'")
OFFSET = timezone(timedelta(hours=2))
COLUMNS = [
    ("agreement", "nvarchar"),
    ("used", "int"),
    ("highest", "bigint"),
    ("exact", "decimal"),
    ("at", "datetime2"),
    ("sent_at", "datetimeoffset"),
    ("updated", "datetime"),
]
ROW = (
    "Contoso Ü",
    2_147_483_647,
    5_000_000_000,
    Decimal("99999999999999999999"),
    datetime(2026, 11, 25, 2, 0, 0, 123_456),
    datetime(2026, 11, 25, 4, 0, 0, 123_456, OFFSET),
    datetime(2026, 11, 25, 2, 0, 0, 123_000),
)
ROWS = [ROW, (None,) * len(COLUMNS)]
FREETDS = {"conn_type": "odbc", "extra": {"driver": "FreeTDS", "TDS_Version": "7.4"}}


@pytest.fixture(scope="module")
def server() -> Iterator[TdsServer]:
    with tds_server(COLUMNS, ROWS) as server:
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(server: TdsServer, **changes: Any) -> None:
        fields = {"host": HOST, "port": server.port, "login": "reader", "password": "S3cret", "schema": "tracking"}
        monkeypatch.setenv("AIRFLOW_CONN_TRACKING", json.dumps({"conn_type": "mssql"} | fields | changes))
        monkeypatch.setenv("AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA", "True")

    return connect


def ask(seconds: float = 30) -> tuple[list[str], Any]:
    return AirflowConnections().query("tracking", QUERY, VALUES, seconds)


@pytest.mark.parametrize("query", [DEFAULT_DRAIN_QUERY, DEFAULT_CONTROL_NUMBER_QUERY], ids=["drain", "numbers"])
def test_the_driver_puts_the_values_in_as_national_texts(query):
    sent, values = translate(query, VALUES, pymssql.paramstyle, doubles_percent=False)
    text = pymssql._mssql.substitute_params(sent, values, "UTF-8").decode() if values else sent
    named = {token.name for token in tokens_of(query) if token.kind == "parameter"}
    assert [name for name in named if "N'{}'".format(VALUES[name].replace("'", "''")) not in text] == []
    assert not any(token.kind in ("parameter", "foreign") for token in tokens_of(text))


@pytest.mark.parametrize("percent", ["a%", "a%%", "%s", "%d", "100%"])
def test_the_driver_leaves_a_percent_sign_alone(percent):
    sent, values = translate(f"SELECT '{percent}', :since", VALUES, pymssql.paramstyle, doubles_percent=False)
    assert pymssql._mssql.substitute_params(sent, values, "UTF-8").decode() == f"SELECT '{percent}', N'{SINCE}'"


class TestByThePackageForSqlServer:
    def test_what_arrives_and_what_comes_back(self, server, connect):
        connect(server)
        server.batches.clear()
        assert ask() == ([name for name, _ in COLUMNS], ROWS)
        (batch,) = server.asked
        assert batch.split() == ARRIVED.split()
        assert not any(batch.upper().startswith("COMMIT") for batch in server.batches)
        assert "tracking".encode("utf-16-le") in server.logins[-1]

    def test_without_a_parameter(self, server, connect):
        connect(server)
        server.batches.clear()
        AirflowConnections().query("tracking", "SELECT '100%', 7 % 4", VALUES, 30)
        assert server.asked == ["SELECT '100%', 7 % 4"]

    def test_rows_are_no_dictionaries(self, server, connect):
        connect(server, extra={"as_dict": True})
        assert ask()[1] == ROWS

    def test_the_description(self, connect):
        with tds_server([("said", "nvarchar")], [("2026-11-25T02:00:00.1234567",)]) as server:
            connect(server)
            seen = AirflowConnections().describe("tracking", "SELECT said FROM t WHERE at > :since", VALUES, 30)
            clock = [batch for batch in server.asked if "SYSUTCDATETIME" in batch]
        assert (seen.columns, seen.driver) == (["said"], f"pymssql {pymssql.__version__}")
        assert (seen.server, seen.time_zone) == ("2026-11-25T02:00:00.1234567", "2026-11-25T02:00:00.1234567")
        assert seen.clock_ahead is not None
        away = datetime(2026, 11, 25, 2, tzinfo=UTC) - datetime.now(UTC)
        assert abs(seen.clock_ahead - away.total_seconds()) < 60
        assert len(clock) == 1


@pytest.mark.parametrize("silent_from", ["login", "query"])
def test_a_server_that_accepts_and_says_nothing(connect, silent_from):
    with tds_server(COLUMNS, ROWS, silent_from=silent_from) as server:
        connect(server)
        began = datetime.now(UTC)
        with pytest.raises(QueryTimeoutError, match=r"did not answer within 0\.5 s"):
            ask(seconds=0.5)
        assert datetime.now(UTC) - began < timedelta(seconds=5)


class TestByOdbc:
    @pytest.fixture(autouse=True)
    def freetds(self) -> None:
        pyodbc = pytest.importorskip("pyodbc", exc_type=ImportError)
        if "FreeTDS" not in pyodbc.drivers():
            sentence = "The ODBC driver FreeTDS is not installed (on Debian and Ubuntu: apt-get install tdsodbc)."
            pytest.fail(sentence) if os.environ.get("EVERY_DATABASE") else pytest.skip(sentence)

    def test_what_arrives_and_what_comes_back(self, server, connect):
        connect(server, **FREETDS)
        server.calls.clear()
        columns, rows = ask()
        assert (columns, rows) == ([name for name, _ in COLUMNS], ROWS)
        (call,) = server.calls
        assert "CAST(@P1 AS datetime2(7)) AND service = @P2 AND [state:]".encode("utf-16-le") in call
        assert SINCE.encode("utf-16-le") in call
        assert "o'contoso-ü".encode("utf-16-le") in call

    def test_the_driver_is_named(self, server, connect):
        connect(server, **FREETDS)
        seen = AirflowConnections().describe("tracking", QUERY, VALUES, 30)
        assert seen.driver.startswith("pyodbc ")
        assert " with libtdsodbc" in seen.driver

    @pytest.mark.parametrize("silent_from", ["login", "query"])
    def test_a_server_that_accepts_and_says_nothing(self, connect, silent_from):
        with tds_server(COLUMNS, ROWS, silent_from=silent_from) as server:
            connect(server, **FREETDS)
            with pytest.raises(QueryTimeoutError, match=r"did not answer within 0\.5 s"):
                ask(seconds=0.5)
