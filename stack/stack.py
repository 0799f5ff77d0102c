"""The embedded stack: emulator, Azurite and Airflow on 127.0.0.1, with all its files in one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stack import parts, settings
from stack.airflow_api import AirflowApi
from stack.emulator_api import EmulatorApi, sample_credentials
from stack.errors import PartEndedError, StackError
from stack.layouts import LAYOUTS, LOCAL, Layout
from stack.parts import ROOT, Part
from stack.ports import HOST, Ports, require_free
from stack.processes import Process, stop

STOP_SECONDS = 10
# The triggerer takes 10 seconds to end by itself; its triggers only read, so nothing is lost by not waiting.
TRIGGERER_STOP_SECONDS = 2
READY_SECONDS = 240
MIGRATION_SECONDS = 600
POLL_SECONDS = 0.1
STARTED = "started.json"


class Start(NamedTuple):
    """How a stack was started."""

    ports: Ports
    layout: Layout


class Stack:
    """A stack in the folder `home`. Several can run side by side, each with its own home and ports.

    :param home: folder for databases, blobs, logs, generated secrets and process records.
    :param ports: where its servers listen.
    :param layout: how Airflow is laid out.
    :param dags: Airflow's DAGs folder.
    :param plugins: Airflow's plugins folder.
    :param emulator_options: further options of `biztalk_emulator serve`, for example
        `["--durations", '{"backup": 0.5}']`.
    :param airflow_settings: further `AIRFLOW__SECTION__KEY` and `AIRFLOW_CONN_ID` settings; they override the stack's
        own.
    :param beside: another stack, whose emulator and Azurite this Airflow uses. They have to run first, and they are
        neither started nor ended here. `servers` is the stack that they belong to.
    """

    def __init__(
        self,
        home: Path,
        ports: Ports,
        *,
        layout: Layout = LOCAL,
        dags: Path = ROOT / "dags",
        plugins: Path = ROOT / "plugins",
        emulator_options: Sequence[str] = (),
        airflow_settings: Mapping[str, str] | None = None,
        beside: Stack | None = None,
    ) -> None:
        self.home = home.resolve()
        self.ports = ports
        self.layout = layout
        self.dags = dags.resolve()
        self.plugins = plugins.resolve()
        self.emulator_options = tuple(emulator_options)
        self.airflow_settings = dict(airflow_settings or {})
        self.url = settings.airflow_url(ports)
        self.airflow = AirflowApi(self.url)
        self._beside = beside
        self.servers = beside.servers if beside else self
        self.emulator = EmulatorApi(f"http://{HOST}:{self.servers.ports.emulator_admin}")
        self._started: tuple[Sequence[Part], Sequence[Part]] = ([], [])

    # Start and stop

    def start(self, show: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run, start anew what runs with old settings or old code, and wait until all is ready.

        `show` receives a line about each step. Raises `StackError` when a port is in use or a part does not start.
        """
        with self._alone():
            self._require_layout()
            self.layout.require()
            stores = self.layout.store_parts(self.home, self.ports)
            servers = stores if self._beside else [*stores, self._azurite(), self._emulator()]
            self._require_ports(servers)
            self.layout.prepare(self.home)
            started = {"ports": dataclasses.asdict(self.ports), "layout": self.layout.name}
            (self.home / STARTED).write_text(json.dumps(started))
            fresh = self._launch(servers)
            self._await_servers(stores)
            with self._migrating():
                if fresh:
                    show(f"Starting {', '.join(part.name for part in fresh)}")
                self._await_servers(servers)
            airflow = self._airflow()
            fresh = self._launch(airflow)
            if fresh:
                show(f"Starting Airflow ({', '.join(part.name for part in fresh)})")
            self._await_airflow()
            self.airflow.ensure_pool(**settings.WATCHDOG_POOL)
            self._started = servers, airflow

    def revive(self) -> None:
        """Start the parts that have ended since :meth:`start` with the same settings, and wait until all is ready.

        A triggerer whose runner was killed ends some seconds later: each part that ends meanwhile is started, too.
        """
        servers, airflow = self._started
        with self._alone():
            self._launch(servers)
            self._await_servers(servers)
            for left in reversed(range(len(airflow))):
                self._launch(airflow)
                try:
                    self._await_airflow()
                    break
                except PartEndedError:
                    if not left:
                        raise

    def stop(self) -> None:
        """End everything that this stack has started, the last started first; other programs are never touched."""
        with self._alone():
            for group in (list(self.layout.programs), self._servers()):
                self._stop(group[::-1])

    @contextlib.contextmanager
    def up(self) -> Iterator[Stack]:
        """The stack as :meth:`start` leaves it; at the end of the block it is stopped, also when it did not come up."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def kill(self, name: str) -> None:
        """End one part at once and without warning, as in a crash."""
        process = self._process(name)
        if process:
            process.kill()

    def restart(self, name: str) -> None:
        """Stop one part if it runs, start it, and wait until the whole stack is ready."""
        with self._alone():
            self._stop([name])
        self.start()

    def running(self) -> dict[str, Process | None]:
        """For each part its process, or None when it does not run."""
        processes = {name: self._process(name) for name in self._names()}
        return {name: process if process and process.alive else None for name, process in processes.items()}

    def latest_start(self) -> Start | None:
        """Ports and layout of the latest start, which may differ from this stack's; None when no part runs."""
        try:
            record = json.loads((self.home / STARTED).read_text())
            started = Start(Ports(**record["ports"]), LAYOUTS[record["layout"]])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        recorded = [record.stem for record in (self.home / "run").glob("*.json")]
        return started if any(self._alive(name) for name in recorded) else None

    def log(self, name: str) -> Path:
        """The file with the output of a part."""
        return self.home / "logs" / f"{name}.log"

    # Airflow's environment

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of Airflow's parts, connections included, for example to run the `airflow` command."""
        return self._airflow()[0].environment

    def core_settings(self) -> dict[str, str]:
        """Airflow's settings, without connections."""
        return {
            **settings.airflow_settings(self._folder("airflow"), self.ports, self.dags, self.plugins),
            **self.layout.settings(self.home, self.ports),
            **settings.generated_secrets(self.home / "secrets.json"),
            **self.airflow_settings,
        }

    @property
    def connections(self) -> dict[str, dict]:
        """Airflow's connections (id -> fields); the emulator has to run, because its services are read from it."""
        if self._beside:
            return self._beside.connections
        pki, subscription = self.home / "emulator/pki", self.emulator.subscription_id()
        tracking = {
            f"biztalk_tracking_{service.lower()}": settings.tracking_connection(database)
            for service, database in self.emulator.tracking_databases().items()
        }
        storage = settings.storage_connection(self.ports)
        return {
            "biztalk_default": settings.management_connection(self.ports, pki, subscription),
            "biztalk_backup_storage": storage,
            f"biztalk_store_{settings.STORAGE_ACCOUNT}": storage,
            **tracking,
            **self._sample_connections(pki),
        }

    def _sample_connections(self, pki: Path) -> dict[str, dict]:
        """Connections for the sample services, with the credentials in the emulator's folder."""
        found = {}
        for service, known in sample_credentials(self.home / "emulator").items():
            namespace, database = known["access_control"], known["tracking_database"]
            found[f"biztalk_acs_{namespace['namespace'].lower()}"] = settings.access_control_connection(
                self.ports, pki, namespace["namespace"], namespace["key"]
            )
            found[f"biztalk_sql_{database['database'].lower()}"] = settings.sql_connection(
                database, f"biztalk_tracking_{service.lower()}"
            )
        return found

    # Parts

    def _azurite(self) -> Part:
        return parts.azurite(self._folder("storage"), self.ports)

    def _emulator(self) -> Part:
        return parts.emulator(self._folder("emulator"), self.ports, self.emulator_options)

    def _airflow(self) -> list[Part]:
        connections = settings.connection_environment(self.connections)
        common = {**self.core_settings(), **connections, **self.airflow_settings}
        of_each = {name: {**common, **self.layout.settings_of(name, self.home)} for name in self.layout.programs}
        return parts.airflow(self._folder("airflow"), self.layout.programs, of_each, self.plugins)

    def _folder(self, name: str) -> Path:
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # Processes

    def _record(self, name: str) -> Path:
        return self.home / "run" / f"{name}.json"

    def _process(self, name: str) -> Process | None:
        return Process.load(self._record(name))

    def _servers(self) -> list[str]:
        return [*self.layout.stores, *(() if self._beside else ("azurite", "emulator"))]

    def _names(self) -> list[str]:
        return [*self._servers(), *self.layout.programs]

    def _alive(self, name: str) -> bool:
        process = self._process(name)
        return process is not None and process.alive

    def _require_layout(self) -> None:
        running = self.latest_start()
        if running and running.layout is not self.layout:
            raise StackError(
                f"What runs here is the {running.layout.name} stack, not the {self.layout.name} one; nothing was "
                "changed. End it with `make down` first."
            )

    def _require_ports(self, servers: Sequence[Part]) -> None:
        """Refuse before anything is started; a port that one of our own parts holds is not busy."""
        ours = {port for name in self._names() for port in self._ports_held(name)}
        wanted = [(field, getattr(self.ports, field)) for part in servers for field in part.ports]
        for field, port in [*wanted, ("airflow", self.ports.airflow)]:
            if port not in ours:
                require_free(field, port)

    def _ports_held(self, name: str) -> Sequence[int]:
        process = self._process(name)
        return process.ports if process and process.alive else ()

    def _launch(self, wanted: Sequence[Part]) -> list[Part]:
        """Start those that do not run as they should; returns them."""
        stale = [part for part in wanted if not self._current(part)]
        self._stop([part.name for part in reversed(stale)])
        self._folder("logs")
        for part in stale:
            Process.start(
                part.command,
                environment=part.environment,
                directory=part.directory,
                log=self.log(part.name),
                ports=[getattr(self.ports, field) for field in part.ports],
                fingerprint=part.fingerprint,
                user=part.user,
                data=part.data,
            ).save(self._record(part.name))
        return stale

    def _current(self, part: Part) -> bool:
        process = self._process(part.name)
        return process is not None and process.alive and process.fingerprint == part.fingerprint

    def _stop(self, names: Sequence[str]) -> None:
        grace = {name: TRIGGERER_STOP_SECONDS if name.startswith("triggerer") else STOP_SECONDS for name in names}
        stop({process: grace[name] for name in names if (process := self._process(name))})
        for name in names:
            self._record(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Run one command at a time; a second one waits."""
        with (self._folder("run") / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # Readiness

    def _await_servers(self, servers: Sequence[Part]) -> None:
        for part in servers:
            self._await(part.name, part.ready)

    def _await_airflow(self) -> None:
        programs = self.layout.programs
        newest = max(process.at for name in programs if (process := self._process(name)))
        self._await("api-server", lambda: self._airflow_is_ready(newest), programs)

    def _airflow_is_ready(self, since: float) -> bool:
        return self.airflow.healthy(since) and self.layout.complete(self.home, self.ports, self.airflow, since)

    def _await(self, name: str, ready: Callable[[], bool], watched: Iterable[str] = ()) -> None:
        """Poll until `ready`; raise as soon as one of the parts behind it has ended, or at the deadline."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            for part in watched or [name]:
                if not self._alive(part):
                    raise self._failure(part, "ended right after its start", PartEndedError)
            if time.monotonic() > deadline:
                raise self._failure(name, f"is not ready after {READY_SECONDS} seconds")
            time.sleep(POLL_SECONDS)

    def _failure(self, name: str, what: str, kind: type[StackError] = StackError) -> StackError:
        return kind(f"The part {name} {what}; the last lines of {self.log(name)}:\n{tail(self.log(name))}")

    # Airflow's database

    @contextlib.contextmanager
    def _migrating(self) -> Iterator[None]:
        """Create or upgrade Airflow's database beside the body, unless this very installation has done it.

        The migration never outlives the body's failure.
        """
        done = self._migrated.exists() and self._migrated.read_text() == _installation()
        if done and (self.home / self.layout.database).exists():
            yield
            return
        part = Part("migration", parts.airflow_command("db", "migrate"), self.core_settings(), self._folder("airflow"))
        with self.log("migration").open("ab") as output:
            migration = subprocess.Popen(
                part.command, env=part.environment, cwd=part.directory, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield
            code = migration.wait(MIGRATION_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure("migration", f"is not done after {MIGRATION_SECONDS} seconds") from None
        finally:
            migration.kill()
            migration.wait()
        if code != 0:
            raise self._failure("migration", "has failed")
        self._migrated.write_text(_installation())

    @property
    def _migrated(self) -> Path:
        return (self.home / self.layout.database).with_name("migrated")


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no output)"


def _installation() -> str:
    from importlib.metadata import version

    return f"apache-airflow {version('apache-airflow')}"
