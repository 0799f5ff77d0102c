"""Restores out of a real Azurite: what comes back, what is refused at once, what fails late."""

from __future__ import annotations

import copy
import itertools
import json
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from biztalk_emulator.business.key_material import pfx, self_signed

from tests.emulator.driver import ACCOUNT, KEY, EmulatorProcess, eventually, refusal, text

STANDARD, PREMIUM, BASIC = "contosoorders", "ContosoRetail", "contosonordic"
OTHER_KEY = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50"
AGREEMENT = "Northwind X12 send"
_numbers = itertools.count()


def fresh(prefix: str) -> str:
    """A name of a service or backup never used before."""
    return f"{prefix}{time.time_ns() % 10**8}{next(_numbers)}"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory, storage):
    """One emulator for all tests here, whose names are free again at once."""
    process = EmulatorProcess(tmp_path_factory.mktemp("restore"), "--sample-fleet", "--sample-storage", storage).start()
    process.admin("PATCH", "/settings", {"name_hold_seconds": 0})
    yield process
    assert process.stop() == 0


@pytest.fixture(autouse=True)
def as_it_began(emulator):
    settings = emulator.admin("GET", "/settings")
    yield
    emulator.admin("DELETE", "/faults")
    emulator.admin("PATCH", "/settings", settings)


def database_of(emulator, name: str = "", password: str = "first") -> str:
    """A new database in the world, as connection string."""
    name = name or fresh("db")
    emulator.admin("PUT", f"/world/databases/{name}", {"user": "me", "password": password})
    return f"Data Source=tcp:x;Initial Catalog={name};User ID=me;Password={password}"


def backed_up(emulator, storage: str, name: str = STANDARD) -> str:
    """Back a service up; returns the backup's name."""
    emulator.force(name, "Suspended")
    backup = fresh("backup")
    assert emulator.operation(emulator.back_up(name, backup, storage)) == "Succeeded"
    emulator.force(name, "Active")
    return backup


@pytest.fixture(scope="module")
def backups(emulator, storage) -> dict[str, str]:
    """A backup of each service, by its name."""
    return {name: backed_up(emulator, storage, name) for name in (STANDARD, PREMIUM, BASIC)}


def stored(emulator, name: str) -> dict[str, Any]:
    """A service with all its secrets, straight from the store."""
    with closing(sqlite3.connect(emulator.home / "emulator.db")) as connection:
        connection.row_factory = sqlite3.Row
        (row,) = connection.execute("SELECT * FROM services WHERE key = ?", (name.lower(),)).fetchall()
    return {kind: json.loads(row[kind]) for kind in ("settings", "content", "runtime")}


def error_of(emulator, name: str, answer) -> dict[str, str | None]:
    """How a restore that was accepted failed."""
    assert answer.status_code == 202, answer.text
    status = emulator.provider_status(name, answer)
    assert text(status, "Result") == "Failed"
    emulator.reaches(name, "RestoreFailed")
    return {part: text(status, f"Error/{part}") for part in ("HttpCode", "Message", "ExtendedCode")}


def refused(emulator, answer, *sentences: str) -> str:
    """The message of a restore that was refused at once."""
    status, code, message = refusal(answer)
    assert (status, code) == (400, "BadRequest"), message
    for each in sentences:
        assert each in message
    return message


