import base64
import hashlib
import json
import re
import time
from copy import deepcopy
from datetime import timedelta

import pytest
from biztalk_emulator.business import traffic
from biztalk_emulator.business.content import counts, new_content, new_runtime
from biztalk_emulator.business.integrity import problems
from biztalk_emulator.business.quotas import excesses
from biztalk_emulator.business.sample_fleet import SAMPLE_STORAGE, sample_subscription
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree

from tests.emulator_business.scenes import NOW, count_batch, number_range, timeout_batch

SUBSCRIPTION = sample_subscription(NOW)
SERVICES = [service for group in SUBSCRIPTION["cloud_services"] for service in group["services"]]
every_service = pytest.mark.parametrize("service", SERVICES, ids=[service["name"] for service in SERVICES])


def of_edition(edition):
    return next(service for service in SERVICES if service["settings"]["Edition"] == edition)


def test_the_fleet_has_every_edition_in_two_regions_and_is_made_quickly():
    started = time.monotonic()
    assert json.loads(json.dumps(sample_subscription())).keys() == {"subscription_id", "cloud_services"}
    assert time.monotonic() - started < 3
    assert SUBSCRIPTION["subscription_id"] == "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
    assert {group["geo_region"] for group in SUBSCRIPTION["cloud_services"]} == {"West US", "North Europe"}
    editions = [service["settings"]["Edition"] for service in SERVICES]
    assert sorted(set(editions)) == ["basic", "developer", "free", "premium", "standard"]
    assert editions.count("standard") == 2


def test_the_stores_are_a_real_account():
    own = "AccountName=mine;AccountKey=a2V5"
    for storage, sample in ((SAMPLE_STORAGE, SUBSCRIPTION), (own, sample_subscription(NOW, storage=own))):
        for group in sample["cloud_services"]:
            for service in group["services"]:
                settings = service["settings"]
                assert settings["MonitoringStoreConnectionString"] == storage
                assert settings["ArchiveStoreConnectionString"] in ("", storage)


def test_names_are_legal_and_tracking_databases_are_not_shared():
    assert all(re.fullmatch(r"[A-Za-z0-9]{6,20}", service["name"]) for service in SERVICES)
    assert all(len(group["name"]) <= 64 for group in SUBSCRIPTION["cloud_services"])
    databases = [
        re.search(r"Initial Catalog=([^;]+)", service["settings"]["TrackingStoreConnectionString"])[1].lower()
        for service in SERVICES
    ]
    assert len(set(databases)) == len(SERVICES) == len({service["name"].lower() for service in SERVICES})


@every_service
def test_a_service_is_consistent_within_its_quota_and_at_rest(service):
    settings = service["settings"]
    assert problems(service["content"]) == []
    assert excesses(service["content"], edition=settings["Edition"], units=settings["UnitCount"]) == []
    assert service["runtime"] | {"history": ""} == new_runtime() | {"history": ""}
    assert bool(settings["ArchiveStoreConnectionString"]) == (settings["Edition"] in ("developer", "premium"))


def test_the_free_service_holds_nothing_and_the_premium_one_everything():
    assert of_edition("free")["content"] == new_content()
    assert all(counts(of_edition("premium")["content"]).values())


def test_the_premium_service_has_a_batch_for_every_criterion():
    batches = [batch for each in of_edition("premium")["content"]["agreements"] for batch in each.get("Batches", [])]
    assert {batch["ReleaseCriteriaType"] for batch in batches} == {"Schedule", "Size", "Count", "Timeout"}


@every_service
def test_every_agreement_carries_every_document_it_names(service, tracking):
    service = deepcopy(service)
    for agreement in service["content"]["agreements"]:
        for document_type in agreement["DocumentTypes"]:
            order = {"agreement": agreement["Name"], "document_type": document_type}
            result = traffic.send(service, **order, now=NOW, tracking=tracking)
            assert result["interchanges"] or result["batch"]
    for release in traffic.release_due(service, now=NOW + timedelta(days=1), tracking=tracking):
        assert release["interchange"]["messages"] == release["messages"]


@every_service
def test_the_ssl_certificate_opens_with_its_password_only_and_serves_the_service(service):
    given = service["settings"]["ServiceCertificate"]
    data = base64.b64decode(given["Data"])
    key, certificate, _ = pkcs12.load_key_and_certificates(data, given["Password"].encode())
    assert key.public_key() == certificate.public_key()
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(data, b"wrong")
    address = f"{service['name'].lower()}.biztalk.windows.net"
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == address
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=5 * 365)


