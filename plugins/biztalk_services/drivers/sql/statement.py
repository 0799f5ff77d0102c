"""A query as a user writes it: its rules, and its translation for a driver. Text only; no database is asked.

Tokens: sqlparse's lexer. Styles of parameters: PEP 249, ``paramstyle``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from unicodedata import name as character_name

from biztalk_services.drivers.sql.errors import QueryRefusedError

Kind = Literal["parameter", "foreign", "word", "quoted", "comment", "unclosed", "other"]

ONE_SELECT = "It has to be one SELECT, which may begin with WITH"
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "UPSERT"})
_JOINS_SELECTS = frozenset({"UNION", "ALL", "EXCEPT", "INTERSECT", "MINUS", "DISTINCT"})
_MARKS = {"qmark": "?", "numeric": ":{position}", "named": ":{name}", "format": "%s", "pyformat": "%({name})s"}
_PYFORMAT = re.compile(r"%\([^()]+\)[diouxXeEfFgGcrs%]")
"""What drivers of the style pyformat look for; those of SQL Server and MySQL, in texts and comments too."""
_OF_DOCUMENTS = re.compile("[\u00a0\u00ab\u00ad\u00b4\u00bb\u2000-\u200f\u2018-\u201f\u2028-\u202f\u2060\u3000\ufeff]")
"""Blanks, marks of no width and quotation marks of text that is copied from a document; no SQL outside of texts."""


class Token(NamedTuple):
    """A piece of the text.

    :param kind: ``parameter`` (``:name``), ``foreign`` (a parameter of another style), ``quoted`` (a text or a name),
        ``unclosed`` (the quotation mark of one that does not end), ...
    """

    kind: Kind
    value: str

    @property
    def name(self) -> str:
        """Of a parameter; SQL's names know no case."""
        return self.value[1:].lower()

    @property
    def counts(self) -> bool:
        return self.kind != "comment" and not self.value.isspace()


_BLANK = Token("other", " ")


def problem_of(sql: str, *, offered: Collection[str], required: Collection[str] = ()) -> str | None:
    """The first rule of a query that the text breaks and the remedy, None where it keeps them all.

    :param offered: names of the parameters that the query may use, in lower case.
    :param required: those of them that it has to use.
    """
    tokens = list(tokens_of(sql))
    return (
        _ambiguous(tokens)
        or _not_one_select(tokens)
        or _foreign_parameter(tokens, offered)
        or _wrong_parameters(tokens, offered, required)
    )


def translate(sql: str, parameters: Mapping[str, str], paramstyle: str, doubles_percent: bool) -> tuple[str, Any]:
    """Text and parameters as a driver takes them; the parameters are None where the text names none.

    Comments are left out, since drivers look for parameters in them; those that the database reads (``/*+``, ``/*!``)
    stay.

    :param sql: one that :func:`problem_of` finds right.
    :param parameters: by name, in lower case; what the text does not name is left out.
    :param paramstyle: of the driver, as PEP 249 names it.
    :param doubles_percent: whether the driver reads ``%%`` as ``%`` once parameters are given.
    :raises QueryRefusedError: the text names a parameter that is not offered, or the driver's style is unknown.
    """
    tokens = [_BLANK if _only_a_comment(token) else token for token in _statement(list(tokens_of(sql)))]
    names = [token.name for token in tokens if token.kind == "parameter"]
    if problem := _wrong_parameters(tokens, parameters, ()):
        raise QueryRefusedError(problem)
    if paramstyle not in _MARKS:
        raise QueryRefusedError(f"The database's driver has the style {paramstyle} for parameters, which is none.")
    if not names:
        return "".join(token.value for token in tokens), None
    parts, position = [], 0
    for token in tokens:
        if token.kind == "parameter":
            position += 1
            parts.append(_MARKS[paramstyle].format(name=token.name, position=position))
        else:
            parts.append(token.value.replace("%", "%%") if doubles_percent else token.value)
    if paramstyle in ("named", "pyformat"):
        return "".join(parts), {name: parameters[name] for name in names}
    return "".join(parts), tuple(parameters[name] for name in names)


def tokens_of(sql: str) -> Iterator[Token]:
    """The pieces of a text; joined they are the text."""
    from sqlparse import tokens as t
    from sqlparse.lexer import tokenize

    pairs: list[tuple[Any, str]] = list(tokenize(sql))  # type: ignore[no-untyped-call]
    for (kind, value), (_, following) in pairwise([*pairs, (None, "")]):
        if kind in t.Name.Placeholder:
            if value.startswith(":") and not value[1:].isdigit():
                yield Token("parameter", value)
            else:  # price%size is a remainder
                yield Token("other" if value == "%s" and following[:1].isalnum() else "foreign", value)
        elif kind in t.Comment:
            yield Token("comment", value)
        elif kind in t.Error and value in ("'", '"', "`"):
            yield Token("unclosed", value)
        elif value[:1] in ("'", '"', "`", "[", "$") and len(value) > 1:
            yield Token("quoted", value)
        else:
            yield Token("word" if kind in t.Keyword or kind in t.Name else "other", value)