class TestRestored:
    def test_the_same_name_on_the_same_tracking_database(self, emulator, storage):
        name, tracking = fresh("again"), database_of(emulator)
        backup = backed_up(emulator, storage)
        first = emulator.restore(name, backup, storage, TrackingStoreConnectionString=tracking)
        assert (first.status_code, first.content) == (202, b"")
        emulator.reaches(name, "Suspended")
        emulator.operation(emulator.act(name, "resume"))
        batched = next(
            each
            for each in emulator.admin("GET", f"/services/{name}")["batches"]
            if "Fabrikam" in each["AgreementName"]
        )
        order = {"agreement": batched["AgreementName"], "messages": 3}
        emulator.operation(emulator.act(name, "suspend"))
        second = fresh("backup")
        emulator.operation(emulator.back_up(name, second, storage))
        snapshot, etag = stored(emulator, name), emulator.etag(name)
        emulator.operation(emulator.act(name, "resume"))
        emulator.admin("POST", f"/services/{name}/messages", order)
        emulator.admin("POST", f"/services/{name}/messages", {"agreement": AGREEMENT, "messages": 4})
        assert stored(emulator, name)["content"] != snapshot["content"]
        emulator.give_up(name)
        answer = emulator.restore(name, second, storage)
        assert emulator.state(name) == "Restoring"
        emulator.reaches(name, "Suspended")
        after = stored(emulator, name)
        assert (after["content"], after["settings"]) == (snapshot["content"], snapshot["settings"])
        assert after["runtime"]["history"] != snapshot["runtime"]["history"]
        assert after["runtime"]["batch_messages"] == []
        assert emulator.etag(name) == answer.headers["ETag"] != etag
        with closing(sqlite3.connect(emulator.admin("GET", f"/services/{name}")["tracking_database"])) as database:
            events = [row[0] for row in database.execute("SELECT event FROM batch_events ORDER BY event")]
        assert events == ["entered"] * 3 + ["lost"] * 3

    def test_operation_two_levels_and_journal(self, emulator, storage, backups):
        name, mark = fresh("levels"), emulator.journal()[-1]["seq"]
        emulator.slow_down("restore")
        emulator.admin("PATCH", "/settings", {"envelope_seconds": 0.2})
        answer = emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=database_of(emulator))
        assert emulator.operation(answer) == "Succeeded"
        during = emulator.request("GET", emulator.path(name))
        assert (text(during, "SubState"), text(during, "OperationStatus/Type")) == ("Restoring", "Restore")
        assert text(during, "OperationStatus/Result") == "InProgress"
        assert text(during, "IntrinsicSettings/ServiceSettings/Edition") == "standard"
        assert refusal(emulator.act(name, "resume")) == (409, "ConflictError", "Operation not allowed")
        emulator.release(answer)
        assert text(emulator.provider_status(name, answer), "Result") == "Succeeded"
        entries = emulator.journal(after=mark, service=name)
        recorded = [
            (each["kind"], each.get("event") or each.get("after"), each.get("log_name"))
            for each in entries
            if each["kind"] not in ("request", "admin")
        ]
        assert recorded == [
            ("operation", "started", "RestoreBizTalkService"),
            ("state", "Restoring", None),
            ("blob", "backup read", None),
            ("operation", "ended", "RestoreBizTalkService"),
            ("state", "Suspended", None),
        ]
        request = next(each for each in entries if each["kind"] == "request")
        assert (request["operation"], request["status"], request["port"]) == ("restore", 202, "management")
        assert KEY not in str(entries)

    def test_higher_edition_more_units_and_other_group(self, emulator, storage, backups):
        name = fresh("higher")
        overrides = {
            "Edition": "Premium",
            "UnitCount": "2",
            "CustomDomainUrl": "restored.example.com",
            "TrackingStoreConnectionString": database_of(emulator),
            "ArchiveStoreConnectionString": storage,
            "Certificate": certificate(),
        }
        answer = emulator.restore(name, backups[BASIC], storage, group="contoso-north-europe", **overrides)
        assert text(emulator.provider_status(name, answer), "Result") == "Succeeded"
        whole = emulator.admin("GET", f"/services/{name}")
        assert (whole["edition"], whole["settings"]["UnitCount"], whole["region"]) == ("premium", 2, "North Europe")
        assert whole["settings"]["CustomDomainUrl"] == "restored.example.com"
        assert stored(emulator, name)["content"] == stored(emulator, BASIC)["content"]

    def test_empty_overrides_are_not_given(self, emulator, storage, backups):
        name = fresh("empty")
        overrides = {"Edition": "", "MonitoringStoreConnectionString": "", "AccessControlNamespace": ""}
        tracking = database_of(emulator)
        answer = emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=tracking, **overrides)
        assert text(emulator.provider_status(name, answer), "Result") == "Succeeded"
        kept = stored(emulator, STANDARD)["settings"] | {"TrackingStoreConnectionString": tracking}
        assert stored(emulator, name)["settings"] == kept

    def test_can_be_backed_up_resumed_and_deleted(self, emulator, storage, backups):
        name = fresh("resumed")
        emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=database_of(emulator))
        emulator.reaches(name, "Suspended")
        assert emulator.operation(emulator.back_up(name, fresh("backup"), storage)) == "Succeeded"
        assert emulator.operation(emulator.act(name, "resume")) == "Succeeded"
        emulator.reaches(name, "Active")
        order = {"agreement": AGREEMENT, "messages": 1}
        assert len(emulator.admin("POST", f"/services/{name}/messages", order)["interchanges"]) == 1
        emulator.give_up(name)

    def test_version_override_by_profile(self, emulator, storage, backups):
        name, tracking = fresh("version"), database_of(emulator)
        overrides = {"ServiceVersion": "1.2.0", "TrackingStoreConnectionString": tracking}
        answer = emulator.restore(name, backups[STANDARD], storage, **overrides)
        refused(emulator, answer, "version 1.1.0", "1.2.0")
        emulator.admin("PATCH", "/settings", {"profile": {"version_equality": "later"}})
        emulator.restore(name, backups[STANDARD], storage, **overrides)
        emulator.reaches(name, "Suspended")
        assert emulator.admin("GET", f"/services/{name}")["settings"]["ServiceVersion"] == "1.2.0"