def test_secrets_are_made_anew_for_every_fleet():
    other = sample_subscription(NOW)["cloud_services"][0]["services"][0]["settings"]
    mine = SERVICES[0]["settings"]
    assert other["ServiceCertificate"]["Password"] != mine["ServiceCertificate"]["Password"]
    assert other["AccessControlKey"] != mine["AccessControlKey"]
    assert other["TrackingStoreConnectionString"] != mine["TrackingStoreConnectionString"]


def test_certificates_are_real_and_private_ones_open_with_their_password():
    for entry in of_edition("premium")["content"]["certificates"]:
        data = base64.b64decode(entry["Data"])
        if entry["Kind"] == "Public":
            certificate = x509.load_der_x509_certificate(data)
        else:
            _, certificate, _ = pkcs12.load_key_and_certificates(data, entry["Password"].encode())
        assert entry["Thumbprint"] == hashlib.sha1(certificate.public_bytes(Encoding.DER)).hexdigest().upper()
        assert entry["Subject"] == certificate.subject.rfc4514_string()


def test_assemblies_are_files_of_the_right_kind():
    for entry in of_edition("premium")["content"]["assemblies"]:
        data = base64.b64decode(entry["Data"])
        assert data[:2] == b"MZ"
        header = int.from_bytes(data[60:64], "little")
        assert data[header : header + 4] == b"PE\0\0"
        assert len(data) % 512 == 0


def transformed(name, document):
    entry = next(each for each in of_edition("premium")["content"]["transforms"] if each["Name"] == name)
    stylesheet = etree.XSLT(etree.fromstring(entry["Data"].encode()))
    return stylesheet(etree.fromstring(document))


LINE = '<Line item="9001" quantity="3" price="2.5"/>'
ORDER = f'<Order number="4711" date="2026-11-22">{LINE}</Order>'
INVOICE = f'<Invoice number="77" date="2026-11-22" order="4711" total="7.50">{LINE}</Invoice>'


def test_an_order_survives_the_way_to_x12_and_back():
    x12 = transformed("OrderToX12_850", ORDER)
    assert x12.xpath("string(//BEG05)") == "20261122"
    assert x12.xpath("string(//CTT01)") == "1"
    assert etree.tostring(transformed("X12_850ToOrder", etree.tostring(x12)), method="c14n") == etree.tostring(
        etree.fromstring(ORDER), method="c14n"
    )


def test_an_invoice_becomes_x12_and_edifact():
    x12 = transformed("InvoiceToX12_810", INVOICE)
    assert [x12.xpath(f"string(//{name})") for name in ("BIG02", "BIG04", "IT107", "TDS01")] == [
        "77",
        "4711",
        "9001",
        "750",
    ]
    edifact = transformed("InvoiceToEdifactInvoic", INVOICE)
    assert [edifact.xpath(f"string(//{name})") for name in ("BGM02", "C50702", "C21201", "C51602")] == [
        "77",
        "20261122",
        "9001",
        "7.50",
    ]


def test_an_edifact_order_becomes_an_order():
    orders = (
        '<e:EFACT_D96A_ORDERS xmlns:e="http://schemas.microsoft.com/BizTalk/EDI/EDIFACT/2006">'
        "<e:BGM><BGM02>4711</BGM02></e:BGM><e:DTM><e:C507><C50701>137</C50701><C50702>20261122</C50702></e:C507></e:DTM>"
        "<e:LINLoop1><e:LIN><e:C212><C21201>9001</C21201></e:C212></e:LIN>"
        "<e:QTY><e:C186><C18601>21</C18601><C18602>3</C18602></e:C186></e:QTY>"
        "<e:PRILoop1><e:PRI><e:C509><C50901>AAA</C50901><C50902>2.5</C50902></e:C509></e:PRI></e:PRILoop1></e:LINLoop1>"
        "</e:EFACT_D96A_ORDERS>"
    )
    assert etree.tostring(transformed("EdifactOrdersToOrder", orders), method="c14n") == etree.tostring(
        etree.fromstring(ORDER), method="c14n"
    )


