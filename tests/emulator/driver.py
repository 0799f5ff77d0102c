"""Runs emulators as processes and sends requests to them over HTTPS and the admin port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import requests

ROOT = Path(__file__).resolve().parents[2]
SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
QUICK = (
    '{"create": 0.2, "update": 0.2, "scale": 0.2, "service_update": 0.2, "suspend": 0.1, "resume": 0.1, "restart": 0.1,'
    ' "start": 0.1, "stop": 0.1, "disable": 0.1, "enable": 0.1, "sync_keys": 0.1, "backup": 0.2, "restore": 0.2,'
    ' "delete": 0.1,'
    ' "create_cloud_service": 0.1, "delete_cloud_service": 0.1}'
)
PATIENCE_SECONDS = 60
"""How long a busy machine may need for what takes no time on an idle one."""


def eventually(read: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Return the first true result of `read`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = read()
        if answer:
            return answer
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class EmulatorProcess:
    """One emulator on a home folder; ports stay the same over restarts."""

    def __init__(self, home: Path, *options: str, durations: str = QUICK) -> None:
        self.home = home
        self._options = options
        self._durations = durations
        self._ports = ("0", "0", "0")
        self._groups: dict[str, str] = {}
        self._errors = home.parent / f"{home.name}.stderr"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> EmulatorProcess:
        port, admin_port, data_port = self._ports
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "biztalk_emulator", "serve", "--home", str(self.home), "--port", port),
                *("--admin-port", admin_port, "--data-port", data_port, "--durations", self._durations),
                *self._options,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT / "emulator"), "NO_PROXY": "*", "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=self._errors.open("a"),
            text=True,
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        facts = dict(part.partition("=")[::2] for part in line.split()[1:])
        return self.connect(facts["management"], facts["admin"], facts["data"])

    def connect(self, url: str, admin_url: str, data_url: str = "") -> EmulatorProcess:
        """Connect to the emulator of this home, whoever started it."""
        self.url = url
        self.admin_url = admin_url
        self.data_url = data_url
        data_port = data_url.rpartition(":")[2] or "0"
        self._ports = (self.url.split("/")[2].split(":")[1], self.admin_url.split(":")[2], data_port)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.home / "pki/ca.pem")
        self.session.cert = (str(self.home / "pki/management.pem"), str(self.home / "pki/management.key"))
        self.session.headers["x-ms-version"] = "2013-04-26"
        self._admin_session = requests.Session()
        self._admin_session.trust_env = False
        self._data_session = requests.Session()
        self._data_session.trust_env = False
        self._data_session.verify = self.session.verify
        return self

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"It did not stop; what its threads did:\n{self._errors.read_text()}") from None
        finally:
            self.process.stdout.close()

    def errors(self) -> str:
        """What it wrote on standard error."""
        return self._errors.read_text()

    @property
    def port(self) -> int:
        return int(self._ports[0])

    # Management API.

    def request(self, method: str, path: str, **how: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=PATIENCE_SECONDS, **how)

    def path(self, name: str, *, through: bool = True) -> str:
        if name not in self._groups:
            self._groups[name] = self.admin("GET", f"/services/{name}")["cloud_service"]
        group = self._groups[name]
        return f"/cloudservices/{group}/resources/biztalkservices{'/~' if through else ''}/biztalk/{name}"

    def act(self, name: str, comp: str, **how: Any) -> requests.Response:
        return self.request("POST", f"{self.path(name)}?comp={comp}", **how)

    def state(self, name: str) -> str:
        return text(self.request("GET", self.path(name)), "SubState")

    def etag(self, name: str) -> str:
        return self.request("GET", self.path(name)).headers["ETag"]

    def reaches(self, name: str, state: str) -> None:
        eventually(lambda: self.state(name) == state)

    def operation(self, answer: requests.Response) -> str:
        """Final status of the operation that `answer` began."""
        path = f"/operations/{answer.headers['x-ms-request-id']}"
        return eventually(lambda: (status := text(self.request("GET", path), "Status")) != "InProgress" and status)

    def update(self, name: str, *, if_match: str | None = None, **settings: str) -> requests.Response:
        etag = if_match or self.etag(name)
        headers = {"Content-Type": "application/xml", "If-Match": etag}
        return self.request("PUT", self.path(name, through=False), data=resource(**settings), headers=headers)

    def create(
        self,
        name: str,
        *,
        group: str = "contoso-west-us",
        headers: dict[str, str] | None = None,
        **settings: str,
    ) -> requests.Response:
        """Create a standard service with a tracking database of its own."""
        defaults = {
            "ServiceVersion": "1.1.0",
            "Edition": "standard",
            "UnitCount": "1",
            "TrackingStoreConnectionString": f"Data Source=tcp:x;Initial Catalog={name}Tracking;Password=hidden-{name}",
        }
        return self.request(
            "PUT",
            f"/cloudservices/{group}/resources/biztalkservices/biztalk/{name}",
            data=resource(**{**defaults, **settings}),
            headers={"Content-Type": "application/xml", **(headers or {})},
        )

    def back_up(self, name: str, backup_name: str, storage: str, **headers: str) -> requests.Response:
        body = (
            f"<ServiceBackupSettings><BackupStoreConnectionString>{storage}</BackupStoreConnectionString>"
            f"<BackupName>{backup_name}</BackupName></ServiceBackupSettings>"
        )
        return self.act(name, "backup", data=body, headers={"Content-Type": "application/xml", **headers})

    def restore(
        self,
        name: str,
        backup_name: str,
        storage: str,
        *,
        group: str = "contoso-west-us",
        headers: dict[str, str | None] | None = None,
        **overrides: str,
    ) -> requests.Response:
        """Restore into a service of this name; a certificate is overridden by `Certificate=(data, password)`."""
        answer = self.request(
            "PUT",
            f"/cloudservices/{group}/resources/biztalkservices/biztalk/{name}",
            data=restore_body(backup_name, storage, **overrides),
            headers={"Content-Type": "application/xml", "x-ms-client-request-id": "test", **(headers or {})},
        )
        if answer.status_code == 202:
            self._groups[name] = group
        return answer

    def provider_status(self, name: str, answer: requests.Response) -> requests.Response:
        """The resource provider's status of the operation that `answer` began, once it has ended."""
        path = f"{self.path(name)}?OperationStatus/{answer.headers['x-ms-request-id']}"
        return eventually(
            lambda: (status := self.request("GET", path)) and text(status, "Result") != "InProgress" and status
        )

    def give_up(self, name: str) -> None:
        """Delete a service and wait until it is gone."""
        assert self.operation(self.request("DELETE", self.path(name, through=False))) == "Succeeded"
        eventually(lambda: self.raw_admin("GET", f"/services/{name}").status_code == 404)

    # Data port, without client certificate.

    def data(self, method: str, path: str, **how: Any) -> requests.Response:
        """Send a request to the data port; `path` begins with the host."""
        return self._data_session.request(method, f"{self.data_url}/{path}", timeout=PATIENCE_SECONDS, **how)

    def request_token(self, name: str, key: str, *, namespace: str = "", **form: str) -> requests.Response:
        """Request from the namespace of a sample service a token that opens the service."""
        scope = f"http://{name}.biztalk.windows.net/default/$PartnerManagement/"
        form = {"wrap_name": "owner", "wrap_password": key, "wrap_scope": scope, **form}
        host = f"{namespace or name.lower() + 'acs'}.accesscontrol.windows.net"
        return self.data("POST", f"{host}/WRAPv0.9/", data=form)

    # Admin port.

    def raw_admin(self, method: str, path: str, body: Any = None, **how: Any) -> requests.Response:
        return self._admin_session.request(method, self.admin_url + path, json=body, timeout=PATIENCE_SECONDS, **how)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.raw_admin(method, path, body)
        assert answer.ok, answer.text
        return answer.json()

    @contextmanager
    def put_back(self) -> Iterator[EmulatorProcess]:
        """Afterwards its settings are as they were, there are no faults, and every service is Active."""
        settings = self.admin("GET", "/settings")
        yield self
        self.admin("DELETE", "/faults")
        self.admin("PATCH", "/settings", settings)
        for service in self.admin("GET", "/services")["services"]:
            if service["state"] != "Active":
                self.force(service["name"], "Active")

    def slow_down(self, *kinds: str) -> None:
        """Let operations of these kinds last until they are released."""
        self.admin("PATCH", "/settings", {"durations": dict.fromkeys(kinds, 3600)})

    def release(self, answer: requests.Response) -> None:
        """Let the operation that `answer` began end now."""
        self.admin("POST", f"/operations/{answer.headers['x-ms-request-id']}/release")

    def force(self, name: str, state: str) -> None:
        self.admin("PUT", f"/services/{name}/state", {"state": state})

    def fault(self, kind: str, operation: str = "any", **order: Any) -> dict[str, Any]:
        return self.admin("POST", "/faults", {"kind": kind, "operation": operation, **order})

    def journal(self, **query: Any) -> list[dict[str, Any]]:
        entries, after = [], query.pop("after", 0)
        while True:
            wanted = "&".join(f"{name}={value}" for name, value in {**query, "after": after}.items())
            page = self.admin("GET", f"/journal?{wanted}")
            if not page["entries"]:
                return entries
            entries += page["entries"]
            after = page["last"]


