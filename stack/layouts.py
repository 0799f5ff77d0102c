"""How Airflow is laid out: in four programs on SQLite, or distributed, as docker-compose.yaml has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack import settings, stores
from stack.airflow_api import AirflowApi
from stack.parts import Part
from stack.ports import Ports

RESPONSE_SECONDS = 5
# Their log servers would listen on every interface; all logs are in one folder of this machine anyway.
SCHEDULER = ["scheduler", "--skip-serve-logs"]
TRIGGERER = ["triggerer", "--skip-serve-logs"]
WORKER = ["celery", "worker", "--skip-serve-logs"]


@dataclass(frozen=True)
class Layout:
    """The simplest layout; others add to it.

    :param programs: name of a part -> arguments of the `airflow` command, in the order of their start.
    :param database: path of Airflow's database below the stack's folder.
    :param forks: the kinds of programs that fork what needs the library: tasks, triggers, the parsing of DAG files.
    :param stores: names of the parts that have to run before Airflow's database can be made.
    """

    name: str
    programs: Mapping[str, Sequence[str]]
    database: str
    forks: Sequence[str]
    stores: Sequence[str] = ()

    def named(self, kind: str) -> list[str]:
        """The parts of a kind, for example `scheduler`."""
        return [name for name in self.programs if name.startswith(kind)]

    def require(self) -> None:
        """Raise `StackError` when this machine lacks something."""

    def prepare(self, home: Path) -> None:
        """Create what the stores require at their start."""

    def store_parts(self, home: Path, ports: Ports) -> list[Part]:
        return []

    def settings(self, home: Path, ports: Ports) -> dict[str, str]:
        """Airflow's settings in this layout, beside those of every layout."""
        return settings.local_settings(home / self.database)

    def settings_of(self, program: str, home: Path) -> dict[str, str]:
        """Further or other settings of one program."""
        if program == "api-server":
            return settings.local_api_server_settings(home / self.database)
        return self._preloaded(program)

    def _preloaded(self, program: str) -> dict[str, str]:
        return settings.PRELOADED if program.startswith(tuple(self.forks)) else {}

    def complete(self, home: Path, ports: Ports, airflow: AirflowApi, since: float) -> bool:
        """Whether, where Airflow is healthy, each of its programs is; heartbeats before `since` do not count."""
        return True


class Distributed(Layout):
    """Celery workers on PostgreSQL and Redis, and two of everything that can be doubled."""

    def require(self) -> None:
        stores.require_programs()

    def prepare(self, home: Path) -> None:
        stores.prepare(home, _passwords(home))

    def store_parts(self, home: Path, ports: Ports) -> list[Part]:
        passwords = _passwords(home)
        return [stores.postgres(home, ports, passwords["postgres"]), stores.redis(home, ports, passwords["redis"])]

    def settings(self, home: Path, ports: Ports) -> dict[str, str]:
        return settings.distributed_settings(ports, _passwords(home))

    def settings_of(self, program: str, home: Path) -> dict[str, str]:
        return self._preloaded(program)

    def complete(self, home: Path, ports: Ports, airflow: AirflowApi, since: float) -> bool:
        return (
            airflow.alive("SchedulerJob", since) >= len(self.named("scheduler"))
            and airflow.alive("TriggererJob", since) >= len(self.named("triggerer"))
            and self.workers(home, ports) >= set(self.named("worker"))
        )

    def workers(self, home: Path, ports: Ports) -> set[str]:
        """The names of the Celery workers that respond."""
        from celery import Celery

        with Celery(broker=settings.broker_url(ports, _passwords(home))) as queue:
            responses = queue.control.ping(timeout=RESPONSE_SECONDS, limit=len(self.named("worker")))
        return {name.rpartition("@")[2] for response in responses for name in response}


LOCAL = Layout(
    "local",
    {
        "api-server": ["api-server"],
        "scheduler": SCHEDULER,
        "dag-processor": ["dag-processor"],
        "triggerer": TRIGGERER,
    },
    database="airflow/airflow.db",
    forks=("scheduler", "dag-processor", "triggerer"),
)
DISTRIBUTED = Distributed(
    "distributed",
    {
        "api-server": ["api-server"],
        "scheduler-1": SCHEDULER,
        "scheduler-2": SCHEDULER,
        "dag-processor": ["dag-processor"],
        "triggerer-1": TRIGGERER,
        "triggerer-2": TRIGGERER,
        "worker-1": [*WORKER, "--celery-hostname", "worker-1"],
        "worker-2": [*WORKER, "--celery-hostname", "worker-2"],
    },
    database="postgres/data",
    forks=("worker", "dag-processor", "triggerer"),
    stores=("postgres", "redis"),
)
LAYOUTS = {layout.name: layout for layout in (LOCAL, DISTRIBUTED)}


def _passwords(home: Path) -> dict[str, str]:
    return settings.store_passwords(home / "store-passwords.json")
