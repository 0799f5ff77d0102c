#!/usr/bin/env bash
# "Valid until infinity" of PostgreSQL comes through ODBC as today, and the year 10000 as the year 1000.
#
# Guess:    a date that Python cannot hold (infinity, the usual open end of a period, or the year 10000) is an error, or
#           the last day that there is: 9999-12-31, as the same driver makes of a *timestamp* infinity.
# Instead:  a date infinity and -infinity both come as today's date, another one every day. Of the year 10000 comes a
#           date of the year 1000, with month and day of today; a timestamp of that year is today, 00:00. The year 44
#           before Christ is the year 44 after. No error, no warning; 9999-12-31 is right.
# Versions: psqlODBC 13.02.0000 (Debian 12's odbc-postgresql), PostgreSQL 15 (Debian 12), pyodbc 5.5.0. psqlODBC's issue
#           198 tells of infinity, and its main branch has made 9999-12-31 of it since August 2026.
# Needs:    Debian's packages postgresql and odbc-postgresql.
# Source:   convert.c of the driver reads four digits of the year; what it could not read, the clock fills in. Not
#           documented.
# Means:    whoever asks "is it still open?" or "how old is the newest?" through ODBC reads a day that nobody has
#           written; a query has to cut such values itself (LEAST(day, DATE '9999-12-31')), or return them as text.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin_with pyodbc==5.5.0
driver="$(find /usr/lib -path '*/odbc/psqlodbcw.so' -print -quit)"
[ -n "$driver" ] || give_up "psqlODBC is not installed (on Debian: apt-get install odbc-postgresql)."
start_postgresql
# The driver writes a line about each end of a connection: into /tmp, unless told otherwise.
printf '[PostgreSQL Unicode]\nDriver=%s\nLogdir=%s\n' "$driver" "$work/logs" > "$work/odbcinst.ini"
ODBCSYSINI="$work" SERVER="$server" look <<'PYTHON'
import os
from datetime import date, datetime

import pyodbc
import seen

TEXT = f"Driver=PostgreSQL Unicode;Servername={os.environ['SERVER']};Port=5432;Database=postgres;UID=postgres"


def connected():
    try:
        return pyodbc.connect(TEXT, timeout=10)
    except pyodbc.Error as error:
        return seen.show(error)


connection = seen.wait_for("a connection", connected, 30)
server = connection.execute("SHOW server_version").fetchone()[0]
seen.show(f"psqlODBC {connection.getinfo(pyodbc.SQL_DRIVER_VER)}, PostgreSQL {server}")


def read(value):
    """What comes of it, how the server writes it itself, and the days on which that was asked."""
    before = date.today()
    got, written = connection.execute(f"SELECT {value}, CAST({value} AS text)").fetchone()
    seen.show(f"{written:>16} ({value}): {got}")
    return got, {before, date.today()}


for far in ("DATE 'infinity'", "DATE '-infinity'"):
    value, days = read(far)
    seen.as_stated(value in days, f"{far} is not read as today.")
value, days = read("DATE '10000-01-01'")
months = {(day.month, day.day) for day in days}
seen.as_stated(value.year == 1000 and (value.month, value.day) in months, "the year 10000 is not read as 1000.")
value, days = read("TIMESTAMP '10000-01-01 12:00'")
midnights = {datetime(day.year, day.month, day.day) for day in days}
seen.as_stated(value in midnights, "a far timestamp is not read as today, 00:00.")
seen.as_stated(read("DATE '0044-03-15 BC'")[0] == date(44, 3, 15), "the era is no longer lost.")
seen.as_stated(read("DATE '9999-12-31'")[0] == date(9999, 12, 31), "the last day is read as another one.")
last = datetime(9999, 12, 31, 23, 59, 59)
seen.as_stated(read("TIMESTAMP 'infinity'")[0] == last, "a timestamp infinity is read as another moment.")
seen.show("AS STATED: a date that is too far away comes as a believable one, without an error.")
PYTHON