def _only_a_comment(token: Token) -> bool:
    return token.kind == "comment" and not token.value.startswith(("/*+", "/*!"))


def _statement(tokens: list[Token]) -> list[Token]:
    """Without the semicolon at the end and what stands behind it."""
    end = len(tokens)
    for number in range(len(tokens) - 1, -1, -1):
        if tokens[number].value == ";":
            end = number
        elif tokens[number].counts:
            break
    return tokens[:end]


def _ambiguous(tokens: list[Token]) -> str | None:
    for (_, before), (kind, value) in pairwise([_BLANK, *tokens]):
        if kind not in ("quoted", "comment") and (found := _OF_DOCUMENTS.search(value)):
            return (
                f"The query has the character U+{ord(found[0]):04X} ({character_name(found[0], 'unnamed')}), as text "
                "that is copied from a document has it. Take it out, or type a plain blank or quotation mark in its "
                "place."
            )
        if kind == "unclosed":
            return f"The query has a quotation mark {value} that nothing closes. Close it."
        if kind == "quoted" and ("\\'" in value or '\\"' in value):
            return (
                "The query has a backslash before a quotation mark in a text, where databases do not agree on the end "
                "of the text. Write a quotation mark twice where the text has one, and end no text with a backslash."
            )
        if kind == "comment" and value.startswith("#"):
            return (
                "The query has a #, which begins a comment in one database and is an operator in others. Begin a "
                "comment with --, and write the operator as a function."
            )
        if kind == "comment" and _is_arithmetic_in_mysql(before, value):
            return (
                "The query has -- without a blank before and behind it, which begins a comment in most databases and "
                "subtracts a negative number in MySQL and MariaDB. Write a blank behind -- or, to subtract, between."
            )
        if kind == "comment" and value.startswith("/*") and "/*" in value[2:]:
            return "The query has /* in a comment, where databases do not agree on the comment's end. Take it out."
    return None


def _is_arithmetic_in_mysql(before: str, comment: str) -> bool:
    behind_a_value = before[-1:].isalnum() or before[-1:] in (")", "]", "_", "'", '"', "`")
    return behind_a_value and comment.startswith("--") and not comment[2:3].isspace() and len(comment) > 2


def _not_one_select(tokens: list[Token]) -> str | None:
    said = [token for token in _statement(tokens) if token.counts]
    if not said:
        return f"The query is empty. {ONE_SELECT}."
    if any(token.value == ";" for token in said):
        return f"The query has several statements. {ONE_SELECT}; leave the others out."
    first = next((token.value.upper() for token in said if token.value != "("), "(")
    if first not in ("SELECT", "WITH"):
        return f"The query begins with {first[:40]}. {ONE_SELECT}."
    depth, selects, before = 0, 0, ""
    for (kind, value), (_, following) in pairwise([*said, Token("other", "")]):
        word = value.upper() if kind == "word" and before != "." else value
        if kind == "word" and ((word in _CHANGES and following != "(") or word == "INTO"):
            return f"The query says {word}, and may only read. {ONE_SELECT}."
        if kind == "word" and word == "SELECT" and depth == 0:
            selects += 1
            if selects > 1 and before not in _JOINS_SELECTS:
                return f"The query has several SELECTs that no UNION joins. {ONE_SELECT}; leave the others out."
        depth += {"(": 1, ")": -1}.get(value, 0)
        before = word.split()[-1]
    if not any(token.kind == "word" and token.value.upper() == "SELECT" for token in said):
        return f"The query has no SELECT. {ONE_SELECT}."
    return None


def _foreign_parameter(tokens: list[Token], offered: Collection[str]) -> str | None:
    example = f":{next(iter(offered), 'name')}"
    for kind, value in tokens:
        if kind == "foreign" or (kind == "word" and value.startswith("@") and value[1:].lower() in offered):
            return (
                f"The query has {value}, which is a parameter in the style of one driver. A parameter is written as "
                f"{example} whatever the database; where an operator is meant, write the function that does the same."
            )
    if found := _PYFORMAT.search("".join(token.value for token in tokens if token.kind != "parameter")):
        return (
            f"The query has {found[0]}, which some drivers take for a parameter even in a text or a comment. A "
            f"parameter is written as {example}; where a remainder is meant, write a blank behind the %."
        )
    return None


def _wrong_parameters(tokens: list[Token], offered: Collection[str], required: Collection[str]) -> str | None:
    names = [token.name for token in tokens if token.kind == "parameter"]
    if unknown := [name for name in names if name not in offered]:
        known = ", ".join(f":{name}" for name in offered) or "none"
        return (
            f"The query names the parameter :{unknown[0]}, and there is {known}. Correct the name; a text stands in "
            "quotation marks, a cast is written CAST(x AS type), and a slice has a blank behind its colon."
        )
    if missing := [name for name in required if name not in names]:
        return (
            f"The query does not name :{missing[0]}, without which its answer cannot be right. Compare with it, "
            f"outside of comments and with no quotation marks around it."
        )
    return None
