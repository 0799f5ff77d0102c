"""What the rows of the drain query and of the control number query mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from biztalk_services.drivers.biztalk.tracking.answers import (
    DRAIN_COLUMNS,
    NUMBER_COLUMNS,
    drain_status,
    names_of,
    use_report,
)
from biztalk_services.drivers.biztalk.tracking.kinds import kind_of
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.drain import ActiveBatch, DrainStatus

NOW = datetime(2026, 1, 2, 2, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
LAST = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
ROW = ("Fabrikam X12 send", "interchange", 1020, 1020, 20, "2026-01-01T09:30:00.000000Z")
USE = ControlNumberUse("Fabrikam X12 send", "interchange", 1020, 1020, 20, LAST)


def report(*rows: object, columns: tuple[str, ...] = NUMBER_COLUMNS, since: datetime = SINCE) -> UseReport:
    return use_report(columns, rows, source="tracking database", since=since, checked_at=NOW, query="query 1f2e3d4c")


def test_no_row_is_no_use():
    assert report() == UseReport(source="tracking database", query="query 1f2e3d4c", since=SINCE, checked_at=NOW)
    assert report().use_of("Anybody", "group") == ControlNumberUse("Anybody", "group")
    assert report().ever_of("Anybody", "group") is None


def test_a_row_is_use():
    result = report(ROW)
    assert result.uses == (USE,)
    assert result.use_of(" FABRIKAM x12 send", "interchange") == USE
    assert result.use_of("Fabrikam X12 send", "group").used == 0
    assert "20 control numbers were used by 1 agreement from" in result.sentence()


def test_a_report_since_ever_is_held_against_itself():
    assert report(ROW, since=EVER).ever_of(ROW[0], "interchange") == USE


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Interchange", "interchange"),
        ("ISA13", "interchange"),
        ("UNB 0020", "interchange"),
        ("interchange_control_number", "interchange"),
        ("InterchangeControlNo", "interchange"),
        ("Functional Group", "group"),
        ("GS06", "group"),
        ("groups", "group"),
        ("TransactionSet", "transaction_set"),
        (" transaction set ", "transaction_set"),
        ("TRANSACTION-SET", "transaction_set"),
        ("ST-02", "transaction_set"),
        ("UNH", "transaction_set"),
        ("Acknowledgment", "acknowledgement"),
        ("997", "acknowledgement"),
        ("CONTRL", "acknowledgement"),
    ],
)
def test_kinds_in_every_spelling(written, meant):
    assert kind_of(written) == meant
    assert report((ROW[0], written, *ROW[2:])).uses[0].kind == meant


@pytest.mark.parametrize("written", ["invoice", "ISA12", "control number", "number", "0021", "is"])
def test_what_is_no_kind(written):
    with pytest.raises(ValueError, match="not one of interchange, group, transaction_set, acknowledgement"):
        kind_of(written)


@pytest.mark.parametrize("highest", [1020, 1020.0, Decimal(1020), "000001020"], ids=repr)
@pytest.mark.parametrize("last_used", [LAST, LAST.replace(tzinfo=None), LAST.astimezone(timezone(timedelta(hours=5)))])
def test_numbers_in_every_form(highest, last_used):
    assert report((*ROW[:2], highest, highest, "20", last_used)).uses == (USE,)


@pytest.mark.parametrize(("highest", "latest"), [(None, 1020), (1020, None), (None, None), ("", " ")])
def test_what_the_query_does_not_tell(highest, latest):
    (use,) = report((*ROW[:2], highest, latest, 20, None)).uses
    assert (use.highest, use.latest, use.used) == (highest or None, 1020 if latest == 1020 else None, 20)


@pytest.mark.parametrize(
    "columns",
    [
        ("EXTRA", "Used", "latest", "HIGHEST", "kind", "last_used", "Agreement"),
        ('"extra"', "[used]", "`latest`", ' "HIGHEST" ', "kind ", "'last_used'", "AGREEMENT"),
        ("used_at", "used", "latest", "highest", "kind", "last_used", "agreement"),
    ],
)
def test_columns_in_any_order_case_and_quotes(columns):
    assert report(("x", 20, 1020, 1020, "interchange", LAST, "Fabrikam X12 send"), columns=columns) == report(ROW)


def test_a_column_that_is_there_twice():
    columns = (*NUMBER_COLUMNS, "Latest")
    result = report((*ROW, 7), columns=columns)
    assert "returned the column latest twice" in result.problem
    assert result.use_of(ROW[0], "interchange") is None
    assert report((*ROW, 7, 8), columns=(*NUMBER_COLUMNS, "id", "ID")).problem is None
    assert names_of(["[Agreement]", '"KIND" ']) == ["agreement", "kind"]


def test_a_row_without_numbers_is_ignored():
    assert report((*ROW[:2], None, None, 0, None)) == report()


BAD_ROWS = {
    "no agreement": ("", *ROW[1:]),
    "binary agreement": (b"Fabrikam", *ROW[1:]),
    "agreement by id": (17, *ROW[1:]),
    "another kind": (ROW[0], "invoice", *ROW[2:]),
    "no kind": (ROW[0], None, *ROW[2:]),
    "latest above highest": (*ROW[:2], 1020, 1021, 20, None),
    "greatest of texts": (*ROW[:2], "1020", 1020, 20, None),
    "prefix": (*ROW[:2], "A000001020", 1020, 20, None),
    "half": (*ROW[:2], 1020.5, 1020, 20, None),
    "negative number": (*ROW[:2], -1, -1, 20, None),
    "negative count": (*ROW[:2], 1020, 1020, -1, None),
    "no count": (*ROW[:2], 1020, 1020, None, None),
    "truth": (*ROW[:2], 1020, 1020, True, None),
    "not a number": (*ROW[:2], float("nan"), 1020, 20, None),
    "latest that could not be cast": (*ROW[:2], 1020, 0, 20, None),
    "highest that could not be cast": (*ROW[:2], 0, None, 20, None),
    "numbers of none": (*ROW[:2], 1020, 1020, 0, None),
    "no time": (*ROW[:5], "yesterday"),
    "too short": ROW[:5],
    "too long": (*ROW, "x"),
    "no row": 5,
}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_nonsense_number_row_makes_the_rest_unknown(row):
    other = ("Litware X12 send", *ROW[1:])
    result = report(row, other)
    assert "Row 1 of the control number query cannot be read" in result.problem
    assert result.sentence().startswith("Control numbers used from 2026-01-01 02:00:00 UTC to 2026-01-02")
    assert "; at least 20: Row 1" in result.sentence()
    assert result.use_of("Fabrikam X12 send", "interchange") is None
    assert result.use_of("Litware X12 send", "interchange").used == 20


@pytest.mark.parametrize("number", [("9999", "9999"), ("9999", "10090"), (9999, 10090)], ids=repr)
def test_a_maximum_that_was_taken_over_text_says_so(number):
    """9991 to 10090 were given out, and the greatest of these texts is 9999."""
    result = report((*ROW[:2], *number, 100, LAST))
    assert "take MAX(CAST(... AS bigint))" in result.problem
    assert result.use_of(ROW[0], "interchange") is None


@pytest.mark.parametrize("other", [ROW[0].upper(), f" {ROW[0]} "], ids=["case", "blanks"])
def test_two_rows_of_the_same_counter_are_none(other):
    result = report(ROW, (other, *ROW[1:]), ("Litware", *ROW[1:]))
    assert "has the kind interchange twice" in result.problem
    assert [use.agreement for use in result.uses] == ["Litware"]


def test_missing_columns_of_numbers_are_a_problem():
    result = report(("a", "b"), columns=("agreement", "count"))
    assert "kind, highest, latest, used, last_used is missing" in result.problem
    assert result.use_of("a", "group") is None


def test_many_problems_are_summed_up():
    assert report(*[(number,) for number in range(5)]).problem.endswith("; and 2 more")


# --- batches ---------------------------------------------------------------------------------------------------------

CHECKED_AT = datetime(2026, 1, 1, 2, tzinfo=UTC)
OLDEST = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
BATCH = ("Fabrikam 850", "hourly", 5, "2026-01-01T01:30:00Z")


def drained(*rows: object, columns: tuple[str, ...] = DRAIN_COLUMNS) -> DrainStatus:
    return drain_status(columns, rows, source="tracking database", checked_at=CHECKED_AT)


def test_no_batch_row_is_empty():
    assert drained() == DrainStatus(answer="empty", source="tracking database", checked_at=CHECKED_AT)
    assert drained().sentence() == "No batch held messages at 2026-01-01 02:00:00 UTC (tracking database)."


def test_a_row_is_an_active_batch():
    result = drained(BATCH)
    assert result.answer == "active"
    assert result.batches == (ActiveBatch("Fabrikam 850", "hourly", 5, OLDEST),)
    assert "1 batch held 5 messages" in result.sentence()
    assert "Fabrikam 850/hourly (5 messages, the oldest since 2026-01-01 01:30:00 UTC)" in result.sentence()


@pytest.mark.parametrize("oldest", [OLDEST, "2026-01-01 01:30:00", "2026-01-01 02:30:00.0000000 +01:00"], ids=str)
@pytest.mark.parametrize("count", [5, 5.0, Decimal(5), "5"], ids=repr)
def test_counts_and_times_in_every_form(count, oldest):
    assert drained((*BATCH[:2], count, oldest)) == drained(BATCH)


def test_what_the_oldest_may_be():
    assert drained((*BATCH[:3], None)).batches[0].oldest is None
    assert drained((*BATCH[:3], date(2026, 1, 1))).batches[0].oldest == datetime(2026, 1, 1, tzinfo=UTC)
    a_bit_ahead = CHECKED_AT + timedelta(minutes=4)
    assert drained((*BATCH[:3], a_bit_ahead)).answer == "active", "clocks differ a bit"


def test_batch_columns_in_any_order_and_further_ones():
    result = drained(
        ("x", 5, "hourly", OLDEST, "Fabrikam 850"), columns=("EXTRA", "MESSAGES", "[Batch]", "oldest", "Agreement")
    )
    assert result == drained(BATCH)


def test_a_row_without_messages_is_ignored():
    assert drained((*BATCH[:2], 0, None)).answer == "empty"


BAD_BATCHES = {
    "no agreement": ("", "hourly", 5, None),
    "null agreement": (None, "hourly", 5, None),
    "no agreement and no message": ("", "hourly", 0, None),
    "binary batch": ("a", b"hourly", 5, None),
    "negative": ("a", "b", -1, None),
    "half": ("a", "b", 1.5, None),
    "not a number": ("a", "b", float("nan"), None),
    "infinite": ("a", "b", float("inf"), None),
    "decimal not a number": ("a", "b", Decimal("NaN"), None),
    "truth": ("a", "b", True, None),
    "a word": ("a", "b", "some", None),
    "no count": ("a", "b", None, None),
    "no time": ("a", "b", 5, "yesterday"),
    "seconds since 1970": ("a", "b", 5, 1767225600),
    "the future": ("a", "b", 5, CHECKED_AT + timedelta(minutes=6)),
    "the future of no message": ("a", "b", 0, CHECKED_AT + timedelta(hours=1)),
    "tomorrow": ("a", "b", 5, date(2026, 1, 2)),
    "too short": ("a", "b", 5),
    "too long": ("a", "b", 5, None, "x"),
    "no row": 5,
}


@pytest.mark.parametrize("row", BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_a_nonsense_batch_row_is_unknown_with_a_reason(row):
    result = drained(row)
    assert result.answer == "unknown"
    assert "Row 1 of the drain query cannot be read" in result.reason
    assert result.reason in result.sentence()
    active = drained(row, BATCH)
    assert (active.answer, active.reason) == ("active", result.reason)


@pytest.mark.parametrize(
    ("columns", "said"),
    [(("agreement", "count"), "batch, messages, oldest is missing"), ((*DRAIN_COLUMNS, "BATCH"), "batch twice")],
)
def test_wrong_columns_of_batches_are_unknown(columns, said):
    result = drained(columns=columns)
    assert result.answer == "unknown"
    assert said in result.reason


def test_many_batch_rows_are_summed_up():
    result = drained(*[("Fabrikam", f"batch {number}", 1, None) for number in range(12)])
    assert result.sentence().startswith("12 batches held 12 messages")
    assert result.sentence().endswith("; and 2 more.")