def spoil(content, what):
    agreement = next(
        each for each in content["agreements"] if each["Protocol"] == "X12" and each["Direction"] == "Send"
    )
    what(content, agreement)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda content, _: content.pop("partners"), "exactly the kinds"),
        (lambda content, _: content.update(bridges={}), "'bridges' is a list"),
        (lambda _, agreement: agreement.pop("Bridge"), "lacks Bridge"),
        (lambda _, agreement: agreement.update(Colour="red"), "has unknown Colour"),
        (lambda content, agreement: content["agreements"].append(agreement), "used more than once"),
        (lambda content, _: content["partners"].pop(), "which no partner has"),
        (lambda content, _: content["certificates"].pop(), "not among the certificates"),
        (lambda content, _: content["transforms"].clear(), "not among the transforms"),
        (lambda content, _: content["pipelines"].clear(), "not among the pipelines"),
        (lambda content, _: content["x12_gs01_mappings"].clear(), "no entry in x12_gs01_mappings"),
        (lambda _, agreement: agreement["ControlNumbers"].pop("group"), "no control number range for group"),
        (lambda _, agreement: agreement["ControlNumbers"]["group"].update(LowerBound=0), "not within 1 to"),
        (lambda _, agreement: agreement["ControlNumbers"]["group"].pop("Prefix"), "lacks Prefix"),
        (lambda _, agreement: agreement.update(Transport={"Kind": "AS2", "Agreement": "x"}), "travels over 'x'"),
        (lambda _, agreement: agreement.update(StartDateInternal="soon"), "no ISO-8601 instant"),
        (lambda _, agreement: agreement.update(Direction="Receive"), "batching is on the send side only"),
        (lambda _, agreement: agreement.update(Direction="Sideways"), "a Direction of Send or Receive"),
        (lambda _, agreement: agreement.update(Batches=[timeout_batch(0)]), "above zero and required for Timeout"),
        (lambda _, agreement: agreement.update(DuplicateCheckDays=31), "kept for 30 days"),
        (lambda _, agreement: agreement.update(Batches=[timeout_batch(2**31)]), "at most 2147483647"),
        (lambda _, agreement: agreement.update(Batches=[count_batch(1)] * 2), "used more than once"),
        (lambda _, agreement: agreement.update(Batches=[count_batch(1, condition="1; SELECT 1")]), "SQL-92"),
        (lambda _, agreement: agreement.update(Batches=[count_batch(1, condition="\0")]), "SQL-92"),
        (lambda _, agreement: agreement.update(StartDateInternal="0001-01-01T00:00:00+14:00"), "no ISO-8601 instant"),
        (lambda _, agreement: agreement.update(Name=[]), "Name is text"),
        (lambda _, agreement: agreement.update(EnabledInternal="yes"), "EnabledInternal is true or false"),
        (lambda _, agreement: agreement.update(Transform=1), "Transform is text or null"),
        (lambda _, agreement: agreement.update(Sender={"Partner": "Contoso"}), "Sender lacks Identity, Profile"),
        (lambda _, agreement: agreement.update(DocumentTypes="850"), "DocumentTypes is a list"),
        (lambda _, agreement: agreement.update(ControlNumbers=[]), "ControlNumbers is an object"),
        (lambda _, agreement: agreement["ControlNumbers"].update(gossip=number_range()), "gossip, which there is not"),
        (lambda _, agreement: agreement["ControlNumbers"]["group"].update(LowerBound=1.5), "is a whole number"),
        (lambda content, _: content["partners"][0].update(Profiles=[None]), "is an object"),
    ],
)
def test_every_problem_of_a_spoiled_content_is_named(what, sentence):
    content = deepcopy(of_edition("premium")["content"])
    spoil(content, what)
    assert [each for each in problems(content) if sentence in each]


def test_too_much_for_an_edition_is_reported():
    content = of_edition("premium")["content"]
    assert excesses(content, edition="Developer", units=2) == [
        "The developer edition allows 1 units with 2 unit(s); there are 2."
    ]
    assert [sentence.split(";")[0] for sentence in excesses(content, edition="free", units=1)] == [
        "The free edition allows 0 bridges with 1 unit(s)",
        "The free edition allows 0 agreements with 1 unit(s)",
    ]


def test_there_may_be_many_more_of_one_kind():
    *_, copies = sample_subscription(copies=12)["cloud_services"]
    assert [service["name"] for service in copies["services"]] == [f"contosocopy{number}" for number in range(1, 13)]
    assert {service["settings"]["Edition"] for service in copies["services"]} == {"basic"}
    assert all(service["content"]["agreements"] for service in copies["services"])
    assert len(sample_subscription()["cloud_services"]) == 2
