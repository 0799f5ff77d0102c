"""The one change that the data port makes: parts of control number ranges in the protocol settings of an agreement."""

from __future__ import annotations

from typing import Any

from biztalk_emulator import json_text
from biztalk_emulator.business import control_numbers
from biztalk_emulator.business.content import Agreement
from biztalk_emulator.business.errors import ControlNumberRangeInvalid
from biztalk_emulator.data_port.errors import DataError
from biztalk_emulator.data_port.tpm import range_properties
from biztalk_emulator.http_server import Request


def read(request: Request) -> dict[str, Any]:
    """The properties that a MERGE names, without metadata.

    :raises DataError: 415 for another type of body, 400 when it is no JSON object.
    """
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json":
        raise DataError(415, "Only verbose JSON is accepted here; send the header Content-Type: application/json.")
    try:
        document = json_text.read(request.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise DataError(400, "The body must be a JSON object with the properties to change.")
    return {name: value for name, value in document.items() if name != "__metadata"}


def merged(agreement: Agreement, entity_id: int, changes: dict[str, Any]) -> Agreement:
    """The agreement with some properties of its protocol settings changed.

    :raises DataError: 400, naming the rule, for an unknown property, a wrong type or a range that its standard forbids.
    """
    known = range_properties(agreement)
    ranges = {kind: dict(pattern) for kind, pattern in agreement.get("ControlNumbers", {}).items()}
    for name, value in changes.items():
        if name == "Id" and value == entity_id:
            continue
        if name not in known:
            raise DataError(
                400,
                f"The property {name} cannot be changed in these protocol settings; possible are "
                f"{', '.join(known) or 'none'}.",
            )
        kind, part = known[name]
        ranges[kind][part] = _typed(name, part, value)
    for kind, pattern in ranges.items():
        try:
            control_numbers.check_range(agreement["Protocol"], kind, pattern)
        except ControlNumberRangeInvalid as broken:
            raise DataError(400, str(broken)) from None
    return {**agreement, "ControlNumbers": ranges} if ranges else agreement


def _typed(name: str, part: str, value: Any) -> Any:
    if part.endswith("Bound"):
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)  # an Edm.Int64 is text in verbose JSON
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise DataError(400, f"The property {name} is a whole number.")
    if part == "Rollover" and not isinstance(value, bool):
        raise DataError(400, f"The property {name} is true or false.")
    if part in ("Prefix", "Suffix") and not isinstance(value, str):
        raise DataError(400, f"The property {name} is text.")
    return value
