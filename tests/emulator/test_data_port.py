"""Tokens and trading partner management, over HTTPS without a client certificate."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest
import requests

from tests.emulator.driver import EmulatorProcess, eventually

SERVICE, PREMIUM = "contosoorders", "ContosoRetail"
KEY = "key of the namespace"
VERBOSE = {"Accept": "application/json;odata=verbose"}
TYPES = "Microsoft.ApplicationServer.Integration.PartnerManagement."
SEND = "Northwind X12 send"


@pytest.fixture
def known(emulator) -> EmulatorProcess:
    """The emulator; the namespaces of two services have a known key."""
    for name in (SERVICE, PREMIUM):
        emulator.admin("PUT", f"/world/namespaces/{name}acs", {"key": KEY})
    return emulator


def token(emulator, name: str = SERVICE) -> str:
    answer = emulator.request_token(name, KEY)
    assert answer.status_code == 200, answer.text
    return parse_qs(answer.text)["wrap_access_token"][0]


class Partners:
    """A client of one service's trading partner management."""

    def __init__(self, emulator: EmulatorProcess, name: str = SERVICE) -> None:
        self.emulator = emulator
        self.root = f"{name}.biztalk.windows.net/default/$PartnerManagement"
        self.headers = {"Authorization": f'WRAP access_token="{token(emulator, name)}"', **VERBOSE}

    def request(
        self, path: str = "", method: str = "GET", headers: dict | None = None, **how: Any
    ) -> requests.Response:
        return self.emulator.data(method, f"{self.root}/{path}", headers={**self.headers, **(headers or {})}, **how)

    def get(self, path: str) -> Any:
        answer = self.request(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["d"]

    def settings_of(self, agreement: str) -> dict[str, Any]:
        entities = self.get("Agreements?$expand=ProtocolSettings")["results"]
        return next(each["ProtocolSettings"] for each in entities if each["Name"] == agreement)

    def merge(self, entity: dict[str, Any], changes: dict[str, Any], **headers: str) -> requests.Response:
        return self.request(f"ProtocolSettings({entity['Id']})", "MERGE", json=changes, headers=headers)


@pytest.fixture
def partners(known) -> Partners:
    return Partners(known)


def sentence(answer: requests.Response) -> str:
    """The message of a refusal, its body checked for the form of verbose JSON."""
    error = answer.json()["error"]
    assert (set(error), error["message"]["lang"]) == ({"code", "message"}, "en-US")
    return error["message"]["value"]


class TestToken:
    def test_of_the_owner(self, known):
        answer = known.request_token(SERVICE, KEY)
        form = dict(parse_qsl(answer.text))
        assert answer.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
        assert form["wrap_access_token_expires_in"] == "28800"
        claims = dict(parse_qsl(form["wrap_access_token"]))
        assert claims["Issuer"] == f"https://{SERVICE}acs.accesscontrol.windows.net/"
        assert claims["Audience"] == f"http://{SERVICE}.biztalk.windows.net/default/$PartnerManagement/"
        assert abs(int(claims["ExpiresOn"]) - time.time() - 28800) < 60

    @pytest.mark.parametrize(
        ("form", "namespace", "status"),
        [
            ({"wrap_password": "wrong"}, "", 401),
            ({"wrap_name": "stranger"}, "", 401),
            ({}, "nowhere", 401),
            ({"wrap_name": ""}, "", 400),
            ({"wrap_scope": ""}, "", 400),
            ({"wrap_scope": "http://nobody.biztalk.windows.net/default/"}, "", 400),
            ({"wrap_scope": f"http://{PREMIUM}.biztalk.windows.net/default/"}, "", 400),
            ({"wrap_scope": f"https://{SERVICE}.biztalk.windows.net/default/$PartnerManagement"}, "", 200),
        ],
    )
    def test_refusals_are_short_texts(self, known, form, namespace, status):
        answer = known.request_token(SERVICE, KEY, namespace=namespace, **form)
        assert answer.status_code == status
        if status != 200:
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert answer.text.endswith(".\n")

    def test_paths_and_verbs(self, known):
        host = f"{SERVICE}ACS.accesscontrol.windows.net"
        assert known.data("GET", f"{host}/WRAPv0.9/").status_code == 405
        assert known.data("POST", f"{host}/v2/mgmt").status_code == 404
        assert known.data("POST", f"{host}/wrapv0.9").status_code == 400
        assert known.data("GET", "").status_code == 404

    def test_password_is_in_no_journal(self, known):
        known.request_token(SERVICE, "a-secret-that-is-wrong")
        (entry,) = known.journal(kind="request", after=known.journal()[-2]["seq"])
        assert (entry["port"], entry["operation"], entry["status"]) == ("data", "token", 401)
        assert entry["service"] == SERVICE
        assert "a-secret" not in str(entry)

    def test_expires(self, known):
        known.admin("PATCH", "/settings", {"token_seconds": 1})
        partners = Partners(known)
        assert partners.request("Partners").status_code == 200
        eventually(lambda: partners.request("Partners").status_code == 401)

    def test_outlives_a_rotated_key_and_not_its_namespace(self, known):
        partners = Partners(known)
        known.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": "another"})
        assert partners.request("Partners").status_code == 200
        assert known.request_token(SERVICE, KEY).status_code == 401
        known.admin("DELETE", f"/world/namespaces/{SERVICE}acs")
        assert partners.request("Partners").status_code == 401
        known.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": KEY})
        assert partners.request("Partners").status_code == 401
        assert Partners(known).request("Partners").status_code == 200

    def test_others_open_nothing(self, known):
        good = token(known)
        claims, _, _ = good.rpartition("&HMACSHA256=")
        signature = base64.b64encode(hmac.new(b"my own key", claims.encode(), hashlib.sha256).digest()).decode()
        later = good.replace("ExpiresOn=", "ExpiresOn=9")
        path = f"{SERVICE}.biztalk.windows.net/default/$PartnerManagement/Partners"
        for wrong in (
            "",
            "nonsense",
            claims,
            later,
            f"{claims}&{urlencode({'HMACSHA256': signature})}",
            token(known, PREMIUM),
        ):
            for header in (f'WRAP access_token="{wrong}"', f"Bearer {good}", good):
                answer = known.data("GET", path, headers={"Authorization": header, **VERBOSE})
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "WRAP"
                assert good not in sentence(answer)
        spaced = {"Authorization": f'WRAP access_token = "{good}"', **VERBOSE}
        assert known.data("GET", path, headers=spaced).status_code == 200


class TestRead:
    def test_entity_sets(self, partners):
        sets = partners.get("")["EntitySets"]
        assert "ProtocolSettings" in sets
        for name in sets:
            results = partners.get(name)["results"]
            assert results, name
            ids = [each["Id"] for each in results]
            assert len(set(ids)) == len(ids)
            for each in results:
                assert each["__metadata"]["uri"].endswith(f"/default/$PartnerManagement/{name}({each['Id']})")
                again = requests.get(
                    each["__metadata"]["uri"],
                    headers=partners.headers,
                    verify=partners.emulator.session.verify,
                    timeout=10,
                )
                assert again.json()["d"] == each
                assert again.headers["ETag"] == each["__metadata"]["etag"]

    def test_agreement_with_expanded_settings(self, partners):
        entity = next(each for each in partners.get("Agreements")["results"] if each["Name"] == SEND)
        assert entity["__metadata"]["type"] == f"{TYPES}Agreement"
        assert entity["ProtocolSettings"] == {"__deferred": {"uri": f"{entity['__metadata']['uri']}/ProtocolSettings"}}
        assert entity["ProtocolName"] == "X12"
        assert entity["Sender"]["Partner"] == "Contoso"
        assert entity["DocumentTypes"]["results"] == ["855", "856", "810"]
        path = f"Agreements({entity['Id']})?$expand=ProtocolSettings,BatchDescriptions"
        expanded = partners.get(path)
        settings = expanded["ProtocolSettings"]
        assert settings["__metadata"]["type"] == f"{TYPES}X12ProtocolSettings"
        assert settings["InterchangeControlNumberLowerBound"] == 1
        assert settings["TransactionSetControlNumberUpperBound"] == 999_999
        assert settings["GroupControlNumberRollover"] is True
        assert not [name for name in settings if name.startswith("Acknowledgement")]
        assert expanded["BatchDescriptions"] == {"results": []}
        assert partners.get(f"Agreements({entity['Id']})/ProtocolSettings") == settings
        assert partners.get(f"ProtocolSettings({settings['Id']})/Agreement")["Name"] == SEND

    def test_edifact_bounds_are_texts_and_as2_has_none(self, known):
        partners = Partners(known, PREMIUM)
        settings = partners.settings_of("Wingtip EDIFACT send")
        assert settings["__metadata"]["type"] == f"{TYPES}EDIFACTProtocolSettings"
        assert settings["InterchangeControlNumberUpperBound"] == "99999999"
        assert settings["TransactionSetControlNumberPrefix"] == "WI"
        acknowledging = partners.settings_of("Wingtip EDIFACT receive")
        assert acknowledging["AcknowledgementControlNumberLowerBound"] == "1"
        assert not [name for name in acknowledging if name.startswith("Interchange")]
        as2 = partners.settings_of("Wingtip AS2 send")
        assert as2["__metadata"]["type"] == f"{TYPES}AS2ProtocolSettings"
        assert not [name for name in as2 if "ControlNumber" in name]

    def test_certificates_without_keys(self, partners):
        text = partners.request("CertificateReferences").text
        uses = {each["Use"] for each in partners.get("CertificateReferences")["results"]}
        assert uses >= {"Signing", "Decryption", "Encryption"}
        certificates = partners.emulator.admin("GET", f"/services/{SERVICE}")["content"]["certificates"]
        public = [each["Data"] for each in certificates if each["Kind"] == "Public"]
        assert public
        assert not [data for data in public if data in text]
        assert "Password" not in text

    def test_batches_lead_to_their_agreement(self, partners):
        (batch,) = [each for each in partners.get("BatchDescriptions")["results"] if each["Name"] == "five minutes"]
        assert (batch["ReleaseCriteriaType"], batch["TimeoutInSeconds"]) == ("Timeout", "300")
        assert partners.get(f"BatchDescriptions({batch['Id']})/OnewayAgreement")["Direction"] == "Send"

    def test_paging_count_top_and_skip(self, known):
        content = known.admin("GET", f"/services/{SERVICE}")["content"]
        known.admin("POST", f"/services/{SERVICE}/content", {"partners": many_partners(240)})
        try:
            partners = Partners(known)
            first = partners.get("Partners?$inlinecount=allpages&$expand=BusinessProfiles")
            total = 240 + len(content["partners"])
            names, page = [], first
            while True:
                assert page["__count"] == str(total)
                names += [each["Name"] for each in page["results"]]
                if "__next" not in page:
                    break
                answer = requests.get(page["__next"], headers=partners.headers, verify=known.session.verify, timeout=10)
                page = answer.json()["d"]
                assert "results" in page["results"][0]["BusinessProfiles"]
            assert names == [each["Name"] for each in content["partners"]] + [f"p{i}" for i in range(240)]
            assert [each["Name"] for each in partners.get("Partners?$skip=5&$top=2")["results"]] == names[5:7]
            top = partners.get("Partners?$top=150")
            assert (len(top["results"]), "$top=50" in top["__next"]) == (100, True)
        finally:
            forget_partners(known)

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("Nothing", 404),
            ("Partners(1)", 404),
            ("Partners(x)", 404),
            ("Partners/Nothing", 404),
            ("Partners?$filter=Name eq 'x'", 400),
            ("Partners?$orderby=Name", 400),
            ("Partners?$expand=Nothing", 400),
            ("Partners?$top=x", 400),
            ("Partners?$skip=-1", 400),
            ("Partners?$inlinecount=some", 400),
            ("Partners?colour=red", 400),
            ("partners?$top=1", 200),
        ],
    )
    def test_what_is_not_there(self, partners, path, status):
        answer = partners.request(path)
        assert answer.status_code == status
        if status != 200:
            assert sentence(answer).endswith(".")

    @pytest.mark.parametrize(
        ("accept", "status"),
        [
            ("application/json;odata=verbose", 200),
            ("application/atom+xml, application/json; odata=verbose", 200),
            ("application/atom+xml,application/xml", 406),
            ("application/json", 406),
            ("*/*", 406),
        ],
    )
    def test_verbose_json_only(self, partners, accept, status):
        answer = partners.request("Partners", headers={"Accept": accept})
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/json;odata=verbose;charset=utf-8"

    def test_host_name_instead_of_path_and_any_case(self, partners):
        emulator = partners.emulator
        host = {"Host": f"{SERVICE.upper()}.biztalk.windows.net"}
        answer = emulator.data("GET", "DEFAULT/%24partnermanagement/AGREEMENTS", headers=partners.headers | host)
        uri = answer.json()["d"]["results"][0]["__metadata"]["uri"]
        assert uri.startswith(f"https://{SERVICE.upper()}.biztalk.windows.net/DEFAULT/$partnermanagement/Agreements(")
        assert emulator.data("GET", "nobody.biztalk.windows.net/default/$PartnerManagement/").status_code == 404

    def test_states(self, partners):
        emulator = partners.emulator
        for state, status in (("Suspended", 200), ("Stopped", 200), ("RestoreFailed", 404), ("CreatedFailed", 404)):
            emulator.force(SERVICE, state)
            assert partners.request("Partners").status_code == status
        emulator.force(SERVICE, "Active")
        emulator.fault("stuck", "delete", count=1)
        emulator.request("DELETE", emulator.path(SERVICE, through=False))
        answer = partners.request("Partners")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def many_partners(number: int) -> list[dict[str, Any]]:
    profile = {"Name": "Default", "Description": "", "Identities": [], "Certificates": {}}
    return [{"Name": f"p{i}", "Description": "", "Host": False, "Profiles": [profile]} for i in range(number)]