def certificate(*, days_ago: int = 0, password: str = "open") -> tuple[str, str]:
    """A service certificate made so many days ago, and the password `open`."""
    pair = self_signed("x.example", now=datetime.now(UTC) - timedelta(days=days_ago), server=True)
    return pfx(pair, name="x", protected_by=password), "open"


class TestNames:
    def test_an_existing_one(self, emulator, storage, backups):
        status, code, message = refusal(emulator.restore(STANDARD, backups[STANDARD], storage))
        assert (status, code) == (409, "ConflictError")
        assert "delete it" in message
        other = emulator.restore(STANDARD, backups[STANDARD], storage, group="contoso-north-europe")
        assert refusal(other)[:2] == (409, "ConflictError")
        assert emulator.state(STANDARD) == "Active"

    def test_a_held_one(self, emulator, storage, backups):
        name = fresh("held")
        emulator.operation(emulator.create(name))
        emulator.reaches(name, "Active")
        emulator.give_up(name)
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 3600})
        answer = emulator.restore(name, backups[STANDARD], storage)
        assert refusal(answer)[:2] == (409, "ConflictError")
        assert "not available yet" in refusal(answer)[2]
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0.3})
        tracking = database_of(emulator)
        eventually(
            lambda: (
                emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=tracking).status_code
                == 202
            )
        )

    def test_an_unknown_group(self, emulator, storage, backups):
        assert refusal(emulator.restore(fresh("lost"), backups[STANDARD], storage, group="nowhere"))[0] == 404


class TestTogether:
    def test_one_of_two_gets_the_name(self, emulator, storage, backups):
        name, tracking = fresh("twin"), database_of(emulator)
        with ThreadPoolExecutor(2) as pool:
            answers = [
                pool.submit(emulator.restore, name, backups[STANDARD], storage, TrackingStoreConnectionString=tracking)
                for _ in range(2)
            ]
            assert sorted(each.result().status_code for each in answers) == [202, 409]
        emulator.reaches(name, "Suspended")

    def test_the_later_of_two_on_one_tracking_database_fails(self, emulator, storage, backups):
        first, second, tracking = fresh("first"), fresh("second"), database_of(emulator)
        emulator.slow_down("restore")
        answers = [
            emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=tracking)
            for name in (first, second)
        ]
        emulator.release(answers[0])
        emulator.reaches(first, "Suspended")
        emulator.release(answers[1])
        assert error_of(emulator, second, answers[1])["ExtendedCode"] == "TrackingDatabaseInUse"

    def test_other_requests_go_on_while_an_account_does_not_respond(self, emulator, backups):
        with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}/{ACCOUNT}"
            connection = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={address}"
            pending = pool.submit(emulator.restore, fresh("silent"), backups[STANDARD], connection)
            time.sleep(0.3)
            started = time.monotonic()
            assert emulator.state(STANDARD) == "Active"
            emulator.admin("GET", "/services")
            assert time.monotonic() - started < 2
            assert not pending.done()
            refused(emulator, pending.result(), "could not be reached")


