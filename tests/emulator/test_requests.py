"""What is common to all requests: certificate, version header, paths, answers, refusals."""

from __future__ import annotations

import re
import socket
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from xml.etree import ElementTree

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.emulator.driver import SUBSCRIPTION, refusal, text, tree

SERVICE = "contosoorders"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def stranger(tmp_path):
    """Makes self-signed certificates as `makecert` did; returns the path of certificate with key, and its PEM text."""

    def make(valid_days: int = 30) -> tuple[str, str]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "my own")])
        end = datetime.now(UTC) + timedelta(days=valid_days)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(end - timedelta(days=60))
        certificate = builder.not_valid_after(end).sign(key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = tmp_path / f"{uuid.uuid4()}.pem"
        path.write_bytes(pem + private)
        return str(path), pem.decode()

    return make


def request_as(emulator, certificate: str | None) -> requests.Response:
    session = requests.Session()
    session.trust_env, session.verify, session.cert = False, emulator.session.verify, certificate
    return session.get(f"{emulator.url}/cloudservices", headers={"x-ms-version": "2013-04-26"}, timeout=10)


class TestCertificate:
    def test_absent(self, emulator):
        assert refusal(request_as(emulator, None))[:2] == (403, "AuthenticationFailed")

    def test_unknown_until_registered_and_again_after_removal(self, emulator, stranger):
        path, pem = stranger()
        assert refusal(request_as(emulator, path))[:2] == (403, "AuthenticationFailed")
        thumbprint = emulator.admin("POST", "/certificates", {"certificate": pem})["thumbprint"]
        assert request_as(emulator, path).status_code == 200
        emulator.admin("DELETE", f"/certificates/{thumbprint}")
        assert refusal(request_as(emulator, path))[:2] == (403, "AuthenticationFailed")

    def test_expired_though_registered(self, emulator, stranger):
        path, pem = stranger(valid_days=-1)
        emulator.admin("POST", "/certificates", {"certificate": pem})
        assert refusal(request_as(emulator, path))[:2] == (403, "AuthenticationFailed")

    def test_other_subscription(self, emulator):
        url = emulator.url.replace(SUBSCRIPTION, str(uuid.uuid4()))
        answer = emulator.session.get(f"{url}/cloudservices", timeout=10)
        assert refusal(answer)[:2] == (403, "AuthenticationFailed")

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "biztalk-emulator"])
    def test_server_certificate_names(self, emulator, name):
        context = ssl.create_default_context(cafile=emulator.session.verify)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with socket.create_connection(("127.0.0.1", emulator.port)) as plain:
            context.wrap_socket(plain, server_hostname=name).close()


class TestVersionHeader:
    @pytest.mark.parametrize("version", [None, "", "soon", "2012-07-31", "2010-10-28", "2013-13-01", "2013-4-6"])
    def test_refused(self, emulator, version):
        answer = emulator.request("GET", "/cloudservices", headers={"x-ms-version": version})
        assert refusal(answer)[:2] == (400, "MissingOrIncorrectVersionHeader")

    @pytest.mark.parametrize("version", ["2012-08-01", "2013-04-26", "2014-10-01"])
    def test_accepted(self, emulator, version):
        assert emulator.request("GET", "/cloudservices", headers={"x-ms-version": version}).status_code == 200

    def test_lenient_profile_accepts_the_version_of_the_book(self, emulator):
        emulator.admin("PATCH", "/settings", {"profile": {"version_minimum": "lenient"}})
        for version, status in (("2010-10-28", 200), ("2010-10-27", 400)):
            assert emulator.request("GET", "/cloudservices", headers={"x-ms-version": version}).status_code == status


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/contosoorders",
            "/cloudservices/contoso-west-us/resources/biztalkservices/%7E/biztalk/contosoorders/",
            "/CloudServices/Contoso-West-US/Resources/BizTalkServices/~/BizTalk/ContosoOrders",
            "/cloudservices/contoso-west-us/resources/biztalkservices/biztalk/contosoorders",
            "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/contosoorders?api-version=2014-04-01",
        ],
    )
    def test_variants(self, emulator, path):
        answer = emulator.request("GET", path)
        assert (answer.status_code, text(answer, "Name")) == (200, SERVICE)
        assert ("Strict-Transport-Security" in answer.headers) == ("~" in path or "%7E" in path)

    @pytest.mark.parametrize("path", ["?comp=suspend", "/?comp=SUSPEND", "/?x=1&Comp=suspend"])
    @pytest.mark.parametrize("through", [True, False])
    def test_action_variants(self, emulator, path, through):
        assert emulator.request("POST", emulator.path(SERVICE, through=through) + path).status_code == 202

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/cloudservices/nowhere",
            "/cloudservices/%00",
            "/cloudservices/what%20XML%20cannot%20hold%01%EF%BF%BE",
            "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/nobody",
            "/cloudservices/contoso-north-europe/resources/biztalkservices/~/biztalk/contosoorders",
            "/cloudservices/contoso-west-us/resources/scheduler/~/jobCollections/x",
            "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/contosoorders/usage",
            f"/operations/{'0' * 32}",
            "/operations/what",
            "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/contosoorders?OperationStatus/124",
        ],
    )
    def test_unknown(self, emulator, path):
        assert refusal(emulator.request("GET", path))[:2] == (404, "ResourceNotFound")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/cloudservices"),
            ("PUT", f"/operations/{'0' * 32}"),
            ("PATCH", "/cloudservices/contoso-west-us"),
            ("POST", "/services?service=biztalkservices.biztalk&action=register"),
            ("OPTIONS", "/cloudservices/contoso-west-us/resources/biztalkservices/~/biztalk/contosoorders"),
        ],
    )
    def test_wrong_verb(self, emulator, method, path):
        assert refusal(emulator.request(method, path))[:2] == (400, "InvalidHttpVerb")

    @pytest.mark.parametrize("query", ["", "?comp=", "?comp=explode", "?op=suspend"])
    def test_wrong_action(self, emulator, query):
        answer = emulator.request("POST", emulator.path(SERVICE) + query)
        assert refusal(answer)[:2] == (400, "MissingOrInvalidRequiredQueryParameter")

    def test_poll_without_an_id(self, emulator):
        answer = emulator.request("GET", emulator.path(SERVICE) + "?OperationStatus")
        assert refusal(answer)[:2] == (400, "MissingOrInvalidRequiredQueryParameter")


