import hashlib
import json
from datetime import timedelta

import pytest
from biztalk_emulator.business import package, traffic
from biztalk_emulator.business.content import counts, new_content
from biztalk_emulator.business.errors import PackageDamaged
from biztalk_emulator.business.sample_fleet import sample_subscription
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator_business.scenes import NOW, unhurried

FLEET = [
    (cloud_service["geo_region"], service)
    for cloud_service in sample_subscription(NOW)["cloud_services"]
    for service in cloud_service["services"]
]
REGION, SERVICE = next((region, each) for region, each in FLEET if each["settings"]["Edition"] == "premium")


def packed(service=SERVICE, region=REGION):
    return package.pack(service, region=region, backup_name="nightly-1", created_at=NOW)


BLOBS = {blob.name: blob.data for blob in packed()}
PAYLOAD = [name for name in BLOBS if name != "nightly-1.txt"]


def described(blobs):
    return json.loads(blobs["nightly-1.txt"])


@pytest.mark.parametrize(("region", "service"), FLEET, ids=[service["name"] for _, service in FLEET])
def test_a_service_comes_back_as_it_went_in(region, service):
    blobs = {blob.name: blob.data for blob in packed(service, region)}
    assert package.unpack(blobs) == {key: service[key] for key in ("name", "settings", "content")}


def test_what_traffic_left_behind_comes_back_but_not_what_waits_in_batches(tracking):
    service = json.loads(json.dumps(SERVICE))
    for agreement in service["content"]["agreements"]:
        traffic.send(service, agreement=agreement["Name"], messages=2, now=NOW, tracking=tracking)
    blobs = {blob.name: blob.data for blob in packed(service)}
    waiting = service["runtime"]["batch_messages"]
    assert waiting
    assert not any(message["id"].encode() in data for message in waiting for data in blobs.values())
    restored = package.unpack(blobs)
    assert restored["content"] == service["content"] != SERVICE["content"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@unhurried
@given(partners=st.lists(json_values.map(lambda each: {"Profiles": [], "more": each}), max_size=3), password=st.text())
def test_any_plain_content_comes_back(partners, password):
    content = new_content() | {"partners": partners}
    settings = {"Edition": "basic", "ServiceVersion": "1.0", "ServiceCertificate": {"Data": "", "Password": password}}
    service = {"name": "anything", "settings": settings, "content": content}
    assert package.unpack({blob.name: blob.data for blob in packed(service)}) == service


def test_the_descriptor_is_last_and_lists_the_others():
    blobs = packed()
    assert blobs[-1].name == "nightly-1.txt"
    descriptor = json.loads(blobs[-1].data)
    assert descriptor == {
        "schema_version": 1,
        "service": SERVICE["name"],
        "edition": "premium",
        "product_version": SERVICE["settings"]["ServiceVersion"],
        "region": REGION,
        "created_at": "2026-11-22T12:00:00.000000Z",
        "items": counts(SERVICE["content"]) | {"ssl_certificates": 1},
        "blobs": [
            {"name": each.name, "size": len(each.data), "sha256": hashlib.sha256(each.data).hexdigest()}
            for each in blobs[:-1]
        ],
    }
    assert package.describe(BLOBS) == descriptor


def test_the_descriptor_holds_no_secret_and_the_payload_holds_them_all():
    settings = SERVICE["settings"]
    private = next(each for each in SERVICE["content"]["certificates"] if each["Kind"] == "Private")
    secrets = [settings["ServiceCertificate"]["Password"], settings["AccessControlKey"], private["Password"]]
    secrets += [settings["MonitoringStoreConnectionString"], settings["TrackingStoreConnectionString"]]
    payload = b"".join(BLOBS[name] for name in PAYLOAD).decode()
    for secret in secrets:
        assert secret in payload
        assert secret not in BLOBS["nightly-1.txt"].decode()


def test_equal_input_gives_equal_bytes_whatever_the_order_of_keys():
    shuffled = dict(reversed(SERVICE.items())) | {"content": dict(reversed(SERVICE["content"].items()))}
    assert packed(shuffled) == packed()
    assert (
        package.pack(SERVICE, region=REGION, backup_name="nightly-1", created_at=NOW + timedelta(seconds=1)) != packed()
    )


@unhurried
@given(name=st.sampled_from(sorted(BLOBS)), place=st.integers(0), mask=st.integers(1, 255))
def test_any_flipped_byte_is_noticed(name, place, mask):
    data = bytearray(BLOBS[name])
    data[place % len(data)] ^= mask
    with pytest.raises(PackageDamaged):
        package.unpack(BLOBS | {name: bytes(data)})


@unhurried
@given(name=st.sampled_from(sorted(BLOBS)), keep=st.integers(0))
def test_any_truncation_is_noticed(name, keep):
    with pytest.raises(PackageDamaged):
        package.unpack(BLOBS | {name: BLOBS[name][: keep % len(BLOBS[name])]})


@pytest.mark.parametrize("name", sorted(BLOBS))
def test_a_missing_blob_is_named(name):
    reason = "exactly one descriptor" if name.endswith(".txt") else f"'{name}' is missing"
    with pytest.raises(PackageDamaged, match=reason):
        package.unpack({each: data for each, data in BLOBS.items() if each != name})


def test_foreign_blobs_are_noticed():
    other = {blob.name: blob.data for blob in packed(FLEET[1][1])}
    with pytest.raises(PackageDamaged, match=r"'extra\.json' does not belong"):
        package.unpack(BLOBS | {"extra.json": b"{}"})
    with pytest.raises(PackageDamaged, match="exactly one descriptor"):
        package.unpack(BLOBS | {"other.txt": other["nightly-1.txt"]})
    with pytest.raises(PackageDamaged, match=r"'artifacts\.json'"):
        package.unpack(BLOBS | {"artifacts.json": other["artifacts.json"]})
    with pytest.raises(PackageDamaged):
        package.unpack(BLOBS | {"nightly-1.txt": other["nightly-1.txt"]})


@pytest.mark.parametrize(
    "changes", [{"schema_version": 2}, {"service": "another"}, {"items": {}}, {"blobs": []}, {"x": 1}]
)
def test_a_rewritten_descriptor_is_noticed(changes):
    text = json.dumps(described(BLOBS) | changes).encode()
    with pytest.raises(PackageDamaged):
        package.unpack(BLOBS | {"nightly-1.txt": text})


def test_a_descriptor_under_another_name_is_noticed():
    renamed = {name.replace("nightly-1", "nightly-2"): data for name, data in BLOBS.items()}
    with pytest.raises(PackageDamaged, match="was altered"):
        package.unpack(renamed)


def test_refusals_quote_nothing_of_the_payload():
    with pytest.raises(PackageDamaged) as refusal:
        package.unpack(BLOBS | {"settings.json": BLOBS["settings.json"][:-1]})
    assert SERVICE["settings"]["ServiceCertificate"]["Password"] not in str(refusal.value)