class TestRefusedAtOnce:
    def test_all_broken_rules_in_one_answer(self, emulator, storage, backups):
        answer = emulator.restore(
            "bad.name!",
            backups[PREMIUM],
            storage,
            headers={"x-ms-client-request-id": None},
            Edition="basic",
            ServiceVersion="2.0",
            TrackingStoreConnectionString="Initial Catalog=Nowhere;User ID=me;Password=word",
            AccessControlNamespace="nowhere",
            MonitoringStoreConnectionString=storage.replace(KEY, OTHER_KEY),
            Certificate=certificate(password="another"),
        )
        message = refused(
            emulator,
            answer,
            "6 to 20 letters",
            "x-ms-client-request-id",
            "basic edition, which is lower",
            "version 1.1.0",
            "tracking database Nowhere does not exist",
            "namespace nowhere does not exist",
            "The storage account of MonitoringStoreConnectionString refused the account key",
            "ServiceCertificate cannot be opened",
        )
        assert OTHER_KEY not in message
        assert OTHER_KEY not in str(emulator.journal())

    @pytest.mark.parametrize(
        ("source", "edition", "sentence"),
        [
            (PREMIUM, "standard", "which is lower"),
            (STANDARD, "basic", "which is lower"),
            (STANDARD, "developer", "to the developer edition"),
            (STANDARD, "free", "to the free edition"),
            (STANDARD, "golden", "to the golden edition"),
        ],
    )
    def test_editions(self, emulator, storage, backups, source, edition, sentence):
        refused(emulator, emulator.restore(fresh("edition"), backups[source], storage, Edition=edition), sentence)

    def test_a_backup_of_the_developer_edition(self, emulator, storage):
        emulator.admin("PATCH", "/settings", {"profile": {"developer_backup": "yes"}})
        backup = backed_up(emulator, storage, "contosodev")
        answer = emulator.restore(fresh("developer"), backup, storage, Edition="standard")
        refused(emulator, answer, "A backup of the developer edition cannot be restored")

    def test_quota_of_the_target(self, emulator, storage):
        content = emulator.admin("GET", f"/services/{PREMIUM}")["content"]
        bridge = next(each for each in content["bridges"] if each["Kind"] == "XmlOneWay")
        many = [copy.deepcopy(bridge) | {"Name": f"{fresh('bridge')}"} for _ in range(500)]
        emulator.admin("POST", f"/services/{PREMIUM}/content", {"bridges": many})
        backup = backed_up(emulator, storage, PREMIUM)
        answer = emulator.restore(fresh("quota"), backup, storage, UnitCount="1")
        refused(emulator, answer, "premium edition allows 500 bridges with 1 unit(s)")
        refused(emulator, emulator.restore(fresh("units"), backup, storage, UnitCount="9"), "UnitCount")

    def test_request_id_and_content_type(self, emulator, storage, backups):
        without = {"x-ms-client-request-id": None}
        answer = emulator.restore(fresh("noid"), backups[STANDARD], storage, headers=without)
        refused(emulator, answer, "x-ms-client-request-id is required")
        answer = emulator.restore(fresh("json"), backups[STANDARD], storage, headers={"Content-Type": "text/plain"})
        refused(emulator, answer, "Content-Type")

    def test_the_backups_own_place(self, emulator, storage, backups, blobs: BlobServiceClient):
        good = backups[STANDARD]

        def answer(backup: str = good, connection: str = storage):
            return emulator.restore(fresh("place"), backup, connection)

        refused(emulator, answer(backup="Bad Name"), "BackupName")
        refused(emulator, answer(connection="nonsense"), "BackupStoreConnectionString")
        refused(emulator, answer(connection=storage.replace(KEY, OTHER_KEY)), "refused the account key")
        unreachable = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:9/{ACCOUNT}"
        refused(emulator, answer(connection=unreachable), "could not be reached")
        missing = fresh("backup")
        refused(emulator, answer(backup=missing), f"no container {missing}")
        half = fresh("half")
        copy_backup(blobs, good, half, leave_out=f"{good}.txt")
        refused(emulator, answer(backup=half), f"holds no descriptor {half}.txt")
        nonsense = fresh("nonsense")
        blobs.create_container(nonsense).upload_blob(f"{nonsense}.txt", b"not mine")
        refused(emulator, answer(backup=nonsense), "cannot be read as UTF-8 JSON")

    def test_values_that_the_request_carries(self, emulator, storage, backups):
        good, before = backups[STANDARD], emulator.admin("GET", "/services")
        tracking = database_of(emulator)
        emulator.admin("PUT", "/world/namespaces/spare", {"key": "right"})

        def check(*sentences: str, **overrides):
            refused(emulator, emulator.restore(fresh("carried"), good, storage, **overrides), *sentences)

        wrong = tracking.replace("first", "second")
        check("refused user name and password", TrackingStoreConnectionString=wrong)
        taken = stored(emulator, STANDARD)["settings"]["TrackingStoreConnectionString"]
        check("used by another service", TrackingStoreConnectionString=taken)
        check("Initial Catalog", TrackingStoreConnectionString="Data Source=x")
        check("refused the key", AccessControlNamespace="spare", AccessControlKey="wrong")
        check("namespace spare refused the key", AccessControlNamespace="spare")
        check("Archiving is available", ArchiveStoreConnectionString=storage)
        check("MonitoringStoreConnectionString", MonitoringStoreConnectionString="AccountName=x")
        check("expired", Certificate=certificate(days_ago=4 * 365))
        check("base64", Certificate=("%%%", "open"))
        check("ServiceVersion must be", ServiceVersion="new")
        assert emulator.admin("GET", "/services") == before

    def test_nothing_began(self, emulator, storage, backups):
        before = emulator.admin("GET", "/operations"), emulator.admin("GET", "/services")
        emulator.fault("operation-fails", "restore", count=1)
        emulator.restore(fresh("nothing"), backups[STANDARD], storage, Edition="basic")
        assert (emulator.admin("GET", "/operations"), emulator.admin("GET", "/services")) == before
        assert emulator.admin("GET", "/faults")["faults"][0]["remaining"] == 1


