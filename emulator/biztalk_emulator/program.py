"""The emulator as a whole: store, clock, backups, restores and the three ports."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from biztalk_emulator import pki, times
from biztalk_emulator.admin.api import AdminApi, trust
from biztalk_emulator.backups import BackupRunner
from biztalk_emulator.business import sample_credentials, sample_fleet
from biztalk_emulator.business.sample_fleet import SAMPLE_STORAGE
from biztalk_emulator.clock import Clock
from biztalk_emulator.connection_strings import ConnectionStringError, parse_storage
from biztalk_emulator.data_port.api import DataApi
from biztalk_emulator.faults import Faults
from biztalk_emulator.http_server import HttpServer, tls_context
from biztalk_emulator.journal import Journal
from biztalk_emulator.lifecycle import Lifecycle, new_etag
from biztalk_emulator.management.api import REGISTERED, SUBSCRIPTION, ManagementApi
from biztalk_emulator.message_desk import MessageDesk
from biztalk_emulator.restores import RestoreRunner
from biztalk_emulator.state_chart import ACTIVE
from biztalk_emulator.store import Service, Store
from biztalk_emulator.world import World

SAMPLE_SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"


class CannotStart(Exception):
    """The emulator cannot start; the message is one sentence with the reason."""


class Emulator:
    """One emulator on one home folder.

    :param home: folder of all its files; made when missing.
    :param port: of the management API, HTTPS; 0 for any free one.
    :param admin_port: of the admin API, HTTP; 0 for any free one.
    :param data_port: of tokens and trading partner management, HTTPS; 0 for any free one; by default two above `port`,
        and any free one when that is 0.
    :param sample_fleet: fill an empty store with the sample subscription.
    :param sample_storage: connection string of the account that the sample's services use for monitoring and archives.
    :param sample_copies: number of additional small services of one kind.
    :param settings: changes to the settings, as PATCH /settings accepts them.
    :param server_names: further names in the server's certificate.
    :raises CannotStart: when a port is taken, a server name is impossible, or the home cannot be used or is used by
        another emulator.
    :raises SettingsError: when `settings` are not possible.
    """

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 18443,
        admin_port: int = 18444,
        data_port: int | None = None,
        sample_fleet: bool = False,
        sample_storage: str = SAMPLE_STORAGE,
        sample_copies: int = 0,
        settings: dict[str, Any] | None = None,
        server_names: Iterable[str] = (),
    ) -> None:
        self._stopping = threading.Event()
        self._credentials = home / "sample-credentials.json"
        with ExitStack() as opened:
            opened.enter_context(_usable(home))
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened.enter_context(_lock(home))
            self._store = Store(home / "emulator.db")
            opened.callback(self._store.close)
            journal = Journal(self._store)
            self._lifecycle = Lifecycle(self._store, journal)
            faults = Faults(self._store)
            self._world = World(self._store, home / "tracking")
            self._desk = MessageDesk(self._lifecycle, self._world)
            self._backups = BackupRunner(self._lifecycle, self._stopping)
            self._restores = RestoreRunner(self._lifecycle, self._desk, self._world, self._stopping)
            self._clock = Clock(self._lifecycle, self._desk, self._stopping)
            self.pki = _prepare_pki(home / "pki", server_names)
            (home / "tracking").mkdir(mode=0o700, exist_ok=True)
            self._prepare_subscription(sample_fleet, _usable_storage(sample_storage), sample_copies)
            management = ManagementApi(
                self._lifecycle, faults, journal, self._backups, self._restores, self._desk, self._world
            )
            admin = AdminApi(self._lifecycle, faults, journal, self._desk, self._world)
            self._management = _listen(host, port, management, tls_context(self.pki.server, self.pki.server_key))
            opened.callback(self._management.server_close)
            self._admin = _listen(host, admin_port, admin, None)
            opened.callback(self._admin.server_close)
            data = DataApi(self._lifecycle, faults, journal, self._world)
            context = tls_context(self.pki.server, self.pki.server_key, request_certificate=False)
            self._data = _listen(host, default_data_port(port) if data_port is None else data_port, data, context)
            opened.callback(self._data.server_close)
            if settings:
                self._lifecycle.change_settings(settings)
            self._opened = opened.pop_all()

    @property
    def port(self) -> int:
        """Port of the management API."""
        return self._management.port

    @property
    def admin_port(self) -> int:
        """Port of the admin API."""
        return self._admin.port

    @property
    def data_port(self) -> int:
        """Port of tokens and trading partner management."""
        return self._data.port

    @property
    def subscription_id(self) -> str:
        """The one subscription."""
        return self._store.fact(SUBSCRIPTION)

    def start(self) -> None:
        """Carry on what was running and begin to answer."""
        for service in self._store.services():
            self._desk.try_tracking(service)
        self._clock.start()
        self._backups.carry_on()
        self._restores.carry_on()
        self._management.start()
        self._admin.start()
        self._data.start()

    def stop(self) -> None:
        """End cleanly; running operations go on at the next start."""
        self._stopping.set()
        self._lifecycle.wake()
        self._management.stop()
        self._admin.stop()
        self._data.stop()
        self._clock.join()
        self._opened.close()

    def _prepare_subscription(self, with_sample: bool, storage: str, copies: int) -> None:
        with self._store.transaction():
            if self._store.fact(SUBSCRIPTION) is None:
                self._store.save_fact(SUBSCRIPTION, SAMPLE_SUBSCRIPTION)
                trust(self._store, pki.load(self.pki.management.read_bytes()))
            if with_sample and not self._store.cloud_services():
                sample = sample_fleet.sample_subscription(storage=storage, copies=copies)
                sample_credentials.write(self._credentials, sample)
                self._fill(sample)
            self._world.introduce_once()

    def _fill(self, subscription: dict[str, Any]) -> None:
        self._store.save_fact(SUBSCRIPTION, subscription["subscription_id"])
        self._store.save_fact(REGISTERED, True)
        for group in subscription["cloud_services"]:
            made = self._lifecycle.create_cloud_service(
                group["name"], group["label"], group["description"], group["geo_region"]
            )
            for each in group["services"]:
                self._store.save_service(
                    Service(
                        name=each["name"],
                        cloud_service=made.key,
                        state=ACTIVE,
                        etag=new_etag(),
                        created_at=times.now(),
                        settings=each["settings"],
                        content=each["content"],
                        runtime=each["runtime"],
                    )
                )
                self._world.introduce(each["settings"])


def default_data_port(port: int) -> int:
    """The data port beside a management port: 18445 beside 18443, any free one beside any free one."""
    return port + 2 if 0 < port <= 65533 else 0


@contextmanager
def _usable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotStart(f"Cannot use the folder {home} ({error.strerror or error}); choose another --home.") from None
    except sqlite3.Error as error:
        raise CannotStart(
            f"Cannot use the database emulator.db in the folder {home} ({error}); choose another --home."
        ) from None


def _prepare_pki(folder: Path, server_names: Iterable[str]) -> pki.Pki:
    try:
        return pki.prepare(folder, server_names)
    except pki.ImpossibleName as error:
        raise CannotStart(str(error)) from None


def _usable_storage(text: str) -> str:
    try:
        parse_storage(text)
    except ConnectionStringError as error:
        raise CannotStart(f"--sample-storage cannot be used: {error}") from None
    return text


def _lock(home: Path) -> TextIO:
    file = (home / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotStart(f"Another emulator uses the folder {home}; stop it or choose another --home.") from None
    return file


def _listen(host: str, port: int, application: Any, context: Any) -> HttpServer:
    try:
        return HttpServer(host, port, application, context)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no possible address"
        raise CannotStart(
            f"Cannot listen on {host} port {port} ({reason}); choose another --port, --admin-port or --data-port."
        ) from None
