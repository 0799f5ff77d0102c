"""What a schedule means, compared with the times of Airflow's own timetable."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from biztalk_services.provider.schedule import Schedule, broken_schedule, broken_zone, page_of

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
EXPRESSIONS = [
    "0 2 * * *",
    "30 2 * * *",
    "0 2,14 * * *",
    "0 */6 * * *",
    "15 * * * *",
    "0 2 * * 1-5",
    "0 2 * * sun",
    "0 2 1 * *",
    "0 2 31 * *",
    "0 2 L * *",
    "0 2 */10 * *",
    "0 2 * * 5#2",
    "0 2 15 * 1",
    "0 2 1-28 * *",
    "0 3 * 3,10 *",
    "@daily",
    "@weekly",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


def of_airflow(expression: str, zone: str, since: datetime, until: datetime) -> list[datetime]:
    """The times at which Airflow itself would start a run."""
    timetable = CronTriggerTimetable(expression, timezone=zone)
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    at, found = pendulum.instance(since), []
    while at < until:
        info = timetable.next_dagrun_info(last_automated_data_interval=DataInterval.exact(at), restriction=restriction)
        at = info.run_after
        found.append(at.astimezone(UTC))
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("since", [datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)])
def test_its_times_are_those_of_airflow(expression, zone, since):
    expected = of_airflow(expression, zone, since, since + timedelta(days=3))[:60]
    found = Schedule(expression, zone).next_times(since, len(expected))
    assert [each.astimezone(UTC) for each in found] == expected
    assert {each.tzinfo for each in found} == {ZoneInfo(zone)}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("expression", [each for each in EXPRESSIONS if not each.startswith("15")])
def test_the_longest_gap_is_that_of_airflows_times(expression, zone):
    times = of_airflow(expression, zone, NEW_YEAR, NEW_YEAR + timedelta(days=400))
    longest = max(later - earlier for earlier, later in pairwise(times))
    gap = Schedule(expression, zone).longest_gap(longest - timedelta(minutes=1), NEW_YEAR)
    assert gap
    assert gap.length >= longest  # rare schedules are watched for longer
    assert of_airflow(expression, zone, gap.begins, gap.ends) == [gap.ends.astimezone(UTC)]
    assert gap.begins.tzinfo == gap.ends.tzinfo == ZoneInfo(zone)
    assert Schedule(expression, zone).longest_gap(gap.length, NEW_YEAR) is None


@pytest.mark.parametrize(
    ("expression", "zone", "hours", "gap"),
    [
        ("0 2 * * *", "Europe/Berlin", 30, None),
        ("0 2 * * *", "UTC", 24, None),
        ("0 2 * * *", "Europe/Berlin", 24, "25 hours, from Saturday 24 October 2026, 02:00 CEST to Sunday 25"),
        ("0 2 * * 1", "UTC", 30, "168 hours"),
        ("0 2 * * 1", "UTC", 168, None),
        ("0 2 * * 1-5", "UTC", 30, "72 hours"),
        ("0 0 2 * *", "UTC", 30, "744 hours"),
        ("0 2 31 * *", "UTC", 30, "1464 hours"),
        ("0 2 1-30 * *", "UTC", 30, "48 hours"),
        ("0 2 29 2 *", "UTC", 9000, "35064 hours, from Tuesday 29 February 2028"),
        ("0 2 28 2 *", "UTC", 8760, "8784 hours, from Monday 28 February 2028"),
        ("0 8-18 * * *", "UTC", 12, "14 hours"),
        ("0 * * * *", "Europe/Berlin", 1, None),
        ("* * * * *", "UTC", 1, None),
        ("*/10 * * * 1-5", "UTC", 1, "48.17 hours"),
    ],
)
def test_gaps(expression, zone, hours, gap):
    found = Schedule(expression, zone).longest_gap(timedelta(hours=hours), NEW_YEAR)
    assert str(found).startswith(str(gap))


@pytest.mark.parametrize("expression", ["0 2 * * *", "* * * * *", "0 2 * * 1-6", "0 2 1 * *", "0 */2 * * *"])
def test_a_check_is_cheap(expression):
    """A DAG file is parsed before each of its tasks."""
    began = time.process_time()
    Schedule(expression, "Europe/Berlin").longest_gap(timedelta(hours=49), NEW_YEAR)
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 * * *", "At 02:00"),
        ("2 0 * * *", "At 00:02"),
        ("@daily", "At 00:00"),
        ("0 2 * * sun", "At 02:00, only on Sunday"),
        ("0 2 31 * *", "At 02:00, on day 31 of the month"),
        ("0 2 1 * 1", "At 02:00, on day 1 of the month, or on Monday"),
    ],
)
def test_it_is_told_in_words(expression, words, monkeypatch):
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert Schedule(expression, "UTC").words == words


@pytest.mark.parametrize(
    "text",
    ["@once", "@reboot", "None", "daily", "0 2 * *", "0 0 2 * * *", "0 2 * * * 2026 *", "14 30 * * *", "60 2 * * *",
     "0 24 * * *", "0 2 32 * *", "0 2 * 13 *", "0 2 * * 8", "R 2 * * *", "H H * * *", "R(0-30) 2 * * *", "0 2 31 2 *",
     "0 2 30 2 *", "0 0 31 4,6,9,11 *", "0 2 * * mo", "٠ 2 * * *", "a" * 5000, "0 2 * * *;", "0, 2 * * *"],
)  # fmt: skip
def test_a_schedule_that_is_refused(text):
    assert broken_schedule(text)


@pytest.mark.parametrize("text", [*EXPRESSIONS, "@hourly", "@midnight", "@monthly", "0 2 ? * MON", "5 4 * JAN-MAR fri"])
def test_a_schedule_that_is_taken_is_one_for_airflow(text):
    assert broken_schedule(text) is None
    CronTriggerTimetable(text, timezone="UTC").validate()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EDT", None),
        ("W. Europe Standard Time", None),
        ("europe/berlin", "Europe/Berlin"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
        ("GMT+1", None),
        ("+01:00", None),
        ("Europe", None),
        ("../../etc/passwd", None),
        ("/etc/localtime", None),
        ("x" * 300, None),
        ("a\0b", None),
    ],
)
def test_a_zone_that_is_refused(name, meant):
    broken = broken_zone(name)
    assert broken
    assert f"do you mean {meant}" in broken if meant else "such as Europe/Berlin" in broken


@pytest.mark.parametrize("name", ["Europe/Berlin", "US/Eastern", "CET", "UTC", "Etc/GMT-1", "EST5EDT"])
def test_a_zone_that_is_taken_is_one_for_airflow(name):
    assert broken_zone(name) is None
    CronTriggerTimetable("0 2 * * *", timezone=name)


class TestPage:
    NIGHTS = ("Saturday 28 March 2026, 02:00 CET", "Sunday 29 March 2026, 03:00 CEST", "Monday 30 March 2026, 02:00")

    def test_the_next_five_times_by_the_clock(self):
        page = page_of(Schedule("0 2 * * *", "Europe/Berlin"), datetime(2026, 3, 27, 20, tzinfo=UTC))
        assert "At 02:00 (`0 2 * * *`, Europe/Berlin)" in page
        assert all(night in page for night in self.NIGHTS)
        assert page.count("\n- ") == 5

    def test_it_changes_at_noon_only(self):
        schedule = Schedule("0 2 * * *", "Europe/Berlin")
        pages = {page_of(schedule, datetime(2026, 3, 27, 11, 0, tzinfo=UTC) + timedelta(minutes=each))
                 for each in range(0, 23 * 60, 7)}  # fmt: skip
        assert len(pages) == 1
        assert page_of(schedule, datetime(2026, 3, 27, 10, 59, tzinfo=UTC)) not in pages

    def test_no_schedule_on_purpose(self):
        assert "started by hand only" in page_of(None, NEW_YEAR)
