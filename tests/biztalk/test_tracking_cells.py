"""Text, numbers and times as the drivers of databases give them, and what is refused with a remedy."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from biztalk_services.drivers.biztalk.tracking import cells
from hypothesis import given
from hypothesis import strategies as st

NIGHT = datetime(2026, 11, 25, 2, tzinfo=UTC)
CENTRAL_EUROPE = ZoneInfo("Europe/Berlin")

NUMBERS: dict[str, Any] = {
    "int": 1318,
    "whole float": 1318.0,
    "whole decimal": Decimal("1318.000"),
    "decimal with an exponent": Decimal("1.318E3"),
    "digits": "1318",
    "isa13, nine characters": "000001318",
    "fourteen characters": "00000000001318",
    "blanks around": "  1318\t",
    "decimal as text": "1318.00",
    "bytes of digits": b"000001318",
    "bytearray of digits": bytearray(b"1318"),
}


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_every_driver(value):
    assert cells.whole(value, "highest") == 1318
    assert cells.number(value, "highest") == 1318


@given(st.integers(0, 10**15), st.integers(0, 20))
def test_a_number_with_any_zeros_before_it(number, zeros):
    assert cells.whole("0" * zeros + str(number), "highest") == number


NO_NUMBERS: dict[str, tuple[Any, str]] = {
    "bool": (True, "not a number"),
    "negative": (-1, "not a whole number"),
    "negative text": ("-1", "return the number alone"),
    "half": (1.5, "not a whole number"),
    "half as text": ("1.5", "return the number alone"),
    "half a decimal": (Decimal("1.5"), "not a whole number"),
    "not a number": (float("nan"), "not a whole number"),
    "infinite": (float("inf"), "not a whole number"),
    "decimal not a number": (Decimal("NaN"), "not a whole number"),
    "infinite decimal": (Decimal("Infinity"), "not a whole number"),
    "float that has lost digits": (float(2**53), "cast it to bigint"),
    "float that may be of four bytes": (1_234_570.0, "only six digits are certain"),
    "prefix": ("EDI000001318", "without sign, prefix and suffix"),
    "suffix": ("1318-A", "without sign, prefix and suffix"),
    "digits of another script": ("१३१८", "return the number alone"),
    "thousands": ("1,318", "return the number alone"),
    "words": ("many", "not a number"),
    "binary number": (b"\x00\x00\x05\x26", "is binary; cast it to bigint"),
    "memoryview": (memoryview(b"1318"), "not a number"),
    "uuid": (UUID(int=1318), "not a number"),
    "time": (NIGHT, "not a number"),
    "too long": ("9" * 19, "return the number alone"),
    "longer than Python reads": ("9" * 5000, "return the number alone"),
    "too great": (10**18, "not a whole number"),
}


@pytest.mark.parametrize(("value", "said"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_with_its_column(value, said):
    with pytest.raises(ValueError, match=said) as caught:
        cells.whole(value, "highest")
    assert str(caught.value).startswith("highest is ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [None, "", "  ", b""], ids=repr)
def test_nothing_is_no_number_and_may_be_left_out(value):
    assert cells.number(value, "highest") is None
    assert cells.moment(value, "last_used") is None
    with pytest.raises(ValueError, match="used is empty"):
        cells.whole(value, "used")


@pytest.mark.parametrize(
    ("value", "unpadded"),
    [
        ("9", True),
        ("9999", True),
        ("99999999", True),
        (b"9999", True),
        (" 9999", True),
        ("9999.0", False),
        ("000009999", False),
        ("123456789", False),
        ("0", False),
        (9999, False),
        (Decimal(9999), False),
        (None, False),
        ("", False),
    ],
    ids=repr,
)
def test_the_greatest_of_texts_that_are_not_filled_up(value, unpadded):
    assert cells.is_unpadded_text(value, "highest") is unpadded


@given(st.lists(st.integers(1, 999_999_999), min_size=1), st.sampled_from([0, 9, 14]))
def test_a_greatest_text_that_is_taken_is_the_greatest_number(numbers, width):
    greatest = max(str(number).rjust(width, "0") for number in numbers)
    if not cells.is_unpadded_text(greatest, "highest"):
        assert int(greatest) == max(numbers)


TIMES: dict[str, Any] = {
    "naive": datetime(2026, 11, 25, 2),
    "aware": NIGHT,
    "offset": NIGHT.astimezone(timezone(timedelta(hours=-7))),
    "zone": NIGHT.astimezone(CENTRAL_EUROPE),
    "T and Z": "2026-11-25T02:00:00Z",
    "as since": "2026-11-25T02:00:00.000000Z",
    "blank and no zone": "2026-11-25 02:00:00",
    "minutes only": "2026-11-25 02:00",
    "offset with colon": "2026-11-25T04:00:00+02:00",
    "offset of hours": "2026-11-25 04:00:00+02",
    "offset without colon": "2026-11-25T02:00:00.0+0000",
    "datetimeoffset of SQL Server": "2026-11-25 03:30:00.0000000 +01:30",
    "datetime2 of SQL Server": "2026-11-25 02:00:00.0000000",
    "nanoseconds": "2026-11-25T02:00:00.000000999Z",
    "comma": "2026-11-25T02:00:00,0Z",
    "UTC in words": "2026-11-25 02:00:00 UTC",
    "lower case": "2026-11-25t02:00:00z",
    "blanks around": " 2026-11-25T02:00:00Z ",
    "bytes": b"2026-11-25 02:00:00",
}


@pytest.mark.parametrize("value", TIMES.values(), ids=TIMES)
def test_times_of_every_driver(value):
    read = cells.moment(value, "last_used")
    assert read == NIGHT
    assert type(read) is datetime
    assert read.tzinfo is UTC


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_fraction_of_a_second_of_any_length(digits):
    read = cells.moment(f"2026-11-25 02:00:00.{'123456789'[:digits]} +00:00", "last_used")
    assert read == NIGHT + timedelta(microseconds=int("123456789"[: min(digits, 6)].ljust(6, "0")))


@pytest.mark.parametrize("value", [date(2026, 11, 25), "2026-11-25", datetime(2026, 11, 25)], ids=repr)
def test_a_date_says_no_more_than_the_day(value):
    assert cells.moment(value, "last_used") == datetime(2026, 11, 25, tzinfo=UTC)


def test_two_moments_of_the_hour_that_comes_twice_differ():
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=CENTRAL_EUROPE) for fold in (0, 1))
    assert first == second, "Python compares them by the clock on the wall"
    assert cells.moment(second, "oldest") - cells.moment(first, "oldest") == timedelta(hours=1)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_text_and_value_of_a_time_say_the_same(moment, minutes):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert cells.moment(aware.isoformat(), "oldest") == cells.moment(aware, "oldest") == aware
    assert cells.moment(aware.isoformat(" "), "oldest") == aware


NO_TIMES: dict[str, Any] = {
    "word": "yesterday",
    "SQL Server's default style": "Nov 25 2026  2:00AM",
    "day first": "25.11.2026 02:00",
    "American": "11/25/2026 02:00",
    "no such day": "2026-02-30T00:00:00Z",
    "zero of MySQL": "0000-00-00 00:00:00",
    "zone as name": "2026-11-25 02:00:00 Europe/Berlin",
    "compact": "20261125",
    "seconds since 1970": 1767225600,
    "time of day": time(2),
    "span": timedelta(hours=2),
    "bool": True,
    "rowversion": b"\x00\x00\x00\x00\x00\x00\x07\xd1",
    "uuid": UUID(int=5),
    "beyond the calendar": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
}


@pytest.mark.parametrize("value", NO_TIMES.values(), ids=NO_TIMES)
def test_what_is_no_time_is_refused_with_its_column(value):
    with pytest.raises(ValueError, match=r"^last_used is .*(UTC|ISO 8601)"):
        cells.moment(value, "last_used")


def test_names_are_text():
    assert cells.text("  Fabrikam X12 send ", "agreement") == "Fabrikam X12 send"
    for value in (None, "", "   "):
        with pytest.raises(ValueError, match="agreement is empty"):
            cells.text(value, "agreement")
    for value in (b"Fabrikam", 17, UUID(int=17), memoryview(b"Fabrikam")):
        with pytest.raises(ValueError, match="return the name as text"):
            cells.text(value, "agreement")


def test_a_name_without_an_encoding_says_where_it_is_set():
    """As psycopg gives the texts of a database in SQL_ASCII."""
    with pytest.raises(ValueError, match=re.escape('{"client_encoding": "latin1"}')):
        cells.text("Müller".encode("latin1"), "agreement")


def test_a_batch_may_have_any_id():
    assert cells.label(17, "batch") == "17"
    assert cells.label(UUID(int=17), "batch") == str(UUID(int=17))
    assert cells.label(" hourly", "batch") == "hourly"
    with pytest.raises(ValueError, match="batch is binary"):
        cells.label(b"hourly", "batch")