def copy_backup(blobs: BlobServiceClient, source: str, target: str, *, leave_out: str = "") -> None:
    blobs.create_container(target)
    for blob in blobs.get_container_client(source).list_blob_names():
        if blob != leave_out:
            data = blobs.get_blob_client(source, blob).download_blob().readall()
            blobs.get_blob_client(target, blob).upload_blob(data)


class TestFailsLate:
    def test_known_issue_values_out_of_the_backup(self, emulator, storage):
        """The same value is refused at once when the request carries it."""
        name, tracking = fresh("origin"), database_of(emulator)
        namespace = fresh("ns")
        emulator.admin("PUT", f"/world/namespaces/{namespace}", {"key": "old"})
        answer = emulator.create(
            name,
            TrackingStoreConnectionString=tracking,
            MonitoringStoreConnectionString=storage,
            AccessControlNamespace=namespace,
            AccessControlKey="old",
        )
        emulator.operation(answer)
        emulator.reaches(name, "Active")
        backup = backed_up(emulator, storage, name)
        emulator.give_up(name)
        database = tracking.split("Initial Catalog=")[1].split(";")[0]

        def attempt(code: str, **carried: str) -> None:
            target = fresh("late")
            assert error_of(emulator, target, emulator.restore(target, backup, storage))["ExtendedCode"] == code
            assert emulator.admin("GET", f"/services/{target}")["items"]["agreements"] == 0
            assert refusal(emulator.act(target, "resume"))[:2] == (409, "ConflictError")
            emulator.give_up(target)
            refused(emulator, emulator.restore(fresh("early"), backup, storage, **carried))

        emulator.admin("PUT", f"/world/databases/{database}", {"password": "rotated"})
        attempt("TrackingDatabaseLoginFailed", TrackingStoreConnectionString=tracking)
        emulator.admin("DELETE", f"/world/databases/{database}")
        attempt("TrackingDatabaseNotFound", TrackingStoreConnectionString=tracking)
        emulator.admin("PUT", f"/world/databases/{database}", {"user": "me", "password": "first"})
        emulator.admin("PUT", f"/world/namespaces/{namespace}", {"key": "new"})
        attempt("AccessControlKeyRefused", AccessControlNamespace=namespace, AccessControlKey="old")
        emulator.admin("DELETE", f"/world/namespaces/{namespace}")
        attempt("AccessControlNamespaceNotFound", AccessControlNamespace=namespace, AccessControlKey="old")
        emulator.admin("PUT", f"/world/namespaces/{namespace}", {"key": "old"})
        emulator.restore(name, backup, storage)
        emulator.reaches(name, "Suspended")

    def test_known_issue_storage_accounts(self, emulator, storage, azurite):
        name = fresh("stores")
        gone = f"AccountName={ACCOUNT};AccountKey={OTHER_KEY};BlobEndpoint={azurite}"
        answer = emulator.create(name, MonitoringStoreConnectionString=gone)
        emulator.operation(answer)
        emulator.reaches(name, "Active")
        backup = backed_up(emulator, storage, name)
        emulator.give_up(name)
        error = error_of(emulator, name, emulator.restore(name, backup, storage))
        assert error["ExtendedCode"] == "StorageAuthenticationFailed"
        assert "MonitoringStoreConnectionString" in error["Message"]
        assert OTHER_KEY not in str(emulator.journal()) + str(error)
        emulator.give_up(name)
        emulator.restore(name, backup, storage, MonitoringStoreConnectionString=storage)
        emulator.reaches(name, "Suspended")

    def test_the_tracking_database_out_of_the_backup_serves_the_original(self, emulator, storage, backups):
        name = fresh("copy")
        error = error_of(emulator, name, emulator.restore(name, backups[STANDARD], storage))
        assert error["ExtendedCode"] == "TrackingDatabaseInUse"
        assert emulator.state(STANDARD) == "Active"
        order = {"agreement": AGREEMENT, "messages": 1}
        assert emulator.raw_admin("POST", f"/services/{STANDARD}/messages", order).status_code == 200

    @pytest.mark.parametrize("damage", ["altered", "missing", "foreign blob", "another's name"])
    def test_damaged(self, emulator, storage, backups, blobs, damage):
        good, spoiled, name = backups[STANDARD], fresh("spoiled"), fresh("damaged")
        copy_backup(blobs, good, spoiled)
        container = blobs.get_container_client(spoiled)
        descriptor = container.download_blob(f"{good}.txt").readall()
        container.delete_blob(f"{good}.txt")
        if damage != "another's name":
            descriptor = descriptor.replace(good.encode(), spoiled.encode())
        container.upload_blob(f"{spoiled}.txt", descriptor)
        if damage == "altered":
            container.upload_blob("artifacts.json", b"{}", overwrite=True)
        if damage == "missing":
            container.delete_blob("edi-runtime.json")
        if damage == "foreign blob":
            container.upload_blob("more.json", b"{}")
        error = error_of(emulator, name, emulator.restore(name, spoiled, storage))
        assert error["ExtendedCode"] == "BackupDamaged"
        assert error["HttpCode"] == "400"

    def test_a_backup_deleted_meanwhile(self, emulator, storage, blobs):
        backup, name = backed_up(emulator, storage), fresh("deleted")
        emulator.slow_down("restore")
        answer = emulator.restore(name, backup, storage)
        blobs.delete_container(backup)
        emulator.release(answer)
        error = error_of(emulator, name, answer)
        assert (error["HttpCode"], error["ExtendedCode"]) == ("404", "BackupNotFound")

    def test_an_envelope_that_succeeded_stays_so(self, emulator, storage, backups):
        name = fresh("envelope")
        emulator.slow_down("restore")
        emulator.admin("PATCH", "/settings", {"envelope_seconds": 0.1})
        answer = emulator.restore(name, backups[STANDARD], storage)
        assert emulator.operation(answer) == "Succeeded"
        emulator.release(answer)
        emulator.reaches(name, "RestoreFailed")
        assert emulator.operation(answer) == "Succeeded"
        assert text(emulator.provider_status(name, answer), "Result") == "Failed"