def forget_partners(emulator) -> None:
    """The admin port can add only, so the many are made few: renamed to one."""
    emulator.admin("POST", f"/services/{SERVICE}/content", {"partners": many_partners(1)})


class TestMerge:
    def test_changes_what_is_named_and_both_etags(self, partners):
        emulator = partners.emulator
        emulator.force(SERVICE, "Suspended")
        before, etag = partners.settings_of(SEND), emulator.etag(SERVICE)
        answer = partners.merge(before, {"GroupControlNumberLowerBound": 77}, **{"If-Match": etag_of(before)})
        assert (answer.status_code, answer.content) == (204, b"")
        after = partners.settings_of(SEND)
        assert answer.headers["ETag"] == etag_of(after) != etag_of(before)
        wanted = before | {"GroupControlNumberLowerBound": 77, "__metadata": after["__metadata"]}
        assert after == wanted
        assert emulator.etag(SERVICE) != etag
        agreements = emulator.admin("GET", f"/services/{SERVICE}")["content"]["agreements"]
        (agreement,) = [each for each in agreements if each["Name"] == SEND]
        assert agreement["ControlNumbers"]["group"]["LowerBound"] == 77
        (entry,) = [
            each
            for each in emulator.journal(kind="request", service=SERVICE)[-10:]
            if each["operation"] == "merge_protocol_settings"
        ]
        assert (entry["method"], entry["status"], entry["port"]) == ("MERGE", 204, "data")
        assert entry["changed"]["properties"] == {"GroupControlNumberLowerBound": 77}
        assert entry["changed"]["agreement"] == SEND
        assert partners.merge(after, {"GroupControlNumberLowerBound": 1}).status_code == 204

    def test_by_post_with_a_long_as_text(self, known):
        partners = Partners(known, PREMIUM)
        entity = partners.settings_of("Wingtip EDIFACT send")
        path, headers = f"ProtocolSettings({entity['Id']})", {"X-HTTP-Method": "MERGE", "If-Match": "*"}
        body = {"__metadata": entity["__metadata"], "Id": entity["Id"], "GroupControlNumberLowerBound": "12"}
        assert partners.request(path, "POST", json=body, headers=headers).status_code == 204
        assert partners.settings_of("Wingtip EDIFACT send")["GroupControlNumberLowerBound"] == "12"

    def test_stale_etag(self, partners):
        entity = partners.settings_of(SEND)
        answer = partners.merge(entity, {"GroupControlNumberLowerBound": 5}, **{"If-Match": "W/\"X'00'\""})
        assert answer.status_code == 412
        assert partners.settings_of(SEND) == entity

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"InterchangeControlNumberLowerBound": 0}, "not within 1 to 999999999"),
            ({"InterchangeControlNumberUpperBound": 1_000_000_000}, "not within 1 to 999999999"),
            ({"GroupControlNumberLowerBound": 9, "GroupControlNumberUpperBound": 8}, "in rising order"),
            ({"InterchangeControlNumberPrefix": "A"}, "takes digits only|exceed the 9 characters"),
            ({"TransactionSetControlNumberSuffix": "ABCDEFGHI"}, "exceed the 9 characters"),
            ({"InterchangeControlNumberLowerBound": 1.5}, "is a whole number"),
            ({"InterchangeControlNumberLowerBound": True}, "is a whole number"),
            ({"InterchangeControlNumberLowerBound": None}, "is a whole number"),
            ({"InterchangeControlNumberRollover": "yes"}, "is true or false"),
            ({"InterchangeControlNumberPrefix": 1}, "is text"),
            ({"AcknowledgementControlNumberLowerBound": 5}, "cannot be changed"),
            ({"Name": "x"}, "cannot be changed"),
            ({"Id": 5}, "cannot be changed"),
        ],
    )
    def test_refusals_name_the_rule_and_change_nothing(self, partners, changes, expected):
        entity, etag = partners.settings_of(SEND), partners.emulator.etag(SERVICE)
        answer = partners.merge(entity, changes)
        assert answer.status_code == 400
        assert any(each in sentence(answer) for each in expected.split("|"))
        assert partners.settings_of(SEND) == entity
        assert partners.emulator.etag(SERVICE) == etag

    def test_bodies(self, partners):
        path = f"ProtocolSettings({partners.settings_of(SEND)['Id']})"
        atom = {"Content-Type": "application/atom+xml"}
        assert partners.request(path, "MERGE", data="<entry/>", headers=atom).status_code == 415
        for body in ("", "[]", "{"):
            headers = {"Content-Type": "application/json;odata=verbose"}
            assert partners.request(path, "MERGE", data=body, headers=headers).status_code == 400

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "MERGE"])
    def test_all_other_writing(self, partners, method):
        agreement = partners.get("Agreements")["results"][0]
        for path in ("Agreements", f"Agreements({agreement['Id']})", "ProtocolSettings"):
            answer = partners.request(path, method, json={})
            assert answer.status_code == 405
            assert "GET" in answer.headers["Allow"]

    def test_needs_a_token(self, partners):
        entity = partners.settings_of(SEND)
        answer = partners.merge(entity, {"GroupControlNumberLowerBound": 5}, Authorization="")
        assert answer.status_code == 401

    def test_faults(self, partners):
        emulator, entity = partners.emulator, partners.settings_of(SEND)
        emulator.fault("status", "merge_protocol_settings", count=1, retry_after=3)
        answer = partners.merge(entity, {"GroupControlNumberLowerBound": 6})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
        assert sentence(answer) == "The server is busy. Try again."
        emulator.fault("reset-after", "merge_protocol_settings", count=1)
        with pytest.raises(requests.ConnectionError):
            partners.merge(entity, {"GroupControlNumberLowerBound": 6})
        assert partners.settings_of(SEND)["GroupControlNumberLowerBound"] == 6
        emulator.fault("reset-before", "token", count=1)
        with pytest.raises(requests.ConnectionError):
            token(emulator)
        emulator.fault("redirect", "partner_management", count=1)
        assert partners.request("Partners", allow_redirects=False).status_code == 307
        emulator.fault("html", "partner_management", count=1)
        assert "<html>" in partners.request("Partners").text
        partners.merge(partners.settings_of(SEND), {"GroupControlNumberLowerBound": 1})


