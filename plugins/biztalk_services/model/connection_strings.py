"""Connection strings: ``name=value`` pairs separated by semicolons, with quotes as ADO.NET reads and writes them.

Rules: DbConnectionStringBuilder of ADO.NET. A value may stand in ``"`` or ``'``, and then hold semicolons and, doubled,
its own quotation mark; ``==`` in a name is one ``=``; blanks around names and values do not count; the last pair of a
name counts. The strings of a storage account, which know no quotes, are read the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_CONTROL = r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
"""Control characters that are no blanks; only a value in quotes may hold them, but for NUL."""

_NAME = re.compile(rf"[;\s]*((?:[^=;{_CONTROL}]|==)++)=")
_VALUE = re.compile(
    rf"\s*+(?:\"((?:[^\"\x00]|\"\")*+)\"|'((?:[^'\x00]|'')*+)'|((?![\"'])[^;{_CONTROL}]*+)(?<![\"']))\s*+(?:;|\Z)"
)
_END = re.compile(r"[;\s]*\Z")
_WHOLE = re.compile(r"\A\s*([\"'])(.*)\1\s*\Z", re.DOTALL)
_PLAIN = re.compile(rf"(?!=)[^\"';\s{_CONTROL}]*")
_WRITABLE_NAME = re.compile(rf"(?![;\s])[^;{_CONTROL}]+(?<!\s)")


def pairs(text: str) -> list[tuple[str, str]]:
    """Name, as it is written, and value of each part, in their order. Quotation marks around the whole text, which a
    shell or a settings file may leave there, do not count.

    :raises ValueError: it is no connection string; the message never repeats a part of it.
    """
    text = _WHOLE.sub(r"\2", text)
    found: list[tuple[str, str]] = []
    place = 0
    while not _END.match(text, place):
        name = _NAME.match(text, place)
        if name is None or not name[1].strip():
            raise ValueError(f"{_sentence(found)} has no name before an equals sign.")
        value = _VALUE.match(text, name.end())
        if value is None or (value[3] or "").rstrip().endswith(("'", '"')):
            raise ValueError(
                f"{_sentence(found)} has a quotation mark or a control character in the wrong place. Put the whole "
                "value in quotation marks, and double those in it."
            )
        double, single, plain = value.groups()
        if double is not None:
            content = double.replace('""', '"')
        else:
            content = single.replace("''", "'") if single is not None else plain.strip()
        found.append((name[1].strip().replace("==", "="), content))
        place = value.end()
    return found


def parse(text: str) -> dict[str, str]:
    """Name in lower case -> value; of several of one name the last.

    :raises ValueError: as :func:`pairs`.
    """
    return {name.lower(): value for name, value in pairs(text)}


def join(parts: Mapping[str, str]) -> str:
    """The connection string of these parts. A value is put in quotes where it needs them, as ADO.NET does; one that
    needs them for a ``=`` in it only is not, because a storage account would not understand it.

    :raises ValueError: a name is not one, or a value holds NUL; the message has no value.
    """
    return ";".join(f"{_written_name(name)}={_written(name, value)}" for name, value in parts.items())


def _sentence(found: list[tuple[str, str]]) -> str:
    return f"The connection string cannot be read: its part {len(found) + 1}"


def _written_name(name: str) -> str:
    if not _WRITABLE_NAME.fullmatch(name):
        raise ValueError(
            "A connection string cannot hold a name that is empty, or has a semicolon or blanks at an end."
        )
    return name.replace("=", "==")


def _written(name: str, value: str) -> str:
    if "\0" in value:
        raise ValueError(f"A connection string cannot hold the value of {name}: there is a NUL character in it.")
    if _PLAIN.fullmatch(value):
        return value
    if '"' in value and "'" not in value:
        return f"'{value}'"
    return '"' + value.replace('"', '""') + '"'
