"""One way to write a query by every driver: parameters, %, comments, casts, and what comes back."""

from __future__ import annotations

import re

from tests.databases.conftest import Database
from tests.databases.tables import COUNTS, MOMENTS, SINCE, statements

TEXT_TYPE = {"sqlite": "TEXT", "postgresql": "text", "mariadb": "char"}
"""What text is called in a CAST."""


def test_a_percent_sign_stays_one_beside_a_parameter(database: Database):
    fill(database)
    columns, rows = database.query(
        "SELECT agreement, COUNT(*) AS n FROM sent_numbers WHERE agreement LIKE '100\\% F%' ESCAPE '\\' "
        "AND service <> :service AND 7 % 4 = 3 GROUP BY agreement".replace("\\", "!"),
        service="other",
    )
    assert (columns, rows) == (["agreement", "n"], [("100% Fabrikam", 4)])


def test_a_percent_sign_stays_one_without_a_parameter(database: Database):
    fill(database)
    assert database.query("SELECT COUNT(*) AS n FROM sent_numbers WHERE agreement LIKE '100%'")[1] == [(4,)]


def test_parameters_in_texts_names_and_comments_are_text(database: Database):
    sql = """
    -- 100% of those :since then, "unclosed ' here
    SELECT ':since' AS text, :service AS given /* %s and :service, ? */, 'it''s ?' AS mark
    -- the end;
    """
    assert database.query(sql, service="o'hara ? %s :since")[1] == [(":since", "o'hara ? %s :since", "it's ?")]


def test_a_parameter_is_used_as_often_as_it_stands(database: Database):
    sql = "SELECT CASE WHEN :a = :a AND :b <> :a THEN :b ELSE :a END AS chosen"
    text = TEXT_TYPE[database.way.database]
    for name in "ab":
        sql = sql.replace(f":{name}", f"CAST(:{name} AS {text})")
    assert database.query(sql, a="x", b="ü%y") == (["chosen"], [("ü%y",)])


def test_statements_end_with_a_semicolon_or_without(database: Database):
    assert database.query("SELECT 1 AS n;\n-- done\n")[1] == [(1,)]


def test_nothing_found_has_columns(database: Database):
    fill(database)
    assert database.query("SELECT agreement, kind FROM sent_numbers WHERE 1 = 2") == (["agreement", "kind"], [])


def test_numbers_and_nothing_come_back_whole(database: Database):
    fill(database)
    sql = "SELECT control_number, NULL AS unknown_yet FROM sent_numbers WHERE control_number > 4000000000"
    assert [(int(number), other) for number, other in database.query(sql)[1]] == [
        (5_000_000_011, None),
        (5_000_000_012, None),
    ]


def test_columns_and_agreements_in_another_case(database: Database):
    fill(database)
    sql = re.sub(
        r" AS (highest|latest|used|last_used)", lambda name: f' AS "{name[1].upper()}"', database.documented.numbers
    )
    sql = sql.replace("\nSELECT agreement, kind,", '\nSELECT UPPER(agreement) AS "Agreement", UPPER(kind) AS "KIND",')

    report = database.tracking(control_number_query=sql).control_numbers_since(SINCE)

    assert report.problem is None
    assert report.use_of("ContosoRetail", "interchange").used == 7
    assert [use.agreement for use in report.ever] == ["100% FABRIKAM", "CONTOSORETAIL", "NORTHWINDEDI", "WINGTIP"]


def fill(database: Database) -> None:
    """Both tables, with numbers as numbers."""
    (column, *_), *_ = MOMENTS[database.way.database].values()
    database.run(*statements(column, COUNTS["bigint"]))
