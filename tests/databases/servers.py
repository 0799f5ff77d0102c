"""A PostgreSQL and a MariaDB of the tests' own: free ports of 127.0.0.1, folders that vanish, nothing kept safe.

Debian's packages suffice: postgresql, mariadb-server-core. Where root starts them they run as an unprivileged user.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from stack.processes import as_user
from stack.stores import postgres_folder, unprivileged_user

HOST = "127.0.0.1"
USER, DATABASE = "tracking_reader", "tracking"
PASSWORD = "S3cret; of='the' \"{tests}\" 100%"
"""With all that has a meaning in connection strings, in URIs and in Python's formats."""
LOCAL_ZONE = "America/Chicago"
MARIADB_TABLES = Path("/usr/share/mysql")
START_SECONDS = 30
_END = {"postgres": signal.SIGQUIT, "mariadbd": signal.SIGKILL}
"""Of PostgreSQL: its immediate shutdown, which ends its children too and gives back its shared memory."""


class MissingServerError(Exception):
    """The message names what to install."""


@dataclass(frozen=True)
class Server:
    """A running server.

    :param version: as it says it itself.
    """

    port: int
    version: str

    def run(self, *statements: str) -> list[tuple]:
        """Rows of the last one, by a connection of its own that commits by itself."""
        raise NotImplementedError

    def end_sessions(self) -> int:
        """End every session that is in the middle of a query, as a failover does; how many there were."""
        raise NotImplementedError


class PostgreSQL(Server):
    def run(self, *statements: str) -> list[tuple]:
        import psycopg2

        account = {"user": USER, "password": PASSWORD, "dbname": DATABASE}
        with contextlib.closing(psycopg2.connect(host=HOST, port=self.port, **account)) as connection:
            connection.autocommit = True
            return _run(connection, statements)

    def end_sessions(self) -> int:
        others = "state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        return len(self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


class MariaDB(Server):
    def run(self, *statements: str) -> list[tuple]:
        import mysql.connector

        account = {"user": USER, "password": PASSWORD, "database": DATABASE}
        with contextlib.closing(mysql.connector.connect(host=HOST, port=self.port, **account)) as connection:
            connection.autocommit = True
            return _run(connection, statements)

    def end_sessions(self) -> int:
        busy = "command IN ('Query', 'Execute') AND id <> CONNECTION_ID()"
        sessions = self.run(f"SELECT id FROM information_schema.processlist WHERE {busy}")
        self.run(*(f"KILL {session}" for (session,) in sessions))
        return len(sessions)


