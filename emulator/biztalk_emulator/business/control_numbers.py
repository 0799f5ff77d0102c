"""EDI control numbers: ranges, the next number, how it is written.

Sources: MSDN dn232372 (X12ProtocolSettings) and dn606264 (EDIFACTProtocolSettings) for the four-part pattern lower
bound, upper bound, prefix, suffix, with rollover; the X12 and EDIFACT standards for lengths; BizTalk Server for "reset
to the lower limit when out of bound, else generation fails".
"""

from typing import NamedTuple

from .content import Agreement, ControlNumberRange, GeneratedControlNumber, Kind
from .errors import ControlNumberRangeInvalid, ControlNumbersExhausted

HIGHEST = 999_999_999
_LONGEST_AFFIX = 9
_WIDTH = {"X12": 9, "EDIFACT": 14}
_FIELD = {
    ("X12", "interchange"): "ISA13",
    ("X12", "group"): "GS06",
    ("X12", "transaction_set"): "ST02",
    ("X12", "acknowledgement"): "ISA13 of the 997",
    ("EDIFACT", "interchange"): "UNB 0020",
    ("EDIFACT", "group"): "UNG 0048",
    ("EDIFACT", "transaction_set"): "UNH 0062",
    ("EDIFACT", "acknowledgement"): "UNB 0020 of the CONTRL",
}
_SHORTEST = {("X12", "interchange"): 9, ("X12", "acknowledgement"): 9, ("X12", "transaction_set"): 4}


class ControlNumber(NamedTuple):
    """A number and its text in the interchange, with prefix, padding and suffix."""

    value: int
    text: str


def check_range(protocol: str, kind: Kind, pattern: ControlNumberRange) -> None:
    """Refuse a range that its standard cannot carry.

    :raises ControlNumberRangeInvalid: with the rule that is broken.
    """
    field, width = _FIELD[protocol, kind], _WIDTH[protocol]
    lower, upper = pattern["LowerBound"], pattern["UpperBound"]
    prefix, suffix = pattern["Prefix"], pattern["Suffix"]
    if not 1 <= lower <= upper <= HIGHEST:
        raise ControlNumberRangeInvalid(
            f"The {kind} control number range {lower} to {upper} is not within 1 to {HIGHEST} in rising order."
        )
    if max(len(prefix), len(suffix)) > _LONGEST_AFFIX:
        raise ControlNumberRangeInvalid(
            f"The prefix or suffix of the {kind} control number is longer than {_LONGEST_AFFIX} characters."
        )
    if len(prefix) + len(str(upper)) + len(suffix) > width:
        raise ControlNumberRangeInvalid(
            f"Prefix, number and suffix of the {kind} control number exceed the {width} characters of {field}."
        )
    affixes = prefix + suffix
    numeric = protocol == "X12" and kind != "transaction_set"
    if affixes and not (affixes.isascii() and (affixes.isdigit() if numeric else affixes.isalnum())):
        allowed = "digits" if numeric else "letters and digits"
        raise ControlNumberRangeInvalid(f"{field} takes {allowed} only, so its prefix and suffix must be {allowed}.")


def write(protocol: str, kind: Kind, pattern: ControlNumberRange, value: int) -> str:
    """The text of a number: zero-padded to 9 in ISA13, to at least 4 in ST02, unpadded elsewhere."""
    affixes = len(pattern["Prefix"]) + len(pattern["Suffix"])
    digits = max(_SHORTEST.get((protocol, kind), 1) - affixes, 1)
    return f"{pattern['Prefix']}{value:0{digits}d}{pattern['Suffix']}"


def draw(generated: list[GeneratedControlNumber], agreement: Agreement, kind: Kind) -> ControlNumber:
    """Take the next number of an agreement and record it in ``generated``.

    A number outside its (meanwhile changed) range counts as not yet started below it and as used up above it.

    :raises ControlNumbersExhausted: at the upper bound of a range without rollover; nothing is taken then.
    :raises ControlNumberRangeInvalid: when the range itself is unusable or missing.
    """
    protocol, name = agreement["Protocol"], agreement["Name"]
    pattern = agreement.get("ControlNumbers", {}).get(kind)
    if pattern is None:
        raise ControlNumberRangeInvalid(
            f"Agreement '{name}' has no {kind} control number range; give it one and deploy it again."
        )
    check_range(protocol, kind, pattern)
    entry = next((entry for entry in generated if (entry["Agreement"], entry["Kind"]) == (name, kind)), None)
    last = entry["Last"] if entry else None
    value = pattern["LowerBound"] if last is None or last < pattern["LowerBound"] else last + 1
    if value > pattern["UpperBound"]:
        if not pattern["Rollover"]:
            raise ControlNumbersExhausted(
                f"Agreement '{name}' has used its last {kind} control number ({pattern['UpperBound']}) and its range "
                "does not roll over; nothing was sent. Raise the upper bound or allow the rollover, and send again."
            )
        value = pattern["LowerBound"]
    if entry is None:
        entry = {"Agreement": name, "Kind": kind, "Last": None}
        generated.append(entry)
    entry["Last"] = value
    return ControlNumber(value, write(protocol, kind, pattern, value))