def resource(**settings: str) -> str:
    """Body of Create or Update."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in settings.items())
    return (
        f"<Resource><SchemaVersion>1.0</SchemaVersion><Plan/><IntrinsicSettings><ServiceSettings>{inner}"
        "</ServiceSettings></IntrinsicSettings></Resource>"
    )


def restore_body(
    backup_name: str, storage: str, *, Certificate: tuple[str, str] | None = None, **overrides: str
) -> str:
    """Body of Restore."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in overrides.items())
    if Certificate:
        data, password = Certificate
        inner += f"<ServiceCertificate><Data>{data}</Data><Password>{password}</Password></ServiceCertificate>"
    carried = f"<ServiceSettings>{inner}</ServiceSettings>" if inner else ""
    return (
        "<Resource><SchemaVersion>1.0</SchemaVersion><Plan/><IntrinsicSettings><ServiceRestoreSettings>"
        f"<BackupStoreConnectionString>{storage}</BackupStoreConnectionString><BackupName>{backup_name}</BackupName>"
        f"{carried}</ServiceRestoreSettings></IntrinsicSettings></Resource>"
    )


def tree(answer: requests.Response) -> ElementTree.Element:
    """The body without namespaces."""
    root = ElementTree.fromstring(answer.content)
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
    return root


def text(answer: requests.Response, path: str) -> str | None:
    """Text of one element of the body."""
    return tree(answer).findtext(path)


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Status, code and message of a refused request, its body checked for the documented shape."""
    root = ElementTree.fromstring(answer.content)
    namespace = "{http://schemas.microsoft.com/windowsazure}"
    assert [node.tag for node in root.iter()] == [f"{namespace}Error", f"{namespace}Code", f"{namespace}Message"]
    return answer.status_code, root[0].text, root[1].text
