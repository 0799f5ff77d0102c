"""Backups into a real Azurite: what is written, what is refused, what fails and leaves the service alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.core.exceptions import ResourceNotFoundError
from biztalk_emulator.backups import BackupRunner
from biztalk_emulator.business.content import new_content, new_runtime
from biztalk_emulator.journal import Journal
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.storage import BackupContainer
from biztalk_emulator.store import Service, Store

from tests.emulator.driver import ACCOUNT, KEY, eventually, refusal, text

SERVICE = "contosoorders"
OTHER_KEY = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50"
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """A backup name never used before."""
    return f"backup-{time.time_ns()}-{next(_numbers)}"


@pytest.fixture
def suspended(emulator):
    """The emulator with the service suspended."""
    emulator.force(SERVICE, "Suspended")
    return emulator


def content(blobs, container: str) -> dict[str, bytes]:
    client = blobs.get_container_client(container)
    return {blob: client.download_blob(blob).readall() for blob in client.list_blob_names()}


def error_of(emulator, answer) -> dict[str, str | None]:
    """How a backup failed."""
    assert answer.status_code == 202
    assert emulator.operation(answer) == "Failed"
    path = f"{emulator.path(SERVICE)}?OperationStatus/{answer.headers['x-ms-request-id']}"
    status = emulator.request("GET", path)
    return {part: text(status, f"Error/{part}") for part in ("HttpCode", "Message", "ExtendedCode")}


class TestWritten:
    def test_payload_first_descriptor_last(self, suspended, storage, blobs, name):
        suspended.slow_down("backup")
        etag = suspended.etag(SERVICE)
        answer = suspended.back_up(SERVICE, name, storage)
        assert (answer.status_code, answer.content) == (202, b"")
        assert suspended.state(SERVICE) == "BackingUp"
        eventually(lambda: len(_events(suspended, name)) >= 5)
        assert f"{name}.txt" not in content(blobs, name)
        suspended.release(answer)
        assert suspended.operation(answer) == "Succeeded"
        written = content(blobs, name)
        descriptor = json.loads(written.pop(f"{name}.txt"))
        assert {blob["name"]: blob["sha256"] for blob in descriptor["blobs"]} == {
            blob: hashlib.sha256(data).hexdigest() for blob, data in written.items()
        }
        assert descriptor["service"] == SERVICE
        assert descriptor["region"] == "West US"
        events = _events(suspended, name)
        assert events[0]["event"] == "container"
        assert events[-1]["event"] == "descriptor"
        assert [event["blob"] for event in events[1:-1]] == [blob["name"] for blob in descriptor["blobs"]]
        assert suspended.state(SERVICE) == "Suspended"
        assert suspended.etag(SERVICE) == etag

    def test_json_body_of_the_book_without_endpoints_in_any_order(self, suspended, azurite, blobs, name):
        connection = f"AccountKey={KEY};BlobEndpoint={azurite};accountname={ACCOUNT}"
        body = json.dumps({"BackupStoreConnectionString": connection, "BackupName": name})
        answer = suspended.act(SERVICE, "backup", data=body, headers={"Content-Type": "application/json"})
        assert suspended.operation(answer) == "Succeeded"
        assert f"{name}.txt" in content(blobs, name)

    def test_from_stopped(self, emulator, storage, name):
        emulator.force(SERVICE, "Stopped")
        assert emulator.operation(emulator.back_up(SERVICE, name, storage)) == "Succeeded"
        assert emulator.state(SERVICE) == "Stopped"

    def test_status_200_of_the_book(self, suspended, storage, name):
        suspended.admin("PATCH", "/settings", {"profile": {"backup_status": "200"}})
        answer = suspended.back_up(SERVICE, name, storage)
        assert answer.status_code == 200
        suspended.operation(answer)

    def test_edit_in_mid_backup_shows_in_the_etag_and_not_in_the_backup(self, suspended, storage, blobs, name):
        suspended.slow_down("backup")
        etag = suspended.etag(SERVICE)
        answer = suspended.back_up(SERVICE, name, storage)
        eventually(lambda: len(_events(suspended, name)) >= 5)
        partner = {"Name": "Late Partner", "Description": "", "Host": False, "Profiles": []}
        edited = suspended.admin("POST", f"/services/{SERVICE}/content", {"partners": [partner]})
        suspended.release(answer)
        assert suspended.operation(answer) == "Succeeded"
        assert suspended.etag(SERVICE) == edited["etag"] != etag
        assert b"Late Partner" not in b"".join(content(blobs, name).values())
        partners = suspended.admin("GET", f"/services/{SERVICE}")["content"]["partners"]
        assert partner in partners

    def test_is_the_service_as_accepted_also_when_done_again_after_a_kill(self, own_emulator, storage, blobs, name):
        own_emulator.force(SERVICE, "Suspended")
        own_emulator.slow_down("backup")
        answer = own_emulator.back_up(SERVICE, name, storage)
        partner = {"Name": "Late Partner", "Description": "", "Host": False, "Profiles": []}
        own_emulator.admin("POST", f"/services/{SERVICE}/content", {"partners": [partner]})
        own_emulator.kill()
        own_emulator.start()
        own_emulator.release(answer)
        assert own_emulator.operation(answer) == "Succeeded"
        written = content(blobs, name)
        assert b"Late Partner" not in b"".join(written.values())
        began = own_emulator.admin("GET", f"/operations/{answer.headers['x-ms-request-id']}")["started_at"]
        assert json.loads(written[f"{name}.txt"])["created_at"][:19] == began[:19]


class TestRefused:
    @pytest.mark.parametrize(
        "bad", ["", "ab", "x" * 64, "Upper", "two--dashes", "-lead", "trail-", "dot.ted", "under_score"]
    )
    def test_names(self, suspended, storage, bad):
        status, code, message = refusal(suspended.back_up(SERVICE, bad, storage))
        assert (status, code) == (400, "BadRequest")
        assert "BackupName" in message

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "nonsense",
            f"AccountKey={KEY}",
            "AccountName=devstoreaccount1",
            "AccountName=devstoreaccount1;AccountKey=%%%",
            f"AccountName=devstoreaccount1;AccountKey={KEY};DefaultEndpointsProtocol=ftp",
            f"AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint=file:///etc",
            *(
                f"AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={endpoint}"
                for endpoint in (
                    "http://[::1",
                    "http://[1:2]",
                    "http://127.0.0.1:port",
                    "http://127.0.0.1:70000",
                    "http://127.0.0.1:0",
                    "http://me:word@127.0.0.1",
                    "http://two words",
                    "http://a..b",
                    "http://tüv.example",
                    "http://127.0.0.1/?a=b",
                    "http://127.0.0.1/#a",
                )
            ),
            f"AccountName=devstoreaccount1;AccountKey={KEY};EndpointSuffix=a..b:x",
        ],
    )
    def test_connection_strings(self, suspended, name, bad):
        status, code, message = refusal(suspended.back_up(SERVICE, name, bad))
        assert (status, code) == (400, "BadRequest")
        assert "BackupStoreConnectionString" in message
        assert KEY not in message

    @pytest.mark.parametrize(
        ("content_type", "body", "code"),
        [
            ("application/xml", "", "InvalidXmlRequest"),
            ("application/xml", "<ServiceBackupSettings>", "InvalidXmlRequest"),
            ("application/xml", "<Other/>", "InvalidXmlRequest"),
            ("application/xml", '<?xml version="1.0" encoding="x-none"?><a/>', "InvalidXmlRequest"),
            ("application/json", "{", "BadRequest"),
            ("application/json", "[]", "BadRequest"),
            ("application/json", '{"BackupName": 1, "BackupStoreConnectionString": ""}', "BadRequest"),
            (None, "<ServiceBackupSettings/>", "BadRequest"),
        ],
    )
    def test_bodies(self, suspended, content_type, body, code):
        answer = suspended.act(SERVICE, "backup", data=body.encode(), headers={"Content-Type": content_type})
        assert refusal(answer)[:2] == (400, code)

    def test_etag(self, suspended, storage, name):
        wrong = "00000000-0000-0000-0000-000000000000"
        answer = suspended.back_up(SERVICE, name, storage, **{"If-Match": wrong})
        assert refusal(answer)[:2] == (412, "PreconditionFailed")
        right = suspended.back_up(SERVICE, name, storage, **{"If-Match": suspended.etag(SERVICE)})
        assert suspended.operation(right) == "Succeeded"

    def test_active_service_by_profile(self, emulator, storage, name):
        answer = emulator.back_up(SERVICE, name, storage)
        assert refusal(answer) == (409, "ConflictError", "Operation not allowed")
        emulator.admin("PATCH", "/settings", {"profile": {"backup_precondition": "chart"}})
        assert emulator.operation(emulator.back_up(SERVICE, name, storage)) == "Succeeded"
        assert emulator.state(SERVICE) == "Active"

    def test_developer_by_profile(self, emulator, storage, name):
        emulator.force("contosodev", "Suspended")
        status, code, message = refusal(emulator.back_up("contosodev", name, storage))
        assert (status, code) == (400, "BadRequest")
        assert "developer edition" in message
        emulator.admin("PATCH", "/settings", {"profile": {"developer_backup": "yes"}})
        assert emulator.operation(emulator.back_up("contosodev", name, storage)) == "Succeeded"

    def test_nothing_began(self, suspended, storage):
        before = suspended.admin("GET", "/operations")
        suspended.back_up(SERVICE, "Bad Name", storage)
        assert suspended.admin("GET", "/operations") == before
        assert suspended.state(SERVICE) == "Suspended"


class TestFailed:
    def test_existing_container(self, suspended, storage, blobs, name):
        blobs.create_container(name).upload_blob("mine.txt", b"mine")
        error = error_of(suspended, suspended.back_up(SERVICE, name, storage))
        assert (error["HttpCode"], error["ExtendedCode"]) == ("409", "ContainerAlreadyExists")
        assert name in error["Message"]
        assert content(blobs, name) == {"mine.txt": b"mine"}
        assert suspended.state(SERVICE) == "Suspended"

    def test_second_backup_of_the_same_name(self, suspended, storage, blobs, name):
        assert suspended.operation(suspended.back_up(SERVICE, name, storage)) == "Succeeded"
        first = content(blobs, name)
        error = error_of(suspended, suspended.back_up(SERVICE, name, storage))
        assert error["ExtendedCode"] == "ContainerAlreadyExists"
        assert content(blobs, name) == first

    def test_wrong_key(self, suspended, azurite, blobs, name):
        connection = f"AccountName={ACCOUNT};AccountKey={OTHER_KEY};BlobEndpoint={azurite}"
        error = error_of(suspended, suspended.back_up(SERVICE, name, connection))
        assert error["ExtendedCode"] == "StorageAuthenticationFailed"
        assert "refused the account key" in error["Message"]
        assert OTHER_KEY not in str(suspended.journal())
        with pytest.raises(ResourceNotFoundError):
            content(blobs, name)
        assert suspended.state(SERVICE) == "Suspended"

    @pytest.mark.parametrize("listens", [False, True])
    def test_unreachable_account(self, suspended, name, listens):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"http://127.0.0.1:{server.getsockname()[1]}"
            if not listens:
                server.close()
            started = time.monotonic()
            connection = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={address}/{ACCOUNT}"
            error = error_of(suspended, suspended.back_up(SERVICE, name, connection))
        assert error["ExtendedCode"] == "StorageUnreachable"
        assert time.monotonic() - started < 15
        assert suspended.state(SERVICE) == "Suspended"

    def test_by_fault_leaves_no_descriptor(self, suspended, storage, blobs, name):
        suspended.fault("operation-fails", "backup", message="The SQL database did not answer.", count=1)
        error = error_of(suspended, suspended.back_up(SERVICE, name, storage))
        assert error["Message"] == "The SQL database did not answer."
        assert f"{name}.txt" not in content(blobs, name)
        assert suspended.state(SERVICE) == "Suspended"

    def test_forced_between_descriptor_and_end_leaves_no_descriptor(self, tmp_path, storage, blobs, name, monkeypatch):
        store = Store(tmp_path / "emulator.db")
        lifecycle = Lifecycle(store, Journal(store))
        runner = BackupRunner(lifecycle, threading.Event())
        group = lifecycle.create_cloud_service("group", "", "", "West US")
        settings = {"Edition": "standard", "ServiceVersion": "1.1.0"}
        service = Service("inhouse", group.key, "Suspended", "", 0.0, settings, new_content(), new_runtime())
        lifecycle.change_settings({"durations": {"backup": 0}})
        payload = {"backup_name": name, "connection_string": storage, **runner.snapshot(service, "West US")}
        operation = lifecycle.begin("backup", service, payload=payload)
        write = BackupContainer.write

        def write_and_force(container, blob):
            write(container, blob)
            if blob.name.endswith(".txt"):
                assert blob.name in content(blobs, name)
                lifecycle.force_state(store.service("inhouse"), "Suspended")

        monkeypatch.setattr(BackupContainer, "write", write_and_force)
        runner.start(operation)
        eventually(
            lambda: [each["event"] for each in lifecycle.journal.read(kind="blob")][-1:] == ["descriptor removed"]
        )
        assert store.operation(operation.id).status == "Failed"
        assert len(content(blobs, name)) == 4
        store.close()

    def test_container_being_deleted_is_not_one_that_exists(self, suspended, name):
        class Deleting(BaseHTTPRequestHandler):
            def do_PUT(self):
                self.send_response(409)
                self.send_header("x-ms-error-code", "ContainerBeingDeleted")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Deleting) as account:
            threading.Thread(target=account.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{account.server_address[1]}/{ACCOUNT}"
            connection = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={address}"
            error = error_of(suspended, suspended.back_up(SERVICE, name, connection))
            account.shutdown()
        assert error["ExtendedCode"] == "StorageRefused"
        assert "ContainerBeingDeleted" in error["Message"]


class TestSecret:
    def test_connection_string_is_gone_after_the_operation(self, own_emulator, storage, blobs, name):
        own_emulator.force(SERVICE, "Suspended")
        own_emulator.slow_down("backup")
        answer = own_emulator.back_up(SERVICE, name, storage)
        assert KEY.encode() in _files(own_emulator)
        own_emulator.release(answer)
        assert own_emulator.operation(answer) == "Succeeded"
        refused = own_emulator.back_up(SERVICE, f"{name}-refused", storage.replace(KEY, OTHER_KEY))
        assert own_emulator.operation(refused) == "Failed"
        for key in (KEY, OTHER_KEY):
            eventually(lambda key=key: key.encode() not in _files(own_emulator))
        seen = str(own_emulator.journal()) + str(own_emulator.admin("GET", "/operations"))
        seen += own_emulator.request("GET", own_emulator.path(SERVICE)).text
        assert KEY not in seen
        assert OTHER_KEY not in seen

    def test_cancelled_by_force(self, own_emulator, storage, name):
        own_emulator.force(SERVICE, "Suspended")
        own_emulator.fault("stuck", "backup")
        answer = own_emulator.back_up(SERVICE, name, storage)
        own_emulator.force(SERVICE, "Suspended")
        assert own_emulator.operation(answer) == "Failed"
        eventually(lambda: KEY.encode() not in _files(own_emulator))


def _events(emulator, container: str) -> list[dict]:
    return [event for event in emulator.journal(kind="blob") if event["container"] == container]


def _files(emulator) -> bytes:
    return b"".join(path.read_bytes() for path in emulator.home.glob("emulator.db*"))
