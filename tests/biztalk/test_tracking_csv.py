"""Rows of a tracking database in a file that a person has saved."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from biztalk_services.drivers.biztalk.tracking.csv import InvalidAnswerError, control_numbers_in, drain_status_in
from biztalk_services.model.control_numbers import ControlNumberUse

SINCE = datetime(2026, 1, 1, 2, tzinfo=UTC)
HEAD = "agreement,kind,highest,latest,used,last_used"
LAST = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def saved(tmp_path):
    def save(name: str, *lines: str, at: datetime = SINCE + timedelta(days=1), head: str = HEAD) -> Path:
        file = tmp_path / name
        file.write_bytes("\r\n".join([head, *lines, ""]).encode("utf-8-sig"))
        os.utime(file, (at.timestamp(), at.timestamp()))
        return file

    return save


@pytest.mark.parametrize(
    "line",
    [
        "Fabrikam,interchange,1020,1020,20,2026-01-01T09:30:00Z",
        'Fabrikam ,"Interchange",000001020,"000001020"," 20 ",2026-01-01 10:30:00.0000000 +01:00',
        "Fabrikam,ISA13,1020.00,1020,20,2026-01-01 09:30:00",
    ],
)
def test_numbers_as_clients_write_them(saved, line):
    report = control_numbers_in(saved("rows.csv", line), SINCE)
    assert report.problem is None
    assert report.uses == (ControlNumberUse("Fabrikam", "interchange", 1020, 1020, 20, LAST),)
    assert report.source.startswith("file ")
    assert report.ever is None


@pytest.mark.parametrize("nothing", ["", "NULL", "\\N"])
def test_what_is_not_told(saved, nothing):
    report = control_numbers_in(saved("rows.csv", f"Fabrikam,group,{nothing},{nothing},20,{nothing}"), SINCE)
    assert report.uses == (ControlNumberUse("Fabrikam", "group", None, None, 20),)


def test_headings_in_another_case(saved):
    head = "LAST_USED,Used,latest,HIGHEST,kind,[agreement]"
    report = control_numbers_in(saved("rows.csv", "2026-01-01,20,1020,1020,group,Fabrikam", head=head), SINCE)
    assert report.problem is None
    assert report.uses[0].used == 20


@pytest.mark.parametrize("number", ["A1020", "9" * 5000], ids=["a prefix", "longer than Python reads"])
def test_what_is_no_number_is_refused(saved, number):
    report = control_numbers_in(saved("rows.csv", f"Fabrikam,interchange,{number},{number},20,"), SINCE)
    assert "without sign, prefix and suffix" in report.problem


def test_two_answers_are_held_against_each_other(saved):
    since = saved("since.csv")
    fitting = saved("ever.csv", "Fabrikam,interchange,1000,1000,1000,2026-01-01T01:00:00Z")
    report = control_numbers_in(since, SINCE, fitting)
    assert report.problem is None
    assert report.ever_of("Fabrikam", "interchange").latest == 1000
    wrong = saved("wrong.csv", "Fabrikam,interchange,1020,1020,1020,2026-01-01T09:30:00Z")
    assert "was not used since" in control_numbers_in(since, SINCE, wrong).problem
    unreadable = saved("unreadable.csv", "Fabrikam,interchange,x,1020,1020,")
    assert "cannot be held against file" in control_numbers_in(since, SINCE, unreadable).problem


def test_a_file_from_before_the_moment_is_refused_with_what_to_ask(saved):
    old = saved("old.csv", at=SINCE - timedelta(minutes=1))
    with pytest.raises(InvalidAnswerError, match=r"with :since = '2026-01-01T02:00:00\.000000Z'"):
        control_numbers_in(old, SINCE)
    with pytest.raises(InvalidAnswerError, match="was written before 2026-01-01 02:00:00 UTC"):
        control_numbers_in(saved("since.csv"), SINCE, old)


def test_batches(saved):
    file = saved("batches.csv", "Fabrikam,hourly,3,2026-01-01 01:30:00", head="Agreement,Batch,Messages,Oldest")
    status = drain_status_in(file)
    assert [(each.batch, each.messages) for each in status.batches] == [("hourly", 3)]
    assert drain_status_in(saved("none.csv", head="agreement,batch,messages,oldest")).answer == "empty"
