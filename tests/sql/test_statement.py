"""The text of a query: its rules, and what each driver gets."""

from __future__ import annotations

import re
import sqlite3

import pytest
from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.drivers.sql.statement import problem_of, tokens_of, translate
from hypothesis import example, given
from hypothesis import strategies as st

VALUES = {"since": "2026-11-25T02:00:00.000000Z", "service": "o'x"}

TEXTS = {
    "text": "':since'",
    "text with a doubled mark": "'it''s :since'",
    "national text": "N':since'",
    "escape text": "E':since'",
    "quoted name": '":since"',
    "name in backticks": "`a:since`",
    "name in brackets": "[a :since]",
    "dollar text": "$$ ':since $$",
    "tagged dollar text": "$t$ it's :since $$ $t$",
    "cast": "a::since",
    "assignment": "@a := 1",
    "slice": "a[1:2]",
    "slice to a column": "a[1: since]",
    "slice of columns": "a[b:since]",
    "zone": "b AT TIME ZONE 'a:since'",
    "time": "'12:30:15'",
}
"""What stays as it is: name -> part of a query."""

STYLES = {
    "qmark": ("?", "?", (VALUES["since"], VALUES["service"], VALUES["since"])),
    "numeric": (":1", ":2", (VALUES["since"], VALUES["service"], VALUES["since"])),
    "named": (":since", ":service", VALUES),
    "format": ("%s", "%s", (VALUES["since"], VALUES["service"], VALUES["since"])),
    "pyformat": ("%(since)s", "%(service)s", VALUES),
}


@pytest.mark.parametrize("style", STYLES)
def test_parameters_are_written_as_the_driver_takes_them(style):
    since, service, values = STYLES[style]
    sql = "SELECT a FROM t WHERE at > :since AND s = :service AND b > CAST(:Since AS date);"
    third = ":3" if style == "numeric" else since
    expected = f"SELECT a FROM t WHERE at > {since} AND s = {service} AND b > CAST({third} AS date)"
    assert translate(sql, VALUES, style, doubles_percent=True) == (expected, values)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("text", TEXTS)
def test_what_only_looks_like_a_parameter_stays(style, text):
    sql = f"SELECT {TEXTS[text]}, b FROM t"
    assert problem_of(sql, offered=VALUES) is None
    assert translate(sql, VALUES, style, doubles_percent=True) == (sql, None)
    beside = f"SELECT {TEXTS[text]}, :service FROM t"
    sent, _ = translate(beside, VALUES, style, doubles_percent=False)
    assert sent == beside.replace(":service", STYLES[style][1].replace("2", "1"))


@pytest.mark.parametrize(
    ("style", "doubles", "sent"),
    [
        ("pyformat", True, "SELECT 'a%%', 7 %% 4, %(since)s"),
        ("pyformat", False, "SELECT 'a%', 7 % 4, %(since)s"),
        ("format", True, "SELECT 'a%%', 7 %% 4, %s"),
        ("qmark", False, "SELECT 'a%', 7 % 4, ?"),
    ],
)
def test_a_percent_sign_stays_one_for_the_database(style, doubles, sent):
    assert translate("SELECT 'a%', 7 % 4, :since", VALUES, style, doubles)[0] == sent
    untouched = "SELECT 'a%', 7 % 4"
    assert translate(untouched, VALUES, style, doubles) == (untouched, None)


