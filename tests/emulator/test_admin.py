"""The admin port: services, messages, settings, journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import requests
from biztalk_emulator.business.tracking import DRAIN_QUERY

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess, eventually

SERVICE = "contosoorders"
PARTNER = {"Name": "New Partner", "Description": "", "Host": False, "Profiles": []}


def batch_of(emulator, criterion: str) -> tuple[str, dict]:
    """A service with a batch of that criterion, and its status."""
    for service in emulator.admin("GET", "/services")["services"]:
        for batch in emulator.admin("GET", f"/services/{service['name']}")["batches"]:
            if batch["ReleaseCriteriaType"] == criterion:
                return service["name"], batch
    raise AssertionError(f"no batch released by {criterion} in the sample fleet")


def waiting(emulator, name: str) -> list[tuple]:
    path = emulator.admin("GET", f"/services/{name}")["tracking_database"]
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(DRAIN_QUERY, {"service": name}).fetchall()


def test_health_and_index(emulator):
    health = emulator.admin("GET", "/health")
    assert (health["status"], health["subscription_id"]) == ("healthy", SUBSCRIPTION)
    assert "GET /services/{}" in emulator.admin("GET", "/")["requests"]


def test_services_show_all_but_secrets(emulator):
    services = emulator.admin("GET", "/services")["services"]
    assert {service["edition"] for service in services} >= {"free", "developer", "basic", "standard", "premium"}
    for service in services:
        whole = emulator.admin("GET", f"/services/{service['name'].upper()}")
        assert whole["items"]["partners"] == len(whole["content"]["partners"])
        for secret in ("AccountKey=", "AccessControlKey", "Password="):
            assert secret not in str(whole)
        for certificate in whole["content"]["certificates"]:
            assert certificate["Kind"] == "Public" or certificate["Data"] == certificate["Password"] == "(not shown)"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("DELETE", "/health", None, 405),
        ("GET", "/services/nobody", None, 404),
        ("POST", f"/services/{SERVICE}/actions", {"action": "explode"}, 400),
        ("POST", f"/services/{SERVICE}/actions", {"action": "start"}, 409),
        ("PUT", f"/services/{SERVICE}/state", {"state": "Suspending"}, 400),
        ("POST", f"/services/{SERVICE}/content", {"control_numbers": []}, 400),
        ("POST", f"/services/{SERVICE}/content", {"partners": [{"Name": "x"}]}, 400),
        ("POST", f"/services/{SERVICE}/content", {"partners": "x"}, 400),
        ("POST", f"/services/{SERVICE}/content", {"partners": [{"Name": ["x"]}]}, 400),
        ("POST", f"/services/{SERVICE}/content", {"partners": [PARTNER | {"Profiles": [{"Name": "p"}]}]}, 400),
        ("POST", f"/services/{SERVICE}/content", {"partners": [PARTNER | {"Profiles": [1]}]}, 400),
        ("POST", f"/services/{SERVICE}/content", {"templates": [{"Name": "x", "Protocol": {}}]}, 400),
        ("POST", f"/services/{SERVICE}/messages", {}, 400),
        ("POST", f"/services/{SERVICE}/messages", {"agreement": "none"}, 409),
        ("POST", f"/services/{SERVICE}/messages", {"agreement": "none", "colour": 1}, 400),
        ("POST", f"/services/{SERVICE}/messages", {"agreement": "Northwind X12 send", "size": 10**30}, 409),
        ("POST", f"/services/{SERVICE}/batches/release", {}, 400),
        ("GET", "/services/nobody/duplicates", None, 404),
        ("PUT", "/world/databases/a..b.", {"user": "u", "password": "p"}, 400),
        ("PUT", "/world/databases/a;Initial Catalog=b", {"user": "u", "password": "p"}, 400),
        ("PUT", "/world/databases/new", {"password": "p"}, 400),
        ("PUT", "/world/databases/new", {"user": "u", "password": 1}, 400),
        ("PUT", "/world/databases/new", {"user": "u", "password": "p", "size": 1}, 400),
        ("DELETE", "/world/databases/nothing", None, 404),
        ("PUT", "/world/namespaces/new", {}, 400),
        ("PUT", "/world/namespaces/new", {"key": ""}, 400),
        ("DELETE", "/world/namespaces/nothing", None, 404),
        ("GET", f"/operations/{'0' * 32}", None, 404),
        ("POST", f"/operations/{'0' * 32}/release", None, 409),
        ("GET", "/journal?kind=gossip", None, 400),
        ("GET", "/journal?after=x", None, 400),
        ("GET", "/journal?since=1", None, 400),
        ("POST", "/faults", {"kind": ["status"]}, 400),
        ("POST", "/faults", {"kind": "status", "count": 10**30}, 400),
        ("DELETE", "/faults/999999", None, 404),
        ("DELETE", f"/faults/{10**30}", None, 404),
        ("POST", "/certificates", {"certificate": "nonsense"}, 400),
        ("DELETE", "/certificates/ABC", None, 404),
        ("PATCH", "/settings", {"durations": {"dream": 1}}, 400),
        ("PATCH", "/settings", {"durations": {"suspend": -1}}, 400),
        ("PATCH", "/settings", {"durations": {"suspend": True}}, 400),
        ("PATCH", "/settings", {"profile": {"backup_precondition": "never"}}, 400),
        ("PATCH", "/settings", {"profile": {"mood": "good"}}, 400),
        ("PATCH", "/settings", {"traffic_tick_seconds": 0}, 400),
        ("PATCH", "/settings", [], 400),
    ],
)
def test_refusals_are_sentences_and_change_nothing(emulator, method, path, body, status):
    before = emulator.admin("GET", "/settings"), emulator.admin("GET", f"/services/{SERVICE}")
    answer = emulator.raw_admin(method, path, body)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")
    assert (emulator.admin("GET", "/settings"), emulator.admin("GET", f"/services/{SERVICE}")) == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "status", "retry_after": Infinity}',
        b'{"kind": "status", "retry_after": 1e999}',
        b'{"kind": "status", "message": "\\ud800"}',
        b'{"kind": "slow", "seconds": NaN}',
        b'{"kind": "slow", "seconds": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_json_and_unicode_do_not_have_is_refused(emulator, body):
    answer = emulator.raw_admin("POST", "/faults", data=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "The body must be a JSON object.")
    assert emulator.request("GET", "/cloudservices").status_code == 200


@pytest.mark.parametrize("after", [10**30, -(10**30)])
def test_the_journal_before_the_first_and_after_the_last_number_that_there_can_be(emulator, after):
    first = emulator.admin("GET", f"/journal?after={after}&limit=1")["entries"]
    assert [entry["seq"] for entry in first] == ([] if after > 0 else [1])


def test_pages_of_other_sites_are_refused(emulator):
    for origin, status in (("https://evil.example", 403), ("http://localhost:5173", 200)):
        assert emulator.raw_admin("GET", "/health", headers={"Origin": origin}).status_code == status


def test_bodies_that_are_not_read_are_refused_with_a_sentence(emulator):
    answer = emulator.raw_admin("POST", "/faults", headers={"Content-Length": "99999999"})
    assert (answer.status_code, "larger than" in answer.json()["error"]) == (413, True)
    assert emulator.raw_admin("BREW", "/faults").status_code == 405


def test_settings_change_only_what_is_named(emulator):
    before = emulator.admin("GET", "/settings")
    after = emulator.admin("PATCH", "/settings", {"durations": {"suspend": 0.25}, "name_hold_seconds": 3})
    before["durations"]["suspend"], before["name_hold_seconds"] = 0.25, 3.0
    assert after == before == emulator.admin("GET", "/settings")


class TestMessages:
    def test_fill_and_release_a_batch(self, emulator):
        name, batch = batch_of(emulator, "Schedule")
        order = {"agreement": batch["AgreementName"], "messages": 3, "size": 500}
        assert waiting(emulator, name) == []
        result = emulator.admin("POST", f"/services/{name}/messages", order)
        assert result["batch"]["messages"] == 3
        assert emulator.admin("GET", f"/services/{name}")["waiting_messages"] == 3
        (row,) = waiting(emulator, name)
        assert row[:3] == (batch["AgreementName"], batch["BatchName"], 3)
        address = {"agreement": batch["AgreementName"], "batch": batch["BatchName"]}
        assert emulator.admin("POST", f"/services/{name}/batches/release", address)["messages"] == 3
        assert waiting(emulator, name) == []
        assert [e["event"] for e in emulator.journal(kind="traffic", service=name)][-2:] == ["send", "release"]

    def test_only_active_services_process(self, emulator):
        name, batch = batch_of(emulator, "Count")
        order = {"agreement": batch["AgreementName"]}
        for state in ("Suspended", "Stopped", "Disabled", "ResumeFailed"):
            emulator.force(name, state)
            answer = emulator.raw_admin("POST", f"/services/{name}/messages", order)
            assert (answer.status_code, state in answer.json()["error"]) == (409, True)
        assert waiting(emulator, name) == []

    def test_suspending_stops_at_once_and_updating_does_not(self, emulator):
        name, batch = batch_of(emulator, "Schedule")
        order = {"agreement": batch["AgreementName"]}
        emulator.slow_down("suspend", "update")
        answer = emulator.update(name, CustomDomainUrl="x.example.com")
        assert emulator.state(name) == "Updating"
        assert emulator.raw_admin("POST", f"/services/{name}/messages", order).status_code == 200
        emulator.release(answer)
        emulator.reaches(name, "Active")
        address = {"agreement": batch["AgreementName"], "batch": batch["BatchName"]}
        emulator.admin("POST", f"/services/{name}/batches/release", address)
        emulator.act(name, "suspend")
        assert emulator.raw_admin("POST", f"/services/{name}/messages", order).status_code == 409

    def test_the_clock_releases_timed_out_batches_of_active_services(self, emulator):
        name, batch = batch_of(emulator, "Timeout")
        emulator.admin("PATCH", "/settings", {"traffic_tick_seconds": 3600})
        content = emulator.admin("GET", f"/services/{name}")["content"]
        (agreement,) = [each for each in content["agreements"] if each["Name"] == batch["AgreementName"]]
        for each in agreement["Batches"]:
            if each["Name"] == batch["BatchName"]:
                each["TimeoutInSeconds"] = 1
        emulator.admin("POST", f"/services/{name}/content", {"agreements": [agreement]})
        emulator.admin("POST", f"/services/{name}/messages", {"agreement": batch["AgreementName"], "messages": 2})
        emulator.act(name, "suspend")
        emulator.reaches(name, "Suspended")
        emulator.admin("PATCH", "/settings", {"traffic_tick_seconds": 0.1})
        with pytest.raises(AssertionError):
            eventually(lambda: not waiting(emulator, name), seconds=1.5)
        emulator.act(name, "resume")
        eventually(lambda: not waiting(emulator, name))
        assert emulator.journal(kind="traffic", service=name)[-1]["event"] == "release due"

    def test_messages_waiting_survive_a_kill(self, own_emulator):
        name, batch = batch_of(own_emulator, "Schedule")
        order = {"agreement": batch["AgreementName"], "messages": 2}
        own_emulator.admin("POST", f"/services/{name}/messages", order)
        own_emulator.kill()
        assert EmulatorProcess.start(own_emulator).admin("GET", f"/services/{name}")["waiting_messages"] == 2
        assert waiting(own_emulator, name)[0][2] == 2

    def test_messages_waiting_follow_to_another_tracking_database(self, own_emulator):
        name, batch = batch_of(own_emulator, "Schedule")
        order = {"agreement": batch["AgreementName"], "messages": 2}
        own_emulator.admin("POST", f"/services/{name}/messages", order)
        before = own_emulator.admin("GET", f"/services/{name}")["tracking_database"]
        moved = "Data Source=tcp:x;Initial Catalog=MovedTracking;Password=hidden"
        own_emulator.update(name, TrackingStoreConnectionString=moved)
        own_emulator.reaches(name, "Active")
        assert own_emulator.admin("GET", f"/services/{name}")["tracking_database"] != before
        assert [row[:3] for row in waiting(own_emulator, name)] == [(batch["AgreementName"], batch["BatchName"], 2)]

    def test_a_damaged_tracking_database_stops_messages_only(self, own_emulator):
        name, batch = batch_of(own_emulator, "Schedule")
        path = Path(own_emulator.admin("GET", f"/services/{name}")["tracking_database"])
        own_emulator.stop()
        for file in path.parent.glob(f"{path.name}*"):
            file.write_bytes(b"this is no database" * 1000)
        own_emulator.start()
        answer = own_emulator.raw_admin("POST", f"/services/{name}/messages", {"agreement": batch["AgreementName"]})
        assert answer.status_code == 409
        assert "tracking database" in answer.json()["error"]
        assert own_emulator.operation(own_emulator.act(name, "suspend")) == "Succeeded"


class TestJournal:
    def test_records_a_suspend_in_order(self, emulator):
        after = emulator.journal()[-1]["seq"]
        answer = emulator.act(SERVICE, "suspend", headers={"x-ms-client-request-id": "run 7"})
        emulator.operation(answer)
        emulator.reaches(SERVICE, "Suspended")
        entries = emulator.journal(after=after, service=SERVICE)
        recorded = [(e["kind"], e.get("event") or e.get("after") or e.get("operation")) for e in entries]
        assert recorded[:3] == [("operation", "started"), ("state", "Suspending"), ("request", "suspend")]
        assert [e for e in recorded if e[0] != "request"][2:] == [("operation", "ended"), ("state", "Suspended")]
        request = entries[2]
        assert request["path"].endswith("/contosoorders?comp=suspend")
        assert (request["method"], request["status"], request["fault"]) == ("POST", 202, None)
        assert request["client_request_id"] == "run 7"
        assert request["request_id"] == answer.headers["x-ms-request-id"] == entries[0]["operation_id"]
        assert entries[0]["log_name"] == "SuspendBizTalkService"

    def test_queries_are_kept_only_where_they_are_known(self, emulator):
        emulator.request("GET", f"{emulator.path(SERVICE)}?AccountKey=c2VjcmV0&comp=secret")
        entry = emulator.journal(kind="request", service=SERVICE)[-1]
        assert "secret" not in str(entry)
        assert "c2VjcmV0" not in str(entry)

    def test_refused_requests_and_strangers_are_recorded(self, emulator):
        refused = emulator.request("GET", "/cloudservices/nowhere")
        with requests.Session() as stranger:
            stranger.trust_env = False
            turned_away = stranger.get(f"{emulator.url}/cloudservices", verify=emulator.session.verify, timeout=10)
        recorded = [(each["request_id"], each["status"]) for each in emulator.journal(kind="request")[-2:]]
        assert recorded == [(refused.headers["x-ms-request-id"], 404), (turned_away.headers["x-ms-request-id"], 403)]

    def test_paging(self, emulator):
        page = emulator.admin("GET", "/journal?limit=2")
        assert [entry["seq"] for entry in page["entries"]] == [1, 2]
        assert page["last"] == 2

    def test_newest_marks_the_end_without_paging(self, emulator):
        mark = emulator.admin("GET", "/journal?limit=1&kind=blob")["newest"]
        assert mark == emulator.journal()[-1]["seq"]
        fault = emulator.fault("slow", "list")
        page = emulator.admin("GET", f"/journal?after={mark}")
        assert [(entry["seq"], entry["fault"]) for entry in page["entries"]] == [(mark + 1, fault)]
        assert page["last"] == page["newest"] == mark + 1

    def test_filters(self, emulator):
        assert {entry["kind"] for entry in emulator.journal(kind="admin")} == {"admin"}
        assert {entry["service"] for entry in emulator.journal(service=SERVICE.upper())} == {SERVICE}
