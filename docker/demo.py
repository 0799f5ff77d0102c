"""The demo's last step: imports Airflow's connections to the emulator and to Azurite, and starts a first backup."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HOME = Path("/opt/airflow/demo")
ADMIN = "http://emulator:18444"
DAG_ID = "biztalk_nightly_backup"
STARTED = "biztalk_backup"
"""The DAG whose runs a nightly run starts."""
DAG_SECONDS = 300
COMMAND_SECONDS = 120
POLL_SECONDS = 5
# Azurite's account, published in its documentation and the same everywhere; it protects nothing.
STORAGE_ACCOUNT = "devstoreaccount1"
STORAGE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def main() -> None:
    connections = HOME / "connections.json"
    credentials = json.loads((HOME / "sample-credentials.json").read_text())
    connections.write_text(json.dumps(demo_connections(read_admin("/health"), read_admin("/services"), credentials)))
    airflow("connections", "import", "--overwrite", str(connections))
    for dag_id in (STARTED, DAG_ID):
        wait_for_dag(dag_id)
    # All others but the restore are not paused at their creation.
    airflow("dags", "unpause", "--yes", DAG_ID)
    airflow("dags", "trigger", DAG_ID)


def demo_connections(health: dict, fleet: dict, credentials: dict) -> dict[str, dict]:
    """Airflow's connections (id -> fields) from the emulator's responses to `/health` and `/services`, and from the
    credentials of the sample services.
    """
    tracking = {
        f"biztalk_tracking_{service['name'].lower()}": {
            "conn_type": "sqlite",
            "host": service["tracking_database"],
            "extra": {"mode": "ro"},
        }
        for service in fleet["services"]
        if service["tracking_database"]
    }
    storage = {
        "conn_type": "wasb",
        "login": STORAGE_ACCOUNT,
        "password": STORAGE_KEY,
        "host": f"http://azurite:10000/{STORAGE_ACCOUNT}",
        "extra": {"api_version": "2026-06-06"},
    }
    return {
        "biztalk_default": {
            "conn_type": "biztalk_services",
            "host": "emulator",
            "port": 18443,
            "login": health["subscription_id"],
            "extra": {
                "certificate_path": f"{HOME}/pki/management.pem",
                "private_key_path": f"{HOME}/pki/management.key",
                "ca_bundle": f"{HOME}/pki/ca.pem",
            },
        },
        "biztalk_backup_storage": storage,
        f"biztalk_store_{STORAGE_ACCOUNT}": storage,
        **tracking,
        **service_connections(credentials),
    }


def service_connections(credentials: dict) -> dict[str, dict]:
    """The connections to each service's Access Control namespace, and to its tracking database as it is used there."""
    found = {}
    for service, known in credentials["services"].items():
        namespace, database = known["access_control"], known["tracking_database"]
        found[f"biztalk_acs_{namespace['namespace'].lower()}"] = {
            "conn_type": "generic",
            "host": "https://emulator",
            "port": 18445,
            "login": "owner",
            "password": namespace["key"],
            "extra": {"namespace": namespace["namespace"], "ca_bundle": f"{HOME}/pki/ca.pem"},
        }
        found[f"biztalk_sql_{database['database'].lower()}"] = {
            "conn_type": "generic",
            "host": database["server"],
            "schema": database["database"],
            "login": database["user"],
            "password": database["password"],
            "extra": {"check_conn_id": f"biztalk_tracking_{service.lower()}"},
        }
    return found


def wait_for_dag(dag_id: str) -> None:
    """Return once Airflow has loaded a DAG; exit with one sentence and Airflow's last lines when it does not."""
    deadline = time.monotonic() + DAG_SECONDS
    while (details := airflow("dags", "details", dag_id, check=False)).returncode != 0:
        if time.monotonic() > deadline:
            last = "\n".join(details.stdout.strip().splitlines()[-5:])
            sys.exit(
                f"Airflow has not loaded the DAG {dag_id} within {DAG_SECONDS} seconds; "
                f"check the logs of airflow-dag-processor. Its last lines:\n{last}"
            )
        time.sleep(POLL_SECONDS)


def read_admin(path: str) -> dict:
    """Return the emulator's response to a GET at its admin port."""
    with urllib.request.urlopen(ADMIN + path, timeout=10) as response:
        return json.load(response)


def airflow(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the `airflow` command; the output of one that may fail (`check=False`) is returned, not shown."""
    output = None if check else subprocess.PIPE
    return subprocess.run(
        ["airflow", *arguments],
        check=check,
        timeout=COMMAND_SECONDS,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        text=True,
    )


if __name__ == "__main__":
    main()
