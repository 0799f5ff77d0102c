"""Connection strings are read and written as ADO.NET does, and no part of a password is ever shown."""

from __future__ import annotations

import pytest
from biztalk_services.model.connection_strings import join, pairs, parse
from biztalk_services.model.redaction import HIDDEN, looks_secret, redact, secrets_of
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abcXYZ =.'\"", min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text[0] not in "'\""
)
VALUES = st.text(
    st.sampled_from("ab; ='\"\t\n\\&<#x1f\u00e9") | st.characters(exclude_characters="\0", codec="utf-8"), max_size=12
)
PASSWORDS = st.lists(
    st.sampled_from(
        ["Database=geheim", "canary", ";", '"', "'", "=", " ", "&", "\\", "Data Source=", "<", "\n", "Pwd="]
    ),
    min_size=1,
    max_size=8,
).map(lambda parts: "".join([*parts, "canary"]))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", {}),
        (" ;; ", {}),
        (
            "Data Source = sql.example ;;Initial Catalog=Tracking DB;",
            {"data source": "sql.example", "initial catalog": "Tracking DB"},
        ),
        (
            "AccountName=a;AccountKey=ab==;EndpointSuffix=x",
            {"accountname": "a", "accountkey": "ab==", "endpointsuffix": "x"},
        ),
        ('Password="ab;Database=geheim;c"', {"password": "ab;Database=geheim;c"}),
        ("Password='ab;Database=geheim;c';x=1", {"password": "ab;Database=geheim;c", "x": "1"}),
        ('Password="a""b\'c"', {"password": "a\"b'c"}),
        ("Pwd='it''s' ; x = \"\" ", {"pwd": "it's", "x": ""}),
        ("x= ' a ' ;y=a\"b", {"x": " a ", "y": 'a"b'}),
        ("a==b=c", {"a=b": "c"}),
        ("a===b", {"a=": "b"}),
        ("x=;y=1", {"x": "", "y": "1"}),
        ("x=1;X=2", {"x": "2"}),
        ('"AccountName=a;AccountKey=ab=="', {"accountname": "a", "accountkey": "ab=="}),
        (" 'Data Source=a;Password=\"b;c\"' ", {"data source": "a", "password": "b;c"}),
    ],
)
def test_is_read_as_ado_net_reads_it(text, parts):
    assert parse(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "geheim",
        "=geheim",
        "x=1;geheim",
        "geheim;x=1",
        'x="geheim',
        "x='geheim;y=1",
        'x="a"geheim',
        'x=geheim"',
        "x=\1geheim",
    ],
)
def test_a_malformed_one_is_a_sentence_without_it(text):
    with pytest.raises(ValueError, match=r"The connection string cannot be read: its part \d has") as error:
        pairs(text)
    assert "geheim" not in str(error.value)
    assert "geheim" not in "".join(redact(secret, secrets_of(text)) for secret in secrets_of(text))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("ab==", "ab=="),
        ("=ab", '"=ab"'),
        ("a b", '"a b"'),
        ("a;b", '"a;b"'),
        ('a"b', "'a\"b'"),
        ("it's", '"it\'s"'),
        ("a\"b'c", '"a""b\'c"'),
        ("", ""),
    ],
)
def test_quotes_are_written_where_they_are_needed(value, written):
    assert join({"x": value}) == f"x={written}"


@pytest.mark.parametrize("parts", [{"": "a"}, {" x": "a"}, {"x;y": "a"}, {"x": "a\0b"}])
def test_what_none_can_hold_is_refused(parts):
    with pytest.raises(ValueError, match="A connection string cannot hold"):
        join(parts)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_was_written_is_read_back(parts):
    assert pairs(join(parts)) == list(parts.items())


@pytest.mark.parametrize("quote", ["as needed", '"', "'"])
@given(password=PASSWORDS, later=st.booleans())
def test_no_part_of_a_password_is_shown(quote, password, later):
    written = join({"Password": password})
    if quote in ("'", '"'):
        written = f"Password={quote}{password.replace(quote, quote * 2)}{quote}"
    text = f"Server=a;{written};Encrypt=True" if later else f"{written};Server=a"
    for shown in (redact(text), redact(f"Login failed for {text}"), redact(password, secrets_of(text))):
        assert "geheim" not in shown
        assert "canary" not in shown
        assert redact(shown) == shown
        assert not looks_secret(shown)


@pytest.mark.parametrize(
    "text",
    [
        "Server=a;Password=two words canary;Encrypt=True",
        "Server=a;Password=two words canary",
        'Server=a;Password=a"canary',
        "Password=two canary;Server=a",
        "Password=a&canary",
        'the text "Server=a;Pwd=a<canary" of a setting',
        "<Password>a;b canary</Password>",
        "Password=&quot;ab;Database=canary;c&quot;;x=1",
        'Password="ab;Database=canary',
        '{"Password": "a\\"canary"}',
        "Driver={x};PWD={a;canary};UID=u",
        "Driver={x};PWD={a}};canary};UID=u",
        "UID=u;PWD={a;canary",
    ],
)
def test_free_text_shows_no_password(text):
    assert "canary" not in redact(text)
    assert HIDDEN in redact(text)
