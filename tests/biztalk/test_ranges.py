"""The range of an agreement's settings: what it gives out next, and how it is read."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, Range, property_name, range_from_settings

SETTINGS = {
    "Id": 7,
    "GroupControlNumberLowerBound": 1,
    "GroupControlNumberUpperBound": "999999999",
    "GroupControlNumberPrefix": None,
    "GroupControlNumberSuffix": "A",
    "GroupControlNumberRollover": True,
    "TransactionSetControlNumberLowerBound": 5,
}


def test_the_next_number():
    strict, endless = Range(10, 12), Range(10, 12, rollover=True)
    lasts = (None, 3, 9, 10, 11, 12, 13)
    assert [strict.after(last) for last in lasts] == [10, 10, 10, 11, 12, None, None]
    assert [endless.after(last) for last in lasts] == [10, 10, 10, 11, 12, 10, 10]
    assert strict.size == 3
    assert str(Range(1, 5, "A", "B")) == "A1B to A5B"


def test_it_is_read_from_the_settings():
    assert range_from_settings(SETTINGS, "group") == Range(1, HIGHEST, "", "A", True)
    assert range_from_settings(SETTINGS, "interchange") is None
    assert property_name("transaction_set", "Rollover") == "TransactionSetControlNumberRollover"
    with pytest.raises(ValueError, match="TransactionSetControlNumberUpperBound is 'None', not a number"):
        range_from_settings(SETTINGS, "transaction_set")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("LowerBound", "many"),
        ("LowerBound", True),
        ("LowerBound", 1.5),
        ("UpperBound", "٣"),
        ("Prefix", 5),
        ("Suffix", ["A"]),
        ("Rollover", "true"),
    ],
)
def test_what_is_no_range_is_refused(part, value):
    with pytest.raises(ValueError, match=f"GroupControlNumber{part} is"):
        range_from_settings(SETTINGS | {f"GroupControlNumber{part}": value}, "group")


def test_widths():
    assert Range(1, HIGHEST).problem("X12") is None
    assert "exceeds the 9 characters of X12" in Range(1, HIGHEST, "1").problem("x12")
    assert Range(1, HIGHEST, "12345").problem("EDIFACT") is None
    assert Range(1, HIGHEST, "123456").problem("EDIFACT")
    assert Range(1, HIGHEST, "123456").problem("TRADACOMS") is None
    assert Range(1, 9, "12", "34").highest_upper("X12") == 99_999
    assert Range(1, 9, "x" * 9).highest_upper("X12") == 0
    assert Range(1, 9).highest_upper("EDIFACT") == HIGHEST
