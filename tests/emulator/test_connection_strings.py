"""Connection strings as the emulator reads them, with quotation marks as a SQL client does."""

from __future__ import annotations

import pytest
from biztalk_emulator.connection_strings import (
    ConnectionStringError,
    database_name,
    pairs,
    parse_login,
    parse_storage,
    without_secrets,
)


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ('"ab;Database=other;c"', "ab;Database=other;c"),
        ("'ab;Initial Catalog=other'", "ab;Initial Catalog=other"),
        ('"a""b;\'c"', "a\"b;'c"),
        (" 'it''s'  ", "it's"),
        ('a"b', 'a"b'),
        ("two words", "two words"),
        ("a==", "a=="),
        ('""', ""),
    ],
)
def test_a_password_in_quotes(written, password):
    text = f"Data Source=sql;Initial Catalog=Tracking;User ID=sa;Password={written};Encrypt=True"
    assert parse_login(text).password == password
    assert database_name(text) == "Tracking"
    assert without_secrets(text) == "Data Source=sql;Initial Catalog=Tracking;User ID=sa;Encrypt=True"
    assert pairs(without_secrets(text)) == [pair for pair in pairs(text) if pair[0] != "Password"]


@pytest.mark.parametrize("text", ["x", "x=1;y", "=1", 'x="a', "x='a;y=1", 'x="a"b', 'x="a" b;y=1'])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(ConnectionStringError):
        pairs(text)
    assert without_secrets(text) == ""


def test_equals_signs_in_a_key_are_doubled():
    assert pairs("a==b=c; a===b ;; ") == [("a=b", "c"), ("a=", "b")]


def test_a_storage_account_knows_no_quotation_marks():
    assert parse_storage("AccountName=abc;AccountKey=YWI=").account_key == "YWI="
    with pytest.raises(ConnectionStringError):
        parse_storage('AccountName=abc;AccountKey="YWI="')
