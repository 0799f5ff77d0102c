#!/usr/bin/env bash
# A run at a fixed time in the hour that comes twice is started at its second coming, an hour later than cron would.
#
# Guess:    in the autumn night in which 02:00 comes twice, "0 2 * * *" starts at the first 02:00, as cron of Debian does;
#           "0 1-4 * * *" starts every hour; in spring "*/20 2 * * *" starts three times, moved into the next hour.
# Instead:  it starts at the second 02:00, 25 hours after the night before. "0 1-4" leaves a gap of two hours, although
#           "0 * * * *" leaves none. In spring the three starts of "*/20 2" become one.
# Versions: apache-airflow 3.3.2 with croniter as pinned in requirements.txt; Europe/Berlin, 2026.
# Source:   timetables/_cron.py gives croniter the local time without its zone, and asks pendulum for the zone behind it.
#           The documentation tells of daylight saving in general, not of the hour that comes twice.
# Means:    what is said about the age of a backup, or the time between two runs, has to hold for 25 hours; a schedule that
#           must not pause keeps to "*" for its hours, or to UTC.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin
look <<'PYTHON'
from datetime import UTC, datetime, timedelta

import pendulum
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable


def starts(expression, begin, end):
    timetable, last, found = CronTriggerTimetable(expression, timezone="Europe/Berlin"), None, []
    restriction = TimeRestriction(earliest=pendulum.instance(begin), latest=None, catchup=True)
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info.run_after > end:
            return found
        found.append(info.run_after.in_timezone("UTC"))
        last = info.data_interval


def shown(moments):
    return [f"{moment:%d %H:%M}" for moment in moments]


AUTUMN, SPRING = datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 3, 28, 20, tzinfo=UTC)
DAY = timedelta(hours=12)
seen = {
    "autumn, 0 2 * * *, UTC": shown(starts("0 2 * * *", AUTUMN - DAY * 2, AUTUMN + DAY)),
    "autumn, 0 1-4 * * *, UTC": shown(starts("0 1-4 * * *", AUTUMN, AUTUMN + DAY)),
    "autumn, 0 * * * *, UTC": shown(starts("0 * * * *", AUTUMN + timedelta(hours=3), AUTUMN + timedelta(hours=6))),
    "spring, */20 2 * * *, UTC": shown(starts("*/20 2 * * *", SPRING, SPRING + DAY)),
}
for what, moments in seen.items():
    print(f"{what}: {', '.join(moments)}")
stated = {
    "autumn, 0 2 * * *, UTC": ["24 00:00", "25 01:00"],
    "autumn, 0 1-4 * * *, UTC": ["24 23:00", "25 01:00", "25 02:00", "25 03:00"],
    "autumn, 0 * * * *, UTC": ["24 23:00", "25 00:00", "25 01:00", "25 02:00"],
    "spring, */20 2 * * *, UTC": ["29 01:00"],
}
changed = [what for what in stated if seen[what] != stated[what]]
if changed:
    raise SystemExit(f"CHANGED: {'; '.join(changed)}")
PYTHON
