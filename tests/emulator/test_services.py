"""Registering, making, changing and deleting cloud services and BizTalk services."""

from __future__ import annotations

import pytest

from tests.emulator.driver import EmulatorProcess, eventually, refusal, resource, text

GROUP = "/cloudservices/new-group"
GROUP_BODY = (
    '<CloudService xmlns="http://schemas.microsoft.com/windowsazure"><Label>New</Label><Description>d</Description>'
    "<GeoRegion>West Europe</GeoRegion></CloudService>"
)
XML = {"Content-Type": "application/xml"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An emulator whose subscription holds nothing and is not registered."""
    process = EmulatorProcess(tmp_path_factory.mktemp("empty")).start()
    yield process
    process.stop()


class TestEmptySubscription:
    def test_register_then_create_the_first_service(self, empty):
        path = f"{GROUP}/resources/biztalkservices/biztalk/firstone"
        body = resource(
            ServiceVersion="1.1.0",
            Edition="Premium",
            UnitCount="1",
            TrackingStoreConnectionString="Data Source=tcp:x;Initial Catalog=First",
        )
        assert empty.operation(empty.request("PUT", GROUP, data=GROUP_BODY, headers=XML)) == "Succeeded"
        early = refusal(empty.request("PUT", path, data=body, headers=XML))
        assert early[:2] == (400, "BadRequest")
        assert "register" in early[2]
        registration = "/services?service=biztalkservices.biztalk&action=register"
        answer = empty.request("PUT", registration)
        assert (answer.status_code, answer.content) == (200, b"")
        assert refusal(empty.request("PUT", registration))[:2] == (409, "ConflictError")
        assert empty.operation(empty.request("PUT", path, data=body, headers=XML)) == "Succeeded"
        empty.reaches("firstone", "Active")
        assert (empty.home / "tracking/First.db").exists()
        assert empty.admin("GET", "/services/firstone")["edition"] == "premium"

    @pytest.mark.parametrize("query", ["", "?action=register", "?service=x.y&action=register", "?service=x&action=go"])
    def test_wrong_registration(self, empty, query):
        answer = empty.request("PUT", f"/services{query}")
        assert refusal(answer)[:2] == (400, "MissingOrInvalidRequiredQueryParameter")


class TestCloudServices:
    def test_life(self, emulator):
        answer = emulator.request("PUT", GROUP, data=GROUP_BODY, headers=XML)
        assert answer.status_code == 202
        assert emulator.operation(answer) == "Succeeded"
        assert refusal(emulator.request("PUT", GROUP, data=GROUP_BODY, headers=XML))[:2] == (409, "ConflictError")
        assert text(emulator.request("GET", GROUP), "GeoRegion") == "West Europe"
        assert emulator.operation(emulator.request("DELETE", GROUP)) == "Succeeded"
        assert refusal(emulator.request("DELETE", GROUP))[:2] == (404, "ResourceNotFound")

    def test_one_with_services_stays(self, emulator):
        answer = emulator.request("DELETE", "/cloudservices/contoso-west-us")
        assert refusal(answer)[:2] == (409, "ConflictError")
        assert emulator.request("GET", "/cloudservices/contoso-west-us").status_code == 200

    @pytest.mark.parametrize(
        ("path", "body", "code"),
        [
            (GROUP, "", "InvalidXmlRequest"),
            (GROUP, "<Other/>", "InvalidXmlRequest"),
            (GROUP, "<CloudService><Label>x</Label></CloudService>", "BadRequest"),
            (f"/cloudservices/{'x' * 65}", GROUP_BODY, "BadRequest"),
            ("/cloudservices/a b", GROUP_BODY, "BadRequest"),
        ],
    )
    def test_refused(self, emulator, path, body, code):
        assert refusal(emulator.request("PUT", path, data=body, headers=XML))[:2] == (400, code)


class TestCreate:
    def test_two_levels(self, emulator):
        emulator.slow_down("create")
        emulator.admin("PATCH", "/settings", {"envelope_seconds": 0.2})
        answer = emulator.create("twolevels")
        assert answer.status_code == 202
        path = emulator.path("twolevels")
        first = emulator.request("GET", path)
        assert first.headers["ETag"] == answer.headers["ETag"]
        assert text(first, "SubState") == "Creating"
        assert emulator.operation(answer) == "Succeeded"
        between = emulator.request("GET", path)
        assert (text(between, "SubState"), text(between, "OperationStatus/Result")) == ("Creating", "InProgress")
        emulator.release(answer)
        emulator.reaches("twolevels", "Active")
        after = emulator.request("GET", path)
        assert (text(after, "OperationStatus/Type"), text(after, "OperationStatus/Result")) == ("Create", "Succeeded")

    def test_failed(self, emulator):
        emulator.fault("operation-fails", "create", count=1)
        assert emulator.operation(emulator.create("nogood1")) == "Failed"
        assert emulator.state("nogood1") == "CreatedFailed"

    @pytest.mark.parametrize("name", ["short", "x" * 21, "has.dots", "-leading", "trailing-", "under_score"])
    def test_names(self, emulator, name):
        assert refusal(emulator.create(name))[:2] == (400, "BadRequest")

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"Edition": "golden"}, "Edition"),
            ({"UnitCount": "9"}, "UnitCount"),
            ({"UnitCount": "many"}, "UnitCount"),
            ({"UnitCount": "9" * 5000}, "UnitCount"),
            ({"ServiceVersion": "new"}, "ServiceVersion"),
            ({"TrackingStoreConnectionString": "Data Source=x"}, "Initial Catalog"),
            ({"TrackingStoreConnectionString": "Initial Catalog=../../x"}, "Initial Catalog"),
            ({"TrackingStoreConnectionString": "Initial Catalog=CONTOSOordersTracking"}, "used by another"),
            ({"MonitoringStoreConnectionString": "AccountName=x"}, "MonitoringStoreConnectionString"),
            ({"ArchiveStoreConnectionString": "AccountName=abc;AccountKey=aGk="}, "Archiving"),
        ],
    )
    def test_settings(self, emulator, settings, sentence):
        status, code, message = refusal(emulator.create("refused1", **settings))
        assert (status, code) == (400, "BadRequest")
        assert sentence in message
        assert emulator.raw_admin("GET", "/services/refused1").status_code == 404

    def test_certificate_data_must_be_base64(self, emulator):
        body = resource(Edition="free", UnitCount="1", ServiceVersion="1.1.0")
        body = body.replace(
            "</ServiceSettings>", "<ServiceCertificate><Data>%%%</Data></ServiceCertificate></ServiceSettings>"
        )
        path = "/cloudservices/contoso-west-us/resources/biztalkservices/biztalk/refused1"
        assert "ServiceCertificate" in refusal(emulator.request("PUT", path, data=body, headers=XML))[2]

    def test_all_broken_rules_at_once(self, emulator):
        message = refusal(emulator.create("refused1", Edition="golden", ServiceVersion=""))[2]
        assert "Edition" in message
        assert "ServiceVersion" in message

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ("", "InvalidXmlRequest"),
            ("<Resource", "InvalidXmlRequest"),
            ('<!DOCTYPE Resource [<!ENTITY a "b">]><Resource>&a;</Resource>', "InvalidXmlRequest"),
            ("<Other/>", "InvalidXmlRequest"),
            ("<Resource/>", "BadRequest"),
            (
                "<Resource><IntrinsicSettings><ServiceRestoreSettings/></IntrinsicSettings></Resource>",
                "BadRequest",
            ),
        ],
    )
    def test_bodies(self, emulator, body, code):
        path = "/cloudservices/contoso-west-us/resources/biztalkservices/biztalk/refused1"
        assert refusal(emulator.request("PUT", path, data=body, headers=XML))[:2] == (400, code)

    def test_content_type_is_required(self, emulator):
        path = "/cloudservices/contoso-west-us/resources/biztalkservices/biztalk/refused1"
        for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
            answer = emulator.request("PUT", path, data=resource().encode(), headers=headers)
            assert refusal(answer)[:2] == (400, "BadRequest")

    def test_namespaces_as_the_sibling_sends_them(self, emulator):
        body = resource(Edition="free", UnitCount="1", ServiceVersion="1.1.0")
        body = body.replace("<Resource>", '<Resource xmlns="http://schemas.microsoft.com/windowsazure">')
        body = body.replace("<ServiceSettings>", '<ServiceSettings xmlns="">')
        path = "/cloudservices/contoso-west-us/resources/biztalkservices/biztalk/namespaced"
        assert emulator.request("PUT", path, data=body, headers=XML).status_code == 202


class TestUpdate:
    SERVICE = "contosonordic"

    def test_needs_a_matching_etag(self, emulator):
        path = emulator.path(self.SERVICE, through=False)
        answer = emulator.request("PUT", path, data=resource(UnitCount="2"), headers=XML)
        assert refusal(answer)[:2] == (400, "BadRequest")
        wrong = emulator.update(self.SERVICE, if_match="00000000-0000-0000-0000-000000000000", UnitCount="2")
        assert refusal(wrong)[:2] == (412, "PreconditionFailed")
        assert emulator.state(self.SERVICE) == "Active"

    @pytest.mark.parametrize("form", ["{}", '"{}"', "*"])
    def test_new_etag_at_once_new_settings_at_the_end(self, emulator, form):
        emulator.slow_down("scale")
        before = emulator.request("GET", emulator.path(self.SERVICE))
        units = text(before, "IntrinsicSettings/ServiceSettings/UnitCount")
        wanted = str(int(units) % 4 + 1)
        etag = before.headers["ETag"]
        answer = emulator.update(self.SERVICE, if_match=form.format(etag), UnitCount=wanted)
        assert answer.status_code == 202
        during = emulator.request("GET", emulator.path(self.SERVICE))
        assert text(during, "SubState") == "Updating"
        assert during.headers["ETag"] == answer.headers["ETag"] != etag
        assert text(during, "IntrinsicSettings/ServiceSettings/UnitCount") == units
        emulator.release(answer)
        emulator.reaches(self.SERVICE, "Active")
        after = emulator.request("GET", emulator.path(self.SERVICE))
        assert text(after, "IntrinsicSettings/ServiceSettings/UnitCount") == wanted

    def test_what_get_shows_can_be_sent_back_without_losing_secrets(self, emulator):
        emulator.operation(emulator.create("roundtrip1"))
        emulator.reaches("roundtrip1", "Active")
        shown = emulator.admin("GET", "/services/roundtrip1")["settings"]
        assert "hidden" not in str(shown)
        shown["CustomDomainUrl"] = "new.example.com"
        emulator.update("roundtrip1", **{name: str(value) for name, value in shown.items()})
        emulator.reaches("roundtrip1", "Active")
        assert text(
            emulator.request("GET", emulator.path("roundtrip1")), "IntrinsicSettings/ServiceSettings/CustomDomainUrl"
        )
        assert b"hidden-roundtrip1" in b"".join(path.read_bytes() for path in emulator.home.glob("emulator.db*"))

    def test_edition_stays(self, emulator):
        answer = emulator.update(self.SERVICE, Edition="premium")
        assert refusal(answer)[:2] == (400, "BadRequest")

    def test_suspend_and_resume_keep_the_etag(self, emulator):
        etag = emulator.etag(self.SERVICE)
        for comp in ("suspend", "resume", "restart"):
            emulator.operation(emulator.act(self.SERVICE, comp))
        assert emulator.etag(self.SERVICE) == etag

    def test_settings_are_forgotten_when_the_update_fails(self, emulator):
        emulator.fault("operation-fails", "update", count=1)
        emulator.operation(emulator.update(self.SERVICE, CustomDomainUrl="never.example.com"))
        emulator.reaches(self.SERVICE, "ConfigUpdateFailed")
        assert "never" not in emulator.request("GET", emulator.path(self.SERVICE)).text


class TestDelete:
    def test_name_is_held(self, emulator):
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 3600})
        emulator.operation(emulator.create("heldname"))
        emulator.reaches("heldname", "Active")
        answer = emulator.request("DELETE", emulator.path("heldname", through=False))
        assert "ETag" not in answer.headers
        assert emulator.operation(answer) == "Succeeded"
        assert refusal(emulator.request("GET", emulator.path("heldname")))[0] == 404
        assert refusal(emulator.create("HeldName"))[:2] == (409, "ConflictError")
        emulator.admin("PATCH", "/settings", {"name_hold_seconds": 0.5})
        eventually(lambda: emulator.create("heldname").status_code == 202)

    def test_its_operations_stay_known_by_both_forms(self, emulator):
        created = emulator.create("shortlived")
        emulator.reaches("shortlived", "Active")
        path = emulator.path("shortlived")
        deleted = emulator.request("DELETE", path)
        assert emulator.operation(deleted) == "Succeeded"
        for answer in (created, deleted):
            status = emulator.request("GET", f"{path}?OperationStatus/{answer.headers['x-ms-request-id']}")
            assert (status.status_code, text(status, "Result")) == (202, "Succeeded")
        foreign = emulator.act("contosoorders", "suspend").headers["x-ms-request-id"]
        assert refusal(emulator.request("GET", f"{path}?OperationStatus/{foreign}"))[0] == 404
        never = path.replace("shortlived", "neverwas")
        assert refusal(emulator.request("GET", f"{never}?OperationStatus/{foreign}"))[0] == 404

    def test_name_of_another_group_is_taken(self, emulator):
        body = resource(Edition="free", UnitCount="1", ServiceVersion="1.1.0")
        path = "/cloudservices/contoso-north-europe/resources/biztalkservices/biztalk/contosoorders"
        assert refusal(emulator.request("PUT", path, data=body, headers=XML))[:2] == (409, "ConflictError")

    def test_if_match_is_honoured(self, emulator):
        path = emulator.path("contosodev", through=False)
        answer = emulator.request("DELETE", path, headers={"If-Match": "00000000-0000-0000-0000-000000000000"})
        assert refusal(answer)[:2] == (412, "PreconditionFailed")


class TestFree:
    @pytest.mark.parametrize("comp", ["suspend", "syncacskeys", "backup"])
    def test_refuses_actions(self, emulator, comp):
        status, code, message = refusal(emulator.act("contosotrial", comp))
        assert (status, code) == (400, "BadRequest")
        assert "free edition" in message

    def test_refuses_poll(self, emulator):
        answer = emulator.request("GET", f"{emulator.path('contosotrial')}?OperationStatus/{'0' * 32}")
        assert "free edition" in refusal(answer)[2]


def test_sync_keys(emulator):
    answer = emulator.act("contosoorders", "syncacskeys")
    assert (answer.status_code, answer.content) == (202, b"")
    assert emulator.operation(answer) == "Succeeded"
    assert emulator.state("contosoorders") == "Active"
