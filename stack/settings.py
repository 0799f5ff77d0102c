"""Airflow's environment: settings, generated secrets and connections."""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from stack.ports import HOST, Ports

# Azurite's account, published in its documentation and the same on every machine; it protects nothing.
STORAGE_ACCOUNT = "devstoreaccount1"
STORAGE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# The newest storage protocol of Azurite 3.37; azure-storage-blob 12.31 would request a newer one.
STORAGE_API_VERSION = "2026-06-06"
# Name of PostgreSQL's one user, and of its one database.
DATABASE = "airflow"
# By the default of biztalk_services.provider.settings; without its pool the watchdog never runs.
WATCHDOG_POOL = {"name": "biztalk_watchdog", "slots": 8, "description": "The watchdogs only"}
TASKS_AT_ONCE = min(3 * (os.cpu_count() or 2), 16)
"""More would take the CPU from each other, and so from those that bring a suspended service back."""
PRELOADED = {"AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "False"}
"""For a program that forks: it has imported what its processes need (biztalk_services.provider.preload)."""


def storage_endpoint(ports: Ports) -> str:
    return f"http://{HOST}:{ports.azurite}/{STORAGE_ACCOUNT}"


def storage_connection_string(ports: Ports) -> str:
    """Azurite's account as the emulator's services use it for monitoring and archives."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={STORAGE_ACCOUNT};AccountKey={STORAGE_KEY};"
        f"BlobEndpoint={storage_endpoint(ports)}"
    )


def base_environment() -> dict[str, str]:
    """This process' environment without what would change the behaviour of Python or of another Airflow."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV", "_AIRFLOW"))
    }
    exempt = {HOST, "localhost", *filter(None, kept.get("NO_PROXY", kept.get("no_proxy", "")).split(","))}
    kept["NO_PROXY"] = kept["no_proxy"] = ",".join(sorted(exempt))
    return kept


def generated_secrets(path: Path) -> dict[str, str]:
    """Airflow's fernet key, API secret and JWT secret: made at the first call, kept in `path` for this user only."""
    return _kept(
        path,
        lambda: {
            "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        },
    )


def store_passwords(path: Path) -> dict[str, str]:
    """The passwords of `postgres` and `redis`, made and kept likewise."""
    return _kept(path, lambda: {store: secrets.token_hex(24) for store in ("postgres", "redis")})


def _kept(path: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(make(), file)
    return json.loads(path.read_text())


def airflow_settings(home: Path, ports: Ports, dags: Path, plugins: Path) -> dict[str, str]:
    """The settings of an Airflow on one machine, one disk and the loopback interface, in every layout."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{home}/logs",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": f"{home}/logs/dag_processor",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # Every user of this Airflow is the one person at this machine.
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow_url(ports)}/execution/",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": airflow_url(ports),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        # A changed file is read at once. The default reads all of them every 30 seconds, which takes CPU from steps.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        # The end of a task that fails is noticed this late; the default of 5 seconds lengthens a suspension.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def local_settings(database: Path) -> dict[str, str]:
    return {
        # A scheduler ends when the database stays locked; the five seconds of the default are short on a busy machine.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _sqlite(database, lock_seconds=60),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
        # A new triggerer takes over what a dead one has left after this many seconds. Where there are two, one that is
        # late with its heartbeat would lose its waits to the other one: 30 s, the default, are long enough.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }


def local_api_server_settings(database: Path) -> dict[str, str]:
    """
    Other settings of the API server.

    The API server commits the record of who requested a change on its event loop. While the commit waits for the lock
    of another request, that request cannot end, and no request gets a response. The commit therefore gives up soon, and
    the client sends its request again. A shorter time is not possible: a task whose new state waits for the lock for as
    long is recorded as failed.
    """
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _sqlite(database, lock_seconds=5)}


def _sqlite(database: Path, lock_seconds: int) -> str:
    return f"sqlite:///{database}?timeout={lock_seconds}"


def distributed_settings(ports: Ports, passwords: Mapping[str, str]) -> dict[str, str]:
    """As docker-compose.yaml has them, with the addresses of this machine."""
    database = f"postgresql+psycopg2://{DATABASE}:{passwords['postgres']}@{HOST}:{ports.postgres}/{DATABASE}"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker_url(ports, passwords),
        # Each takes a process; two workers have to share one machine with the other parts.
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
        # Of each scheduler. No task waits in the broker, which knows no priorities, behind one that can wait.
        "AIRFLOW__CORE__PARALLELISM": "4",
    }


def broker_url(ports: Ports, passwords: Mapping[str, str]) -> str:
    return f"redis://:{passwords['redis']}@{HOST}:{ports.redis}/0"


def airflow_url(ports: Ports) -> str:
    return f"http://{HOST}:{ports.airflow}"


def storage_connection(ports: Ports) -> dict:
    return {
        "conn_type": "wasb",
        "login": STORAGE_ACCOUNT,
        "password": STORAGE_KEY,
        "host": storage_endpoint(ports),
        "extra": {"api_version": STORAGE_API_VERSION},
    }


def management_connection(ports: Ports, pki: Path, subscription_id: str) -> dict:
    """How Airflow reaches the emulator; `pki` is the folder with the certificates that the emulator made."""
    return {
        "conn_type": "biztalk_services",
        "host": HOST,
        "port": ports.emulator,
        "login": subscription_id,
        "extra": {
            "certificate_path": str(pki / "management.pem"),
            "private_key_path": str(pki / "management.key"),
            "ca_bundle": str(pki / "ca.pem"),
        },
    }


def tracking_connection(database: Path) -> dict:
    return {"conn_type": "sqlite", "host": str(database), "extra": {"mode": "ro"}}


def access_control_connection(ports: Ports, pki: Path, namespace: str, key: str) -> dict:
    """How Airflow gets tokens for the partner management of a service of the emulator."""
    return {
        "conn_type": "generic",
        "host": f"https://{HOST}",
        "port": ports.emulator_data,
        "login": "owner",
        "password": key,
        "extra": {"namespace": namespace, "ca_bundle": str(pki / "ca.pem")},
    }


def sql_connection(database: dict, check_conn_id: str) -> dict:
    """The tracking database as its service uses it; Airflow reaches its SQLite file by another connection."""
    return {
        "conn_type": "generic",
        "host": database["server"],
        "schema": database["database"],
        "login": database["user"],
        "password": database["password"],
        "extra": {"check_conn_id": check_conn_id},
    }


def connection_environment(connections: Mapping[str, dict]) -> dict[str, str]:
    """Connections (id -> fields) as the environment variables from which Airflow reads them."""
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}
