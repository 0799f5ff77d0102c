"""How old the newest backup of a service may be, by its name."""

from __future__ import annotations

from datetime import timedelta

import pytest
from biztalk_services.flows.expected import ExpectedBackups

HOURS = {"contosoorders": 30, "ordersEU": 12, "archive-7": 168, "test-1": None, "TEST-2": None}


def allowed(text: str, name: str) -> float | None:
    time = ExpectedBackups.parse(text).allowed(name)
    return time and time / timedelta(hours=1)


@pytest.mark.parametrize("name", HOURS)
def test_the_first_pattern_that_fits_counts(name):
    assert allowed("30 orders*=12 archive-*=168 test-*=never *-1=5", name) == HOURS[name]


def test_blanks_commas_and_parts_of_an_hour():
    assert allowed("  30,orders*=1.5 ", "ORDERS") == 1.5
    assert allowed("30.0", "orders") == 30
    assert allowed("never a[bc]?=2", "abd") == 2
    assert allowed("never a[bc]?=2", "add") is None


@pytest.mark.parametrize(
    "text",
    ["", " , ", "0", "-1", "0.5", "1000000000", "soon", "30 orders*", "30 orders* = 12", "30 =12", "30 orders*=",
     "30 orders*=soon", "30 orders*=0", "30;orders*=12", "30 a;b=12", "orders*=12", "30 [=12", "nan", "1e3", "٣"],
)  # fmt: skip
def test_what_is_not_understood_gets_a_sentence(text):
    with pytest.raises(ValueError, match=r"number of hours from 1 to 8784.*pattern=never") as caught:
        ExpectedBackups.parse(text)
    assert str(caught.value).endswith(".")


def test_a_pasted_secret_is_not_shown():
    with pytest.raises(ValueError, match="not shown here") as caught:
        ExpectedBackups.parse("30 AccountKey=c2VjcmV0c2VjcmV0;x=1")
    assert "c2Vj" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "strictest"),
    [
        ("30", ("*", 30)),
        ("never", None),
        ("30 orders*=12 archive-*=168", ("orders*", 12)),
        ("30 archive-*=168", ("*", 30)),
        ("30 *=200 orders*=12", ("*", 200)),
        ("never test-*=24", ("test-*", 24)),
    ],
)
def test_the_strictest_of_those_that_can_count(text, strictest):
    found = ExpectedBackups.parse(text).strictest()
    assert found == (strictest and (strictest[0], timedelta(hours=strictest[1])))
