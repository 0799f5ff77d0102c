"""Random histories: our client, the emulator and a model of the documents agree about every one of them.

No operation ends by itself here: a history releases them, so nothing depends on how fast the machine is. The same
histories run every time; ``BIZTALK_HISTORIES=200`` runs so many new ones instead, and makes a failing one as short as
it can (``pytest --timeout 0``).
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
from azure.storage.blob import BlobServiceClient
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues
from biztalk_services.model.errors import (
    BackupServiceError,
    BadRequestError,
    OperationNotAllowedError,
    OperationNotFoundError,
    OutcomeUnknownError,
    ServiceNotFoundError,
    ThrottledError,
)
from biztalk_services.model.service import ServiceRef
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess, eventually
from tests.emulator.histories import Backups, Content, Named, Refusals, Running

ORIGINAL = "contosoorders"
AGREEMENT = "Northwind X12 send"
NO_ETAG_OF_ANY = "00000000-0000-0000-0000-00000000dead"
VERBS = ("create", "suspend", "resume", "restart", "start", "stop", "backup", "restore", "delete")
UNTIL_RELEASED = json.dumps(dict.fromkeys(VERBS, 86400))

MORE = int(os.environ.get("BIZTALK_HISTORIES", 0))
STARTS = 5 if MORE else 1
"""How often the emulator may be started again in one history: it takes more than a second."""

ON_OPERATIONS = ("stuck", "operation-fails", "operation-forgotten")
ON_ANSWERS = ("reset-before", "reset-after", "truncated", "status")
REFUSED = {400: BadRequestError, 404: ServiceNotFoundError, 409: OperationNotAllowedError, 503: ThrottledError}


@dataclass(frozen=True)
class How:
    """The circumstances of a request.

    :param run: its client request id; the same ones come again and again.
    :param fault: what goes wrong.
    :param killed: the emulator is killed as soon as it has answered, and started again; not more often than in one
        history is possible.
    :param left: what begins is left running, not released at once.
    """

    run: str = "night"
    fault: str | None = None
    killed: bool = False
    left: bool = False


@dataclass(frozen=True)
class Accepted:
    """An operation that must have started; `run` is None when the portal requested it."""

    service: str
    verb: str
    run: str | None
    identifier: str


class Scene:
    """An emulator, our client of it, and a backup to begin with."""

    def __init__(self, emulator: EmulatorProcess, storage: str, blobs: BlobServiceClient) -> None:
        self.emulator, self.storage, self.blobs = emulator, storage, blobs
        pki = emulator.home / "pki"
        credentials = ManagementCredentials(
            certificate_path=pki / "management.pem", private_key_path=pki / "management.key"
        )
        self.client = BizTalkServicesClient(
            SUBSCRIPTION, credentials, host="127.0.0.1", port=emulator.port, ca_bundle=pki / "ca.pem"
        )
        self.histories = itertools.count(1)
        order = {"agreement": AGREEMENT}
        (sent,) = emulator.admin("POST", f"/services/{ORIGINAL}/messages", order)["interchanges"]
        whole = emulator.admin("GET", f"/services/{ORIGINAL}")["content"]
        self.beginning = Content(number=int(sent["control_number"]), whole=whole)
        emulator.force(ORIGINAL, "Suspended")
        answer = emulator.back_up(ORIGINAL, "beginning", storage)
        emulator.release(answer)
        assert emulator.operation(answer) == "Succeeded"

    def kill(self) -> None:
        self.emulator.kill()
        self.emulator.start()
        self.client.close()

    def stop(self) -> None:
        assert self.emulator.stop() == 0
        self.emulator.start()
        self.client.close()


services = st.sampled_from((0, 1))
matches = st.sampled_from((None, None, "present", "other"))
nights = st.sampled_from(("monday", "tuesday"))
portal_circumstances = st.builds(
    How,
    fault=st.sampled_from((None,) * 5 + ON_OPERATIONS),
    killed=st.sampled_from((False,) * 15 + (True,)),
    left=st.sampled_from((False, False, True)),
)
circumstances = st.builds(
    replace,
    portal_circumstances,
    run=st.sampled_from(("night", "again")),
    fault=st.sampled_from((None,) * 8 + ON_OPERATIONS + ON_ANSWERS),
)


class Histories(RuleBasedStateMachine):
    """Two names in a cloud service of their own, at first one service, and everything that can be requested of them."""

    scene: Scene

    def __init__(self) -> None:
        super().__init__()
        self.emulator, self.client = self.scene.emulator, self.scene.client
        number = next(self.scene.histories)
        self.group = f"history-{number}"
        self.named = [Named(ServiceRef(self.group, f"{name}{number:05}")) for name in ("first", "second")]
        self.backups = Backups(beginning=self.scene.beginning)
        self.accepted: list[Accepted] = []
        self.results: dict[str, str] = {}
        self.new_partners = itertools.count(1)
        self.starts_left = STARTS
        self.mark = self.emulator.admin("GET", "/journal?limit=1")["newest"]

    @initialize()
    def begin(self) -> None:
        self.time_passes(names_are_held=True)
        region = "<CloudService><GeoRegion>West US</GeoRegion></CloudService>"
        headers = {"Content-Type": "application/xml"}
        assert self.emulator.request("PUT", f"/cloudservices/{self.group}", data=region, headers=headers).ok
        for it in self.named:
            self.emulator.admin("PUT", f"/world/databases/{it.address.name}", {"user": "u", "password": "p"})
        self.restore(0, "beginning", How())
        self.act(0, "resume", How())

    # What can be requested.

    @rule(service=services, verb=st.sampled_from(("suspend", "suspend", "resume", "restart")), how=circumstances)
    def act(self, service: int, verb: str, how: How) -> None:
        it = self.named[service]

        def send() -> str:
            if verb == "restart":  # our client has no use for it
                path = f"/cloudservices/{self.group}/resources/biztalkservices/~/biztalk/{it.address.name}?comp=restart"
                return _send(lambda: self.emulator.request("POST", path, headers=_named_after(how.run)))
            return getattr(self.client, verb)(it.address, client_request_id=how.run)

        self._request(it, verb, how, send, it.refusals(verb))

    @rule(service=services, action=st.sampled_from(("stop", "start")), how=portal_circumstances)
    def act_in_the_portal(self, service: int, action: str, how: How) -> None:
        it = self.named[service]
        path, order = f"/services/{it.address.name}/actions", {"action": action}
        send = lambda: _send(lambda: self.emulator.raw_admin("POST", path, order))  # noqa: E731
        self._request(it, action, replace(how, run=None), send, it.refusals(action))

    @rule(service=services, how=circumstances)
    def create(self, service: int, how: How) -> None:
        it = self.named[service]
        needs_if_match = BadRequestError  # for a service that is there, the same request is an update
        refusals = it.refusals_of_making(names_are_held=self.names_are_held, when_it_is_there=needs_if_match)
        headers = _named_after(how.run)
        settings = {"TrackingStoreConnectionString": _tracking_store(it)}

        def send() -> str:
            return _send(lambda: self.emulator.create(it.address.name, group=self.group, headers=headers, **settings))

        self._request(it, "create", how, send, refusals)

    @rule(service=services, night=nights, match=matches, how=circumstances)
    def back_up(self, service: int, night: str, match: str | None, how: How) -> None:
        it, name = self.named[service], f"{self.group}-{night}"
        if_match = self._etag(it, match)

        def send() -> str:
            return self.client.start_backup(
                it.address,
                store_connection_string=self.scene.storage,
                backup_name=name,
                client_request_id=how.run,
                if_match=if_match,
            )

        self._request(it, "backup", how, send, it.refusals("backup", match), backup=name)

    @rule(service=services, night=st.one_of(st.just("beginning"), nights), how=circumstances)
    def restore(self, service: int, night: str, how: How) -> None:
        it, name = self.named[service], night if night == "beginning" else f"{self.group}-{night}"
        refusals = it.refusals_of_making(names_are_held=self.names_are_held, when_it_is_there=OperationNotAllowedError)

        def send() -> str:
            return self.client.start_restore(
                it.address,
                store_connection_string=self.scene.storage,
                backup_name=name,
                values=RestoreValues(tracking_store=_tracking_store(it)),
                client_request_id=how.run,
            )

        refusals = refusals or self.backups.refusals(name)
        self._request(it, "restore", how, send, refusals, brings=self.backups.find(name))

    @rule(service=services, match=matches, how=circumstances)
    def delete(self, service: int, match: str | None, how: How) -> None:
        it = self.named[service]
        if_match = self._etag(it, match)
        send = lambda: self.client.delete(it.address, client_request_id=how.run, if_match=if_match)  # noqa: E731
        self._request(it, "delete", how, send, it.refusals("delete", match))

    # What happens beside it.

    @rule(service=services)
    def release(self, service: int) -> None:
        if self.named[service].running:
            self._release(self.named[service])

    @rule(service=services, messages=st.integers(1, 3))
    def send(self, service: int, messages: int) -> None:
        it = self.named[service]
        order = {"agreement": AGREEMENT, "messages": messages}
        answer = self.emulator.raw_admin("POST", f"/services/{it.address.name}/messages", order)
        if not it.processes_messages:
            assert answer.status_code in (404, 409)
            return
        expected = range(it.content.number + 1, it.content.number + messages + 1)
        assert [int(each["control_number"]) for each in answer.json()["interchanges"]] == [*expected]
        it.content = replace(it.content, number=expected[-1])

    @rule(service=services)
    def edit(self, service: int) -> None:
        it = self.named[service]
        name = f"Partner {next(self.new_partners)}"
        partner = {"Name": name, "Description": "", "Host": False, "Profiles": []}
        answer = self.emulator.raw_admin("POST", f"/services/{it.address.name}/content", {"partners": [partner]})
        assert answer.status_code == (200 if it.is_there else 404)
        if it.is_there:
            it.content = replace(it.content, partners=it.content.partners | {name})

    @rule(names_are_held=st.booleans())
    def time_passes(self, names_are_held: bool) -> None:
        """The name of a deleted service stays unavailable for a time, which is over or is not."""
        self.names_are_held = names_are_held
        self.emulator.admin("PATCH", "/settings", {"name_hold_seconds": 86400 if names_are_held else 0})

    @precondition(lambda self: self.starts_left)
    @rule(cleanly=st.booleans())
    def start_again(self, cleanly: bool) -> None:
        self.starts_left -= 1
        self.scene.stop() if cleanly else self.scene.kill()

    # What must be so at every moment.

    @invariant()
    def states_are_as_documented(self) -> None:
        for it in self.named:
            if it.is_there:
                assert self.client.get_service(it.address).state == it.visible_state
            else:
                with pytest.raises(ServiceNotFoundError):
                    self.client.get_service(it.address)

    @invariant()
    def operations_stand_as_they_must(self) -> None:
        for it in self.named:
            identifier, result = it.last or (None, None)
            if result:
                assert self.client.get_operation(it.address, identifier).result == result
            elif identifier:
                with pytest.raises(OperationNotFoundError):
                    self.client.get_operation(it.address, identifier)

    @invariant()
    def services_hold_what_they_must(self) -> None:
        for it in self.named:
            if it.is_there:
                content = self._shown(it)["content"]
                added = {each["Name"] for each in content["partners"] if each["Name"].startswith("Partner ")}
                assert (added, _last_number(content)) == (it.content.partners, it.content.number)

    def teardown(self) -> None:
        for it in self.named:
            if it.running:
                self._release(it)
        self._check_journal()

    # How.

    def _request(
        self,
        it: Named,
        verb: str,
        how: How,
        send: Callable[[], str],
        refusals: Refusals,
        *,
        brings: Content | None = None,
        backup: str | None = None,
    ) -> None:
        """Send a request, and check that the response and what became of it are as the model has it."""
        before = self._shown(it)
        if how.fault:
            self.emulator.fault(how.fault, service=it.address.name, count=1)
        identifier = error = None
        try:
            identifier = send()
        except BackupServiceError as raised:
            error = raised
        if how.killed and self.starts_left:
            self.start_again(cleanly=False)
        self.emulator.admin("DELETE", "/faults")
        expected = (
            {"status": (ThrottledError,)}.get(how.fault, (OutcomeUnknownError,))
            if how.fault in ON_ANSWERS
            else refusals
        )
        assert type(error) in (expected or (type(None),)), error
        if refusals or how.fault in ("status", "reset-before"):
            assert self._shown(it) == before
            return
        identifier = identifier or self._shown(it)["operation"]["id"]
        self.accepted.append(Accepted(it.address.name, verb, how.run, identifier))
        if (verb, it.state) == ("suspend", "Suspended"):
            self.results[identifier], it.last = "Succeeded", (identifier, "Succeeded")
            return
        fails, forgotten = how.fault == "operation-fails", how.fault == "operation-forgotten"
        taken = backup is not None and self.backups.has_container(backup)
        it.begin(Running(verb, identifier, fails or taken, brings, None if taken else backup))
        it.last = (identifier, None if forgotten else "InProgress")
        if taken:
            self._wait_for_end(it)
            return
        if backup:
            self.backups.take(backup, replace(it.content, whole=before["content"]))
            eventually(self.scene.blobs.get_container_client(backup).exists)
        if not how.left:
            self._release(it)

    def _release(self, it: Named) -> None:
        self.emulator.admin("POST", f"/operations/{it.running.identifier}/release")
        self._wait_for_end(it)

    def _wait_for_end(self, it: Named) -> None:
        ended = it.running
        path = f"/operations/{ended.identifier}"
        eventually(lambda: self.emulator.admin("GET", path)["status"] != "InProgress")
        result = it.end()
        self.results[ended.identifier] = result
        it.last = (ended.identifier, it.last[1] and result)
        if ended.backup and result == "Succeeded":
            self.backups.finish(ended.backup)
        if ended.brings and result == "Succeeded":
            assert self._shown(it)["content"] == ended.brings.whole

    def _shown(self, it: Named) -> Any:
        """Everything that the emulator shows of a service, None when there is none."""
        answer = self.emulator.raw_admin("GET", f"/services/{it.address.name}")
        return answer.json() if answer.ok else None

    def _etag(self, it: Named, match: str | None) -> str | None:
        if match == "present" and it.is_there:
            return self.client.get_service(it.address).etag
        return NO_ETAG_OF_ANY if match else None

    def _check_journal(self) -> None:
        """One operation for each accepted request and no other, each ended once; states in an unbroken chain."""
        entries = self.emulator.journal(after=self.mark)
        assert [entry["seq"] for entry in entries] == [*range(self.mark + 1, self.mark + 1 + len(entries))]
        names = [it.address.name for it in self.named]
        mine = [entry for entry in entries if entry["service"] in names]
        by_id = {entry["request_id"]: entry for entry in mine if entry["kind"] == "request"}
        started = [entry for entry in mine if entry["kind"] == "operation" and entry["event"] == "started"]
        assert self.accepted == [
            Accepted(
                entry["service"],
                entry["operation"],
                by_id.get(entry["operation_id"], {}).get("client_request_id"),
                entry["operation_id"],
            )
            for entry in started
        ]
        ended = [entry for entry in mine if entry["kind"] == "operation" and entry["event"] == "ended"]
        assert sorted((entry["operation_id"], entry["status"]) for entry in ended) == sorted(self.results.items())
        last: dict[str, str | None] = {}
        for entry in mine:
            if entry["kind"] == "state":
                assert entry["before"] == last.get(entry["service"])
                last[entry["service"]] = entry["after"]
        assert last == {it.address.name: it.state for it in self.named if it.address.name in last}


def _send(send: Callable[[], requests.Response]) -> str:
    """Send what our client cannot send; result and errors are as our client's."""
    try:
        answer = send()
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        raise OutcomeUnknownError("The answer was lost.") from None
    if answer.status_code in REFUSED:
        raise REFUSED[answer.status_code](answer.text)
    return answer.headers.get("x-ms-request-id") or answer.json()["id"]


def _named_after(run: str) -> dict[str, str]:
    return {"x-ms-client-request-id": run}


def _tracking_store(it: Named) -> str:
    return f"Data Source=tcp:x;Initial Catalog={it.address.name};User ID=u;Password=p"


def _last_number(content: Any) -> int | None:
    numbers = content["control_numbers"]["generated"]
    return next(
        (each["Last"] for each in numbers if (each["Agreement"], each["Kind"]) == (AGREEMENT, "interchange")), None
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory, storage, blobs) -> Iterator[Scene]:
    options = ("--sample-fleet", "--sample-storage", storage)
    emulator = EmulatorProcess(tmp_path_factory.mktemp("histories") / "home", *options, durations=UNTIL_RELEASED)
    scene = Scene(emulator.start(), storage, blobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "sleep", lambda seconds: None)
        yield scene
    scene.client.close()
    assert emulator.stop() == 0


def test_histories(scene):
    Histories.scene = scene
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=MORE or 5,
            stateful_step_count=60 if MORE else 20,
            derandomize=not MORE,
            database=None,
            phases=[Phase.generate, Phase.shrink] if MORE else [Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        ),
    )