def _run(connection, statements: Sequence[str]) -> list[tuple]:
    with contextlib.closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextlib.contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A server whose sessions have the zone of Chicago, as one has that was set up there.

    :raises MissingServerError: it is not installed.
    """
    programs = postgres_folder()
    if programs is None:
        raise MissingServerError("PostgreSQL is not installed (on Debian and Ubuntu: apt-get install postgresql).")
    with _folder() as folder:
        (folder / "password").write_text(PASSWORD)
        initdb = [f"{programs}/initdb", "--pgdata", "data", "--username", USER, "--pwfile", "password", "--no-sync"]
        initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        _prepare(initdb, folder)
        settings = {"fsync": "off", "shared_buffers": "4MB", "listen_addresses": HOST, "unix_socket_directories": ""}
        settings |= {"timezone": LOCAL_ZONE, "max_connections": "20", "autovacuum": "off", "wal_level": "minimal"}
        settings |= {"max_wal_senders": "0"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        _prepare(
            [f"{programs}/postgres", "--single", "-D", "data", "-c", "fsync=off", "postgres"],
            folder,
            f"CREATE DATABASE {DATABASE}\n",
        )
        port = _free_port()
        command = [f"{programs}/postgres", "-D", "data", "-c", f"port={port}", *options]
        with _running(command, folder, lambda: PostgreSQL(port, "").run("SHOW server_version")) as ((version,),):
            yield PostgreSQL(port, version)


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDB]:
    """A server that knows the zone of Chicago, and whose sessions have it.

    :raises MissingServerError: it is not installed.
    """
    program = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None or not (MARIADB_TABLES / "mysql_system_tables.sql").exists():
        raise MissingServerError(
            "MariaDB is not installed (on Debian and Ubuntu: apt-get install --no-install-recommends "
            "mariadb-server-core)."
        )
    with _folder() as folder:
        (folder / "data").mkdir(mode=0o700)
        if user := unprivileged_user():
            shutil.chown(folder / "data", user)
        command = [program, "--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}/data"]
        command += ["--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"]
        command += ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--aria-pagecache-buffer-size=8M"]
        command += ["--innodb-fast-shutdown=2", "--performance-schema=OFF", "--skip-name-resolve"]
        tables = [MARIADB_TABLES / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")]
        script = ["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket = NULL;"]
        script += [table.read_text() for table in tables]
        script += [*_zone(LOCAL_ZONE), "FLUSH PRIVILEGES;", f"CREATE DATABASE {DATABASE};"]
        password = PASSWORD.replace("'", "''")
        script += [f"CREATE USER {USER} IDENTIFIED BY '{password}';", f"GRANT ALL ON *.* TO {USER} WITH GRANT OPTION;"]
        _prepare([*command, "--bootstrap"], folder, "\n".join(script) + "\n")
        port = _free_port()
        command += [f"--bind-address={HOST}", f"--port={port}", f"--socket={folder}/data/socket"]
        command += [f"--default-time-zone={LOCAL_ZONE}"]
        with _running(command, folder, lambda: MariaDB(port, "").run("SELECT VERSION()")) as ((version,),):
            yield MariaDB(port, version)


def _zone(name: str) -> list[str]:
    """Statements that teach MariaDB a zone, for the years of the tests: its own program is in another package."""
    begin, end, hour = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), timedelta(hours=1)
    zone, moments = ZoneInfo(name), [begin]
    while moments[-1] < end:
        moments.append(moments[-1] + hour)
    offsets = [moment.astimezone(zone).utcoffset() or timedelta() for moment in moments]
    kinds = sorted(set(offsets))
    changes = [(begin, offsets[0])] + [
        (moment, offset)
        for moment, offset, before in zip(moments[1:], offsets[1:], offsets, strict=False)
        if offset != before
    ]
    rows = [f"(1, {int(moment.timestamp())}, {kinds.index(offset)})" for moment, offset in changes]
    types = [f"(1, {number}, {int(offset.total_seconds())}, {number}, '')" for number, offset in enumerate(kinds)]
    return [
        "INSERT INTO time_zone VALUES (1, 'N');",
        f"INSERT INTO time_zone_name VALUES ('{name}', 1);",
        f"INSERT INTO time_zone_transition_type VALUES {', '.join(types)};",
        f"INSERT INTO time_zone_transition VALUES {', '.join(rows)};",
    ]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the servers' user may enter and write, which pytest's are not where this is root."""
    folder = Path(tempfile.mkdtemp(prefix="database-of-tests-"))
    try:
        if user := unprivileged_user():
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder)


def _prepare(command: Sequence[str], folder: Path, script: str = "") -> None:
    user = as_user(unprivileged_user())
    result = subprocess.run(command, cwd=folder, input=script, capture_output=True, text=True, check=False, **user)
    assert result.returncode == 0, f"{command[0]}: {result.stdout[-1000:]}{result.stderr[-2000:]}"


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path, ask: Callable[[], list[tuple]]) -> Iterator[list[tuple]]:
    """The process while it runs, with what it answers first; ended without mercy, because nothing is kept."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **as_user(unprivileged_user()),
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        answer: list[tuple] = []
        while not answer:
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{command[0]} does not answer: {log.read_text()[-2000:]}"
            # Each driver has errors of its own for a server that is not there yet.
            with contextlib.suppress(Exception):
                answer = ask()
            time.sleep(0.05)
        yield answer
    finally:
        process.send_signal(_END[Path(command[0]).name])
        process.wait(timeout=START_SECONDS)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]