class TestSettlingControlNumbers:
    """What a partner that rejects duplicates sees after a restore, with and without raised bounds."""

    AGREEMENTS = ("Northwind X12 send", "Fabrikam X12 receive")

    @pytest.fixture
    def lost(self, tmp_path, storage):
        """An emulator whose service was backed up, sent more, was deleted and restored; and the last numbers sent."""
        emulator = EmulatorProcess(tmp_path / "home", "--sample-fleet", "--sample-storage", storage).start()
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0})
        emulator.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": KEY})
        emulator.operation(emulator.act(SERVICE, "syncacskeys"))
        emulator.force(SERVICE, "Suspended")
        backup = f"settle-{time.time_ns()}"
        assert emulator.operation(emulator.back_up(SERVICE, backup, storage)) == "Succeeded"
        emulator.operation(emulator.act(SERVICE, "resume"))
        send(emulator, 3)
        assert emulator.admin("GET", f"/services/{SERVICE}/duplicates") == {"duplicates": []}
        used = last_numbers(emulator)
        emulator.give_up(SERVICE)
        emulator.restore(SERVICE, backup, storage)
        emulator.reaches(SERVICE, "Suspended")
        yield emulator, used
        emulator.stop()

    def test_without_raising_the_partner_gets_numbers_twice(self, lost):
        emulator, _ = lost
        emulator.operation(emulator.act(SERVICE, "resume"))
        send(emulator, 2)
        rows = emulator.admin("GET", f"/services/{SERVICE}/duplicates")["duplicates"]
        interchanges = [row for row in rows if row["kind"] == "interchange"]
        assert [(row["partner"], row["agreement"], row["times"]) for row in interchanges] == [
            ("Northwind", "Northwind X12 send", 2),
            ("Northwind", "Northwind X12 send", 2),
        ]
        assert {row["kind"] for row in rows} == {"interchange", "group", "transaction_set", "acknowledgement"}
        assert all(len(row["number"]) == 9 for row in interchanges)
        assert all(row["first_at"] < row["last_at"] for row in rows)

    def test_with_raised_bounds_the_next_message_uses_them_and_no_partner_gets_a_number_twice(self, lost):
        emulator, used = lost
        partners = Partners(emulator)
        kinds = {"interchange": "Interchange", "group": "Group", "transaction_set": "TransactionSet"}
        for agreement, changes in (
            (
                self.AGREEMENTS[0],
                {
                    f"{name}ControlNumberLowerBound": used[self.AGREEMENTS[0], kind] + 100
                    for kind, name in kinds.items()
                },
            ),
            (
                self.AGREEMENTS[1],
                {"AcknowledgementControlNumberLowerBound": used[self.AGREEMENTS[1], "acknowledgement"] + 100},
            ),
        ):
            assert partners.merge(partners.settings_of(agreement), changes).status_code == 204
        emulator.operation(emulator.act(SERVICE, "resume"))
        emulator.reaches(SERVICE, "Active")
        first = send(emulator, 2)
        raised = used[self.AGREEMENTS[0], "interchange"] + 100
        assert [each["control_number"] for each in first] == [f"{raised:09d}", f"{raised + 1:09d}"]
        assert first[0]["group_control_numbers"] == [str(used[self.AGREEMENTS[0], "group"] + 100)]
        assert emulator.admin("GET", f"/services/{SERVICE}/duplicates") == {"duplicates": []}


def send(emulator, messages: int) -> list[dict[str, Any]]:
    """Let some messages leave and one come in that is acknowledged; returns the interchanges that left."""
    emulator.reaches(SERVICE, "Active")
    order = {"agreement": "Northwind X12 send", "messages": messages}
    sent = emulator.admin("POST", f"/services/{SERVICE}/messages", order)["interchanges"]
    order = {"agreement": "Fabrikam X12 receive", "messages": 1}
    assert emulator.admin("POST", f"/services/{SERVICE}/messages", order)["acknowledgements"]
    return sent


def last_numbers(emulator) -> dict[tuple[str, str], int]:
    generated = emulator.admin("GET", f"/services/{SERVICE}")["content"]["control_numbers"]["generated"]
    return {(each["Agreement"], each["Kind"]): each["Last"] for each in generated}


def etag_of(entity: dict[str, Any]) -> str:
    return entity["__metadata"]["etag"]