class TestAnswers:
    def test_headers(self, emulator):
        answer = emulator.request("GET", emulator.path(SERVICE), headers={"x-ms-client-request-id": "mine-1"})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-ms-request-id"])
        assert GUID.fullmatch(answer.headers["ETag"])
        assert answer.headers["ETag"] == text(answer, "ETag")
        assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Server"].endswith("Microsoft-HTTPAPI/2.0")
        assert answer.headers["x-ms-servedbyregion"]
        assert answer.headers["Date"]
        assert emulator.journal()[-1]["client_request_id"] == "mine-1"

    def test_resource_has_the_recorded_order(self, emulator):
        emulator.operation(emulator.act(SERVICE, "restart"))
        root = tree(emulator.request("GET", emulator.path(SERVICE)))
        first = ["ResourceProviderNamespace", "Type", "Name", "Plan", "SchemaVersion", "ETag", "State", "SubState"]
        rest = ["UsageMeters", "IntrinsicSettings", "OutputItems", "OperationStatus", "Label"]
        assert [node.tag for node in root] == first + rest

    def test_settings_are_out_of_the_namespace_and_hold_no_secret(self, emulator):
        body = emulator.request("GET", "/cloudservices").text
        assert '<ServiceSettings xmlns="">' in body
        for secret in ("Password", "AccountKey", "AccessControlKey"):
            assert secret not in body

    def test_list_and_group(self, emulator):
        groups = tree(emulator.request("GET", "/cloudservices"))
        found = {group.findtext("Name"): group.findtext("GeoRegion") for group in groups.findall("CloudService")}
        assert found == {"contoso-north-europe": "North Europe", "contoso-west-us": "West US"}
        answer = emulator.request("GET", "/cloudservices/contoso-west-us")
        assert tree(answer).tag == "CloudService"
        assert GUID.fullmatch(answer.headers["ETag"])
        assert SERVICE in [node.text for node in tree(answer).findall("Resources/Resource/Name")]

    def test_a_list_shows_a_service_as_it_is_at_the_moment(self, emulator):
        def shown() -> tuple:
            alone = tree(emulator.request("GET", emulator.path(SERVICE)))
            group = tree(emulator.request("GET", "/cloudservices/contoso-west-us"))
            (listed,) = [each for each in group.findall("Resources/Resource") if each.findtext("Name") == SERVICE]
            one, other = ([(node.tag, node.text) for node in resource.iter()] for resource in (alone, listed))
            assert one == other
            return tuple(one)

        seen = [shown()]
        emulator.slow_down("suspend")
        suspension = emulator.act(SERVICE, "suspend")
        seen.append(shown())
        emulator.release(suspension)
        emulator.reaches(SERVICE, "Suspended")
        seen.append(shown())
        emulator.fault("operation-fails", "resume", count=1)
        assert emulator.operation(emulator.act(SERVICE, "resume")) == "Failed"
        seen.append(shown())
        emulator.admin("POST", f"/services/{SERVICE}/content", {})
        seen.append(shown())
        assert len(set(seen)) == len(seen)

    def test_connection_is_kept(self, emulator):
        context = ssl.create_default_context(cafile=emulator.session.verify)
        context.load_cert_chain(*emulator.session.cert)
        request = f"GET /{SUBSCRIPTION}/cloudservices/contoso-west-us HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with (
            socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
            tls.makefile("rb") as answers,
        ):
            for _ in range(3):
                tls.sendall(request)
                assert answers.readline() == b"HTTP/1.1 400 Bad Request\r\n"
                headers = dict(line.split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
                assert b"MissingOrIncorrectVersionHeader" in answers.read(int(headers[b"Content-Length"]))

    @pytest.mark.parametrize(
        ("method", "headers", "status", "code"),
        [
            (b"POST", b"Transfer-Encoding: chunked", 411, "BadRequest"),
            (b"POST", b"Content-Length: 99999999", 413, "BadRequest"),
            (b"POST", b"Content-Length: many", 400, "BadRequest"),
            (b"POST", b"Content-Length: \xb2", 400, "BadRequest"),
            (b"POST", b"Content-Length: -1", 400, "BadRequest"),
            (b"BREW", b"Content-Length: 0", 400, "InvalidHttpVerb"),
        ],
    )
    def test_what_is_refused_before_the_body_is_read(self, emulator, method, headers, status, code):
        certificate, key = emulator.session.cert
        context = ssl.create_default_context(cafile=emulator.session.verify)
        context.load_cert_chain(certificate, key)
        with (
            socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            path = f"/{SUBSCRIPTION}/cloudservices".encode()
            head = b" HTTP/1.1\r\nHost: x\r\nx-ms-version: 2013-04-26\r\n"
            tls.sendall(method + b" " + path + head + headers + b"\r\n\r\n")
            answer = HTTPResponse(tls, method=method.decode())
            answer.begin()
            error = ElementTree.fromstring(answer.read())
        assert (answer.status, error[0].text) == (status, code)
        assert error[1].text.endswith(".")
        (entry,) = [
            each for each in emulator.journal(kind="request") if each["request_id"] == answer.headers["x-ms-request-id"]
        ]
        assert (entry["method"], entry["status"]) == (method.decode(), status)

    def test_a_client_that_sends_too_much_reads_why(self, emulator):
        answer = emulator.request("POST", "/cloudservices", data=bytes(6 * 1024 * 1024))
        assert refusal(answer)[:2] == (413, "BadRequest")


class TestStatusOfOperations:
    def test_both_forms_know_every_operation(self, emulator):
        emulator.slow_down("suspend")
        answer = emulator.act(SERVICE, "suspend")
        identifier = answer.headers["x-ms-request-id"]
        dashed = str(uuid.UUID(identifier))
        provider = f"{emulator.path(SERVICE)}?OperationStatus/{identifier}"
        status = emulator.request("GET", provider)
        assert (status.status_code, text(status, "Result")) == (202, "InProgress")
        envelope = emulator.request("GET", f"/operations/{identifier}")
        assert (envelope.status_code, text(envelope, "Status")) == (200, "InProgress")
        assert text(envelope, "ID") == dashed
        assert text(envelope, "HttpStatusCode") is None
        emulator.release(answer)
        assert emulator.operation(answer) == "Succeeded"
        envelope = emulator.request("GET", f"/operations/{dashed}")
        assert (text(envelope, "Status"), text(envelope, "HttpStatusCode")) == ("Succeeded", "200")
        for query in (dashed, identifier.upper(), f"{identifier}&x=1"):
            status = emulator.request("GET", f"{emulator.path(SERVICE)}?operationstatus/{query}")
            assert text(status, "Result") == "Succeeded"
        escaped = emulator.request("GET", f"{emulator.path(SERVICE)}?OperationStatus%2F{identifier}")
        assert text(escaped, "Result") == "Succeeded"

    def test_an_operation_of_another_service_is_unknown(self, emulator):
        identifier = emulator.act(SERVICE, "restart").headers["x-ms-request-id"]
        answer = emulator.request("GET", f"{emulator.path('contosonordic')}?OperationStatus/{identifier}")
        assert refusal(answer)[:2] == (404, "ResourceNotFound")

    def test_failure_shows_in_all_three_places(self, emulator):
        emulator.fault("operation-fails", "resume", http_code=409, code="ConflictError", message="No & no.")
        emulator.force(SERVICE, "Suspended")
        answer = emulator.act(SERVICE, "resume")
        assert emulator.operation(answer) == "Failed"
        identifier = answer.headers["x-ms-request-id"]
        envelope = emulator.request("GET", f"/operations/{identifier}")
        assert text(envelope, "HttpStatusCode") == "409"
        assert (text(envelope, "Error/Code"), text(envelope, "Error/Message")) == ("ConflictError", "No & no.")
        status = emulator.request("GET", f"{emulator.path(SERVICE)}?OperationStatus/{identifier}")
        error = {name: text(status, f"Error/{name}") for name in ("HttpCode", "Message", "ExtendedCode")}
        assert error == {"HttpCode": "409", "Message": "No & no.", "ExtendedCode": "InjectedFault"}
        own = emulator.request("GET", emulator.path(SERVICE))
        assert (text(own, "OperationStatus/Type"), text(own, "OperationStatus/Result")) == ("Resume", "Failed")

    def test_poll_status_profile(self, emulator):
        identifier = emulator.act(SERVICE, "restart").headers["x-ms-request-id"]
        emulator.admin("PATCH", "/settings", {"profile": {"poll_status": "200"}})
        assert emulator.request("GET", f"{emulator.path(SERVICE)}?OperationStatus/{identifier}").status_code == 200