class TestFaults:
    def restore(self, emulator, storage, backups, name):
        return emulator.restore(name, backups[STANDARD], storage, TrackingStoreConnectionString=database_of(emulator))

    def test_operation_fails(self, emulator, storage, backups):
        name = fresh("fails")
        emulator.fault("operation-fails", "restore", count=1, message="The region is full.")
        error = error_of(emulator, name, self.restore(emulator, storage, backups, name))
        assert error["Message"] == "The region is full."

    def test_stuck_until_released(self, emulator, storage, backups):
        name = fresh("stuck")
        emulator.fault("stuck", "restore", count=1)
        answer = self.restore(emulator, storage, backups, name)
        time.sleep(0.5)
        assert emulator.state(name) == "Restoring"
        emulator.release(answer)
        emulator.reaches(name, "Suspended")

    def test_stuck_and_forced(self, emulator, storage, backups):
        name = fresh("forced")
        emulator.fault("stuck", "restore", count=1)
        answer = self.restore(emulator, storage, backups, name)
        emulator.force(name, "RestoreFailed")
        assert text(emulator.provider_status(name, answer), "Error/ExtendedCode") == "Cancelled"
        emulator.give_up(name)

    def test_forgotten(self, emulator, storage, backups):
        name = fresh("forgotten")
        emulator.fault("operation-forgotten", "restore", count=1)
        answer = self.restore(emulator, storage, backups, name)
        path = f"/operations/{answer.headers['x-ms-request-id']}"
        assert refusal(emulator.request("GET", path))[0] == 404
        emulator.reaches(name, "Suspended")

    @pytest.mark.parametrize("kind", ["reset-after", "truncated"])
    def test_connection_broken_after_acceptance(self, emulator, storage, backups, kind):
        name = fresh("broken")
        emulator.fault(kind, "restore", count=1)
        with pytest.raises(OSError):  # noqa: PT011 - any error of the connection
            self.restore(emulator, storage, backups, name)
        emulator.reaches(name, "Suspended")

    def test_reset_before(self, emulator, storage, backups):
        name = fresh("before")
        emulator.fault("reset-before", "restore", count=1)
        with pytest.raises(OSError):  # noqa: PT011
            self.restore(emulator, storage, backups, name)
        assert emulator.raw_admin("GET", f"/services/{name}").status_code == 404

    def test_status(self, emulator, storage, backups):
        emulator.fault("status", "restore", count=1)
        assert refusal(self.restore(emulator, storage, backups, fresh("busy")))[:2] == (503, "ServerBusy")

    @pytest.mark.parametrize("kind", ["empty-body", "malformed-xml", "html", "entity-bomb", "slow"])
    def test_spoiled_answers_have_their_effect(self, emulator, storage, backups, kind):
        name = fresh("spoilt")
        emulator.fault(kind, "restore", count=1, **({"seconds": 0.3} if kind == "slow" else {}))
        self.restore(emulator, storage, backups, name)
        emulator.reaches(name, "Suspended")


class TestSecret:
    def test_connection_string_and_carried_values_are_gone_after_the_operation(self, own_emulator, storage, azurite):
        """Here the sample's services use an account whose key is another one."""
        own_emulator.force(STANDARD, "Suspended")
        backup = fresh("secret")
        own_emulator.operation(own_emulator.back_up(STANDARD, backup, storage))
        tracking = database_of(own_emulator, password="carried-and-kept")
        own_emulator.slow_down("restore")
        name = fresh("secret")
        answer = own_emulator.restore(name, backup, storage, TrackingStoreConnectionString=tracking)
        assert KEY.encode() in files(own_emulator)
        own_emulator.release(answer)
        assert text(own_emulator.provider_status(name, answer), "Result") == "Failed"
        eventually(lambda: KEY.encode() not in files(own_emulator))
        seen = str(own_emulator.journal()) + str(own_emulator.admin("GET", "/operations"))
        seen += own_emulator.request("GET", own_emulator.path(name)).text + str(own_emulator.admin("GET", "/world"))
        assert KEY not in seen
        assert "carried-and-kept" not in seen


def files(emulator) -> bytes:
    return b"".join(path.read_bytes() for path in emulator.home.glob("emulator.db*"))
