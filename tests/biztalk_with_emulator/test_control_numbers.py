"""The control number query and new bounds against a running emulator, whose own rule gives out the next numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_emulator.business.control_numbers import draw
from biztalk_emulator.business.errors import ControlNumbersExhausted
from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds
from biztalk_services.drivers.biztalk.numbers.ranges import Range
from biztalk_services.drivers.biztalk.tracking.answers import use_report
from biztalk_services.drivers.biztalk.tracking.queries import DEFAULT_CONTROL_NUMBER_QUERY, since_text
from biztalk_services.model.control_numbers import EVER, UseReport
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.numbering import needed
from tests.emulator.driver import EmulatorProcess

SERVICE, AGREEMENT = "contosoorders", "Northwind X12 send"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator"), "--sample-fleet").start()
    yield process
    process.stop()


def used(emulator: EmulatorProcess, since: datetime) -> UseReport:
    (file,) = [file for file in (emulator.home / "tracking").glob("*.db") if SERVICE in file.name.lower()]
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(DEFAULT_CONTROL_NUMBER_QUERY, {"since": since_text(since)})
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    return use_report(columns, rows, source=file.name, since=since, checked_at=datetime.now(UTC))


def send(emulator: EmulatorProcess, messages: int) -> list[dict[str, Any]]:
    order = {"agreement": AGREEMENT, "messages": messages}
    return emulator.admin("POST", f"/services/{SERVICE}/messages", order)["interchanges"]


def test_the_query_sees_every_number_that_was_used(emulator):
    before = used(emulator, EVER)
    assert before.problem is None
    sent = [send(emulator, 1) for _ in range(3)]
    after = used(emulator, EVER)
    assert after.problem is None
    numbers = [int(interchange["control_number"]) for each in sent for interchange in each]
    assert numbers
    use = after.use_of(AGREEMENT, "interchange")
    assert (use.latest, use.highest) == (numbers[-1], max(numbers))
    assert use.used == before.use_of(AGREEMENT, "interchange").used + len(numbers)
    assert used(emulator, use.last_used).use_of(AGREEMENT, "interchange").used == 1
    assert used(emulator, datetime.now(UTC) + timedelta(hours=1)).uses == ()


@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.booleans(),
    st.none() | st.integers(0, 50),
    st.integers(1, 50),
    st.integers(0, 8),
)
def test_the_emulator_gives_no_number_twice(lower, size, rollover, last, count, margin):
    pattern = Range(lower, lower + size - 1, rollover=rollover)
    numbers = give(pattern, last, count)
    if not numbers:
        return
    bounds = needed(pattern, last, numbers, margin)
    if isinstance(bounds, NewBounds):
        again = give(bounds.range, last, max(margin, 1))
        assert len(again) == max(margin, 1)
        assert not set(again) & set(numbers)


def give(pattern: Range, last: int | None, count: int) -> list[int]:
    """What the emulator gives out next, until the range is used up."""
    described = {"LowerBound": pattern.lower, "UpperBound": pattern.upper, "Prefix": "", "Suffix": ""}
    described["Rollover"] = pattern.rollover
    agreement = {"Protocol": "X12", "Name": AGREEMENT, "ControlNumbers": {"interchange": described}}
    generated = [{"Agreement": AGREEMENT, "Kind": "interchange", "Last": last}]
    numbers: list[int] = []
    while len(numbers) < count:
        try:
            numbers.append(draw(generated, agreement, "interchange").value)
        except ControlNumbersExhausted:
            break
    return numbers
