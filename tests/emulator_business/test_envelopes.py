import base64
import hashlib
from datetime import UTC, datetime

import pytest
from biztalk_emulator.business import as2, edifact, x12
from biztalk_emulator.business.envelope import Group, Interchange, TransactionSet
from biztalk_emulator.business.errors import TrafficRefused

NOW = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)


def identity(value, qualifier="01"):
    return {"Name": "DUNS", "Qualifier": qualifier, "Value": value}


def orders(version, *groups):
    return Interchange(identity("079928354"), identity("060704780"), "000000042", version, groups)


def test_an_x12_interchange_has_its_numbers_and_counts_at_every_level():
    interchange = orders(
        "004010",
        Group("PO", "17", (TransactionSet("850", "0101", "order-1"), TransactionSet("850", "0102", "order-2"))),
        Group("IN", "18", (TransactionSet("810", "0103", "invoice-1"),)),
    )
    segments = x12.render(interchange, NOW).split("~")
    assert len(segments[0]) == 105
    assert segments == [
        "ISA*00*          *00*          *01*079928354      *01*060704780      *261122*0905*U*00401*000000042*0*P*:",
        "GS*PO*079928354*060704780*20261122*0905*17*X*004010",
        "ST*850*0101",
        "BEG*00*SA*order-1**20261122",
        "SE*3*0101",
        "ST*850*0102",
        "BEG*00*SA*order-2**20261122",
        "SE*3*0102",
        "GE*2*17",
        "GS*IN*079928354*060704780*20261122*0905*18*X*004010",
        "ST*810*0103",
        "BIG*20261122*invoice-1",
        "SE*3*0103",
        "GE*1*18",
        "IEA*2*000000042",
        "",
    ]


def test_a_997_accepts_every_group_and_set_and_goes_the_other_way():
    received = orders("004010", Group("PO", "17", (TransactionSet("850", "0101", "order-1"),)))
    segments = x12.acknowledge(received, "000000007", NOW).split("~")
    assert "*01*060704780      *01*079928354      *" in segments[0]
    assert segments[2:9] == [
        "ST*997*000000007",
        "AK1*PO*17",
        "AK2*850*0101",
        "AK5*A",
        "AK9*A*1*1*1",
        "SE*6*000000007",
        "GE*1*7",
    ]


def test_an_edifact_interchange_counts_messages_or_else_groups():
    message = TransactionSet("ORDERS", "7", "it's 5+5")
    assert edifact.render(orders("D:96A", Group("ORDERS", "", (message, message))), NOW) == (
        "UNB+UNOB:3+079928354:01+060704780:01+261122:0905+000000042'"
        "UNH+7+ORDERS:D:96A:UN'BGM+220+it?'s 5?+5+9'UNT+3+7'"
        "UNH+7+ORDERS:D:96A:UN'BGM+220+it?'s 5?+5+9'UNT+3+7'"
        "UNZ+2+000000042'"
    )
    grouped = edifact.render(orders("D:96A", Group("ORDERS", "3", (message, message))), NOW)
    assert "UNG+ORDERS+079928354:01+060704780:01+261122:0905+3+UN+D:96A'" in grouped
    assert grouped.endswith("UNE+2+3'UNZ+1+000000042'")


def test_a_contrl_message_accepts_the_interchange_it_answers():
    text = edifact.acknowledge(orders("D:96A", Group("ORDERS", "", ())), "9", NOW)
    assert text == (
        "UNB+UNOB:3+060704780:01+079928354:01+261122:0905+9'UNH+9+CONTRL:D:3:UN'"
        "UCI+000000042+079928354:01+060704780:01+7'UNT+3+9'UNZ+1+9'"
    )


@pytest.mark.parametrize("bad", [identity("x" * 16), identity(""), identity("A*B"), identity("123", "1")])
def test_identities_that_do_not_fit_into_x12_are_refused(bad):
    with pytest.raises(TrafficRefused, match="does not fit into an X12 interchange"):
        x12.render(Interchange(bad, identity("1"), "000000001", "004010", ()), NOW)


@pytest.mark.parametrize("bad", [identity("x" * 36), identity("Größe"), identity("123", ""), identity("123", "A:B")])
def test_identities_that_do_not_fit_into_edifact_are_refused(bad):
    with pytest.raises(TrafficRefused, match="does not fit into an EDIFACT interchange"):
        edifact.render(Interchange(bad, identity("1"), "1", "D:96A", ()), NOW)


def test_the_mic_of_a_signed_message_covers_its_mime_headers():
    plain = {"Signed": False, "Encrypted": False, "MicAlgorithm": "sha1"}
    assert as2.mic(b"abc", "text/plain", plain) == base64.b64encode(hashlib.sha1(b"abc").digest()).decode()
    covered = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nabc"
    signed = plain | {"Signed": True, "MicAlgorithm": "sha256"}
    assert as2.mic(b"abc", "text/plain", signed) == base64.b64encode(hashlib.sha256(covered).digest()).decode()
