#!/usr/bin/env bash
# MAX() of a flag that is false comes as 48, and MAX() of the number 49 as 13369.
#
# Guess:    mysql-connector-python gives a BIT column as a number: 0 and 1 of a flag, 49 of a BIT(8). MAX() of that
#           column has the same type, and so gives the same kind of number.
# Instead:  the column is right. Of MAX, MIN, IF, CASE and a subselect in the list of columns comes the number that the
#           characters of its digits make: "0" is 48, "1" is 49, "49" is 13369. So MAX(a flag) is true where no row has
#           it. The server says BIT and sends text, and the library takes it for bits. DISTINCT, UNION, a derived table
#           and "+ 0" give the right number.
# Versions: mysql-connector-python 26.10.0, MariaDB 10.11 (Debian 12).
# Needs:    Debian's package mariadb-server-core.
# Source:   mysql/connector/conversion.py (_bit_to_python). Not documented; of MySQL the like was reported as bugs
#           63470, 97113 and 106241.
# Means:    an aggregate of a BIT column is cast to a number in the query: MAX(flag) + 0, CAST(MAX(flag) AS UNSIGNED).
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin_with mysql-connector-python==26.10.0
start_mariadb
SERVER="$server" look <<'PYTHON'
import os

import mysql.connector
import seen


def connected():
    try:
        return mysql.connector.connect(unix_socket=f"{os.environ['SERVER']}/socket", user="root", use_pure=True)
    except mysql.connector.Error as error:
        return seen.show(error)


connection = seen.wait_for("a connection", connected, 30)
cursor = connection.cursor()


def ask(query):
    cursor.execute(query)
    rows = cursor.fetchall()
    seen.show(f"{query}: {', '.join(str(row[0] if len(row) == 1 else row) for row in rows)}")
    return rows


ask("SELECT VERSION()")
cursor.execute("CREATE DATABASE shop")
cursor.execute("CREATE TABLE shop.orders (late BIT(1), state BIT(8))")
cursor.execute("INSERT INTO shop.orders VALUES (0, 49)")
columns = ask("SELECT late, state FROM shop.orders")
seen.as_stated(columns == [(0, 49)], "the columns themselves are read as something else.")
for query in (
    "SELECT MAX(late), MAX(state) FROM shop.orders",
    "SELECT MIN(late), MIN(state) FROM shop.orders",
    "SELECT IF(TRUE, late, NULL), IF(TRUE, state, NULL) FROM shop.orders",
    "SELECT CASE WHEN TRUE THEN late END, CASE WHEN TRUE THEN state END FROM shop.orders",
    "SELECT (SELECT late FROM shop.orders), (SELECT state FROM shop.orders)",
):
    seen.as_stated(ask(query) == [(48, 13369)], f"{query} gives something else.")
for query in (
    "SELECT MAX(late) + 0, MAX(state) + 0 FROM shop.orders",
    "SELECT DISTINCT late, state FROM shop.orders",
    "SELECT * FROM (SELECT late, state FROM shop.orders) AS derived",
    "SELECT late, state FROM shop.orders UNION SELECT late, state FROM shop.orders",
):
    seen.as_stated(ask(query) == [(0, 49)], f"{query} gives something else.")
seen.show("AS STATED: MAX of a BIT column comes as the number that its digits make.")
PYTHON
