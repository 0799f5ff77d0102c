"""The description of an option: configuration, provider information and the docs all come from it.

A value that breaks the rule of its option raises nothing: the option has its default, and a :class:`Problem` says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any

from biztalk_services.model.redaction import redact

NIGHTLY = "biztalk_nightly_backup"
BACKUP = "biztalk_backup"
RESTORE = "biztalk_restore"
WATCHDOG = "biztalk_watchdog"
BACKUP_AGE = "biztalk_backup_age"
CHECK = "biztalk_check_connections"
EVERY_DAG = (NIGHTLY, RESTORE, WATCHDOG, BACKUP_AGE, CHECK)
"""The DAGs that options belong to, by their ids. Those of :data:`BACKUP`, whose runs a nightly run starts, are options
of that."""

SECTION = "biztalk_services"
"""Section of Airflow's configuration."""

Rule = Callable[[str], str | None]
"""Says of a text which rule it breaks, in a clause without a full stop; None when it breaks none."""

_LONGEST_SHOWN = 60
_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]{1,30})(\.0*)?")
_TOKEN = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9+/_=-]{20,}")


@dataclass(frozen=True)
class Problem:
    """What is wrong with the value of an option.

    :param option: its name.
    :param dags: ids of the DAGs that the option belongs to.
    :param sentence: names option, value, rule, and what to do; contains no secret.
    """

    option: str
    dags: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def option(
    default: str | int,
    description: str,
    *,
    dags: tuple[str, ...],
    minimum: int | None = None,
    maximum: int | None = None,
    rule: Rule | None = None,
    example: str | None = None,
) -> Any:
    """A field of a dataclass that is an option in the configuration.

    :param dags: the DAGs that it belongs to: a bad value stops these, and no other.
    :param minimum: of a whole number.
    :param maximum: of a whole number.
    :param rule: of a text.
    :param example: another value than the default.
    """
    metadata = {
        "description": description,
        "dags": dags,
        "minimum": minimum,
        "maximum": maximum,
        "rule": rule,
        "example": example,
    }
    return field(default=default, metadata=metadata)


def options_of(kind: type) -> Iterator[Field[Any]]:
    """The fields of a dataclass that are options, in order."""
    return (each for each in fields(kind) if "dags" in each.metadata)


def read_option(each: Field[Any], text: str) -> tuple[Any, Problem | None]:
    """The value that a text sets. Blanks around it do not count, and an empty one is the default.

    :returns: the value, and None; or the default, and what is wrong with the text.
    """
    text = text.strip()
    if not text:
        return each.default, None
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`":
        return each.default, problem(each, text, "it is in quotes, which would be part of the value; leave them out")
    value, broken = _number(each, text) if isinstance(each.default, int) else _text(each, text)
    return (value, None) if broken is None else (each.default, problem(each, text, broken))


def problem(each: Field[Any], text: str, broken: str) -> Problem:
    """What is wrong with the value of an option.

    :param broken: the rule that it breaks, as :data:`Rule` says it.
    """
    default = f" for the default, '{each.default}'" if each.default != "" else ""
    remedy = f"Correct it (AIRFLOW__{SECTION.upper()}__{each.name.upper()}, or section [{SECTION}] of airflow.cfg), or "
    sentence = f"Option {each.name} is {shown(text)}: {broken}. {remedy}leave it empty{default}."
    return Problem(each.name, each.metadata["dags"], sentence)


def shown(text: str, whole: str | None = None) -> str:
    """A value as messages may show it: whatever could be a secret that was pasted there is left out.

    :param whole: the text that it is a part of, which may show that it is a secret.
    """
    for each in (text, whole or text):
        visible = redact(each)
        if "***" in visible or "://" in visible or len(visible) > _LONGEST_SHOWN or _TOKEN.search(visible):
            return f"a text of {len(text)} characters, not shown here"
    return f"'{redact(text)}'"


def matches(pattern: str, what: str) -> Rule:
    """The rule that a text matches a regular expression as a whole.

    :param what: what it has to be, behind *it has to be*.
    """
    compiled = re.compile(pattern)
    return lambda text: None if compiled.fullmatch(text) else f"it has to be {what}"


def each_matches(pattern: str, what: str, *, commas: bool = True) -> Rule:
    """The rule that a text is words, separated by blanks, of which each matches, and none is there twice.

    :param what: what the words are, behind *it has to hold*.
    :param commas: whether they may be separated by commas, too.
    """
    compiled = re.compile(pattern)

    def rule(text: str) -> str | None:
        words = split(text) if commas else text.split()
        odd = [word for word in words if not compiled.fullmatch(word)]
        if odd or not words:
            named = f" ({shown(odd[0], text)} is not)" if odd and len(words) > 1 else ""
            return f"it has to hold {what}, separated by nothing but blanks{' or commas' if commas else ''}{named}"
        twice = [word for word in words if words.count(word) > 1]
        return f"it names {shown(twice[0], text)} twice" if twice else None

    return rule


def split(text: str) -> list[str]:
    """The words of an option that holds several, separated by blanks or commas."""
    return text.replace(",", " ").split()


def _number(each: Field[Any], text: str) -> tuple[Any, str | None]:
    minimum, maximum = each.metadata["minimum"], each.metadata["maximum"]
    found = _WHOLE_NUMBER.fullmatch(text)
    if found and minimum <= int(found[1]) <= maximum:
        return int(found[1]), None
    return None, f"it has to be a whole number from {minimum} to {maximum}"


def _text(each: Field[Any], text: str) -> tuple[Any, str | None]:
    rule: Rule | None = each.metadata["rule"]
    return text, rule(text) if rule else None