def test_comments_are_left_out_because_drivers_read_them():
    sql = "SELECT 1 -- 100% of :since? it's\n, /* %s ? ' */ :since /*+ hint */ -- end"
    assert translate(sql, VALUES, "qmark", False) == ("SELECT 1  ,   ? /*+ hint */  ", (VALUES["since"],))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  select a from t ; -- done",
        "-- first\nWITH a AS (SELECT 1) SELECT * FROM a",
        "WITH RECURSIVE a AS (SELECT 1 UNION SELECT 2) SELECT * FROM a",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT DISTINCT 4",
        "SELECT TOP (5) REPLACE(a, 'x', 'y'), INSERT('abc', 1, 2, 'x') FROM [dbo].[t]",
        "SELECT t.update, \"delete\", 'insert into' FROM t",
        "SELECT 1 FROM #temporary",
        "SELECT price%size, 7 % 4 FROM t",
        "SELECT a FROM t WHERE b IN (SELECT c FROM u WHERE at >= :since)",
        "SELECT {ts '2026-01-01 00:00:00'}",
        "SELECT :since::timestamptz",
        "SELECT 'a\u00a0\u2018b\u2019', \"\u00b4\" FROM t -- \u00a0\ufeff",
        "SELECT 5 --3\n, 5-- 3\n, 5 - -3",
    ],
)
def test_one_select_is_right(sql):
    assert problem_of(sql, offered=VALUES) is None


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("", "is empty"),
        (" -- SELECT 1", "is empty"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SET search_path TO x; SELECT 1", "several statements"),
        ("SELECT 1 SELECT 2", "several SELECTs that no UNION joins"),
        ("SET NOCOUNT ON SELECT 1", "begins with SET"),
        ("EXEC report", "begins with EXEC"),
        ("DELETE FROM t", "begins with DELETE"),
        ("WITH a AS (SELECT 1) DELETE FROM t", "says DELETE, and may only read"),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "says DELETE, and may only read"),
        ("SELECT a INTO u FROM t", "says INTO, and may only read"),
        ("SELECT a FROM t FOR UPDATE", "says UPDATE, and may only read"),
        ("SELECT %(since)s", r"has %\(since\)s, .* written as :since"),
        ("SELECT %s", "has %s, .* written as :since"),
        ("SELECT ?", r"has \?, .* written as :since"),
        ("SELECT a ? 'b'", "where an operator is meant"),
        ("SELECT :1", "has :1, .* written as :since"),
        ("SELECT $1", r"has \$1, .* written as :since"),
        ("SELECT @since", "has @since, .* written as :since"),
        ("SELECT '%(since)s'", r"has %\(since\)s, .* even in a text"),
        ("SELECT 7 %(4)%2", r"has %\(4\)%, .* a blank behind the %"),
        ("SELECT :sinse", "names the parameter :sinse, and there is :since, :service"),
        ("SELECT 'open", "a quotation mark ' that nothing closes"),
        ('SELECT "open', 'a quotation mark " that nothing closes'),
        ("SELECT `open", "a quotation mark ` that nothing closes"),
        (r"SELECT 'a\' , :since, '", "a backslash before a quotation mark"),
        (r"SELECT 'it\'s'", "a backslash before a quotation mark"),
        ("SELECT a # :since", "has a #"),
        ("\ufeffSELECT 1", r"the character U\+FEFF \(ZERO WIDTH NO-BREAK SPACE\)"),
        ("SELECT\u00a01", r"the character U\+00A0 \(NO-BREAK SPACE\)"),
        ("SELECT \u2018a\u2019", r"U\+2018 \(LEFT SINGLE QUOTATION MARK\), .* quotation mark in its place"),
        ("SELECT 1 WHERE a >= 5--3\n AND b", "subtracts a negative number in MySQL"),
        ("SELECT 1 /* a /* b */ , :since */", r"has /\* in a comment"),
    ],
)
def test_what_breaks_a_rule_is_told_with_the_remedy(sql, sentence):
    problem = problem_of(sql, offered=VALUES)
    assert problem is not None
    assert re.search(sentence, problem), problem
    assert problem.startswith("The query ")
    assert problem.endswith(".")


def test_a_required_parameter_has_to_be_named_where_it_counts():
    for sql in ("SELECT 1", "SELECT ':since'", "SELECT 1 -- :since", 'SELECT ":since"'):
        problem = problem_of(sql, offered=VALUES, required=["since"])
        assert problem is not None, sql
        assert "does not name :since" in problem
    assert problem_of("SELECT :SINCE", offered=VALUES, required=["since"]) is None


def test_a_parameter_that_is_not_offered_is_not_translated():
    with pytest.raises(QueryRefusedError, match="names the parameter :service, and there is :since"):
        translate("SELECT :service", {"since": "x"}, "qmark", False)
    with pytest.raises(QueryRefusedError, match="the style positional"):
        translate("SELECT 1", {}, "positional", False)


@given(st.text(alphabet="SELECT :since'\"`[]$-/*#;%?()@ \n\\abn1"))
@example("SELECT 'a''b' -- c\n;")
def test_no_text_is_lost_or_fails(sql):
    assert "".join(token.value for token in tokens_of(sql)) == re.sub(r"\r\n?", "\n", sql)
    problem = problem_of(sql, offered=VALUES)
    if problem is None:
        assert translate(sql, VALUES, "qmark", False)


_PARTS = st.sampled_from(
    [
        "'a%'",
        "':since'",
        "'it''s ?'",
        '":since"',
        ":since",
        ":service",
        "7 % 4",
        "'%s'",
        "-- :since ?\n 1",
        "/* '? */ 2",
    ]
)


@given(st.lists(_PARTS, min_size=1, max_size=8))
def test_sqlite_understands_the_translation_as_the_query(parts):
    """SQLite knows named parameters itself, so that both ways have to say the same."""
    sql = "SELECT " + ", ".join(parts)
    sent, values = translate(sql, VALUES, "qmark", False)
    with sqlite3.connect(":memory:") as database:
        expected = database.execute(sql, VALUES).fetchall()
        assert database.execute(sent, values or ()).fetchall() == expected
