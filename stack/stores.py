"""The stores of a distributed Airflow: PostgreSQL and Redis, programs of this machine, a folder for each.

Both require a password and listen on 127.0.0.1 only. Where root starts them they run as an unprivileged user, because
PostgreSQL refuses root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.parts import Part
from stack.ports import HOST, Ports
from stack.processes import as_user
from stack.settings import DATABASE

PACKAGED_POSTGRES = Path("/usr/lib/postgresql")
RESPONSE_SECONDS = 2


def require_programs() -> None:
    """Raise `StackError` when PostgreSQL or Redis is missing, with what to install."""
    missing = {}
    if not postgres_folder():
        missing["postgresql"] = "PostgreSQL (initdb, postgres)"
    if not shutil.which("redis-server"):
        missing["redis-server"] = "Redis (redis-server)"
    if missing:
        raise StackError(
            f"A distributed Airflow needs {' and '.join(missing.values())}, not found on this machine; nothing was "
            f"started. Install what is missing (on Debian and Ubuntu: sudo apt-get install {' '.join(missing)})."
        )


def postgres_folder() -> Path | None:
    """The folder with PostgreSQL's programs: one on the PATH, else the newest of Debian's, which are not on it."""
    on_path = shutil.which("initdb")
    packaged = [folder for folder in PACKAGED_POSTGRES.glob("*/bin") if folder.parent.name.isdigit()]
    candidates = [Path(on_path).parent] if on_path else []
    candidates += sorted(packaged, key=lambda folder: int(folder.parent.name), reverse=True)
    return next((each for each in candidates if all((each / name).exists() for name in ("initdb", "postgres"))), None)


def prepare(home: Path, passwords: Mapping[str, str]) -> None:
    """Make the folders of both below `home`, each with the password of its own name; what is there is left unchanged.

    Raises `StackError` when their user has no way to them, or PostgreSQL's data cannot be made.
    """
    _require_access(home)
    _prepare_postgres(_own_folder(home / "postgres"), passwords["postgres"])
    # Not on the command line, which every user of this machine can read.
    _write_private(_own_folder(home / "redis") / "redis.conf", f"requirepass {passwords['redis']}\n")


def postgres(home: Path, ports: Ports, password: str) -> Part:
    folder = home / "postgres"
    command = [f"{postgres_folder()}/postgres", "-D", str(folder / "data"), *_options(listen_addresses=HOST)]
    command += _options(port=ports.postgres, unix_socket_directories="")
    return Part(
        "postgres",
        command,
        {},
        folder,
        ["postgres"],
        user=unprivileged_user(),
        ready=lambda: _postgres_responds(ports, password),
    )


def redis(home: Path, ports: Ports, password: str) -> Part:
    folder = home / "redis"
    command = ["redis-server", str(folder / "redis.conf"), "--bind", HOST, "--port", str(ports.redis)]
    command += ["--dir", str(folder)]
    return Part(
        "redis",
        command,
        {},
        folder,
        ["redis"],
        user=unprivileged_user(),
        ready=lambda: _redis_responds(ports, password),
        data=folder,
    )


def unprivileged_user() -> str | None:
    """The user as whom the stores run where this is root; None: the user who starts them."""
    if os.geteuid() != 0:
        return None
    return next((user.pw_name for user in pwd.getpwall() if user.pw_name == "postgres"), "nobody")


def _prepare_postgres(folder: Path, password: str) -> None:
    """A cluster with one database and one user; its folder gets its name when it is complete."""
    if (folder / "data").exists():
        return
    unfinished, secret = folder / "unfinished", folder / "password"
    shutil.rmtree(unfinished, ignore_errors=True)
    _write_private(secret, password)
    programs = postgres_folder()
    initdb = [f"{programs}/initdb", "--pgdata", str(unfinished), "--username", DATABASE, "--pwfile", str(secret)]
    initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
    try:
        _run(initdb, folder)
    finally:
        secret.unlink()
    alone = [f"{programs}/postgres", "--single", "-D", str(unfinished), *_options(exit_on_error="true"), "postgres"]
    _run(alone, folder, f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(folder / "data")


def _options(**options: str | int) -> list[str]:
    return [word for name, value in options.items() for word in ("-c", f"{name}={value}")]


def _run(command: Sequence[str], folder: Path, statements: str = "") -> None:
    user = as_user(unprivileged_user())
    result = subprocess.run(command, cwd=folder, input=statements, capture_output=True, text=True, check=False, **user)
    if result.returncode != 0:
        last = "\n".join((result.stdout + result.stderr).strip().splitlines()[-10:])
        raise StackError(f"PostgreSQL's data cannot be made in {folder}; output of {Path(command[0]).name}:\n{last}")


def _require_access(home: Path) -> None:
    user = unprivileged_user()
    if user is None:
        return
    script = 'for each; do [ -x "$each" ] || { echo "$each"; break; }; done'
    above = [str(folder) for folder in (*reversed(home.parents), home)]
    command = ["sh", "-c", script, "sh", *above]
    closed = subprocess.run(command, capture_output=True, text=True, check=True, **as_user(user)).stdout.strip()
    if closed:
        raise StackError(
            f"PostgreSQL refuses to run as root, and the user {user}, as whom it runs then, may not pass through "
            f"{closed} to its data; allow that (chmod o+x {closed}), or do this as an ordinary user."
        )


def _own_folder(folder: Path) -> Path:
    """A folder that the stores' user alone may enter."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user := unprivileged_user():
        shutil.chown(folder, user)
    return folder


def _write_private(path: Path, text: str) -> None:
    """A file that the stores' user alone may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    if user := unprivileged_user():
        shutil.chown(path, user)


def _postgres_responds(ports: Ports, password: str) -> bool:
    import psycopg2

    account = {"user": DATABASE, "password": password, "dbname": DATABASE}
    try:
        psycopg2.connect(host=HOST, port=ports.postgres, connect_timeout=RESPONSE_SECONDS, **account).close()
    except psycopg2.OperationalError:
        return False
    return True


def _redis_responds(ports: Ports, password: str) -> bool:
    from redis import Redis, RedisError

    try:
        with Redis(HOST, ports.redis, password=password, socket_timeout=RESPONSE_SECONDS) as client:
            return client.ping()
    except RedisError:
        return False
