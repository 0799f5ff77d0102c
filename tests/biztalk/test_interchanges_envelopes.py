"""Envelopes of interchanges as archives have them: delimiters of their own, several in one text, cut, damaged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from biztalk_services.drivers.biztalk.interchanges.envelopes import Interchange, Unreadable, interchanges_in
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.edi_texts import OUR_GLN, THEIR_GLN, THEM, US, edifact, x12

ACKNOWLEDGED = [("FA", "4", [("997", "0004")])]
LEVEL_B = "\x1d\x1c\x1f\x00"


def read(text: str | bytes, piece: int = 1000) -> list[Interchange | Unreadable]:
    return list(interchanges_in(pieces(text.encode() if isinstance(text, str) else text, piece)))


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def numbers(text: str | bytes) -> list[str]:
    found = read(text)
    assert not [each for each in found if isinstance(each, Unreadable) or each.damage]
    return [each.number for each in found if isinstance(each, Interchange)]


def damages(text: str | bytes) -> list[str]:
    return [each.reason if isinstance(each, Unreadable) else each.damage for each in read(text)]


def test_the_fields_of_an_x12_interchange():
    two = [("PO", "5", [("850", "0007"), ("860", "0008")]), ("IN", "6", [("810", "0009")])]
    (found,) = read(x12("000000012", two))
    assert found == Interchange(
        "X12", 0, US, THEM, date(2026, 1, 3), "000000012", ["5", "6"], ["0007", "0008", "0009"], {"850", "860", "810"}
    )


def test_the_fields_of_an_edifact_interchange():
    (found,) = read(edifact("00012", [("FA1", "ORDERS"), ("FA2", "ORDCHG")], group="77"))
    assert found == Interchange(
        "EDIFACT",
        0,
        OUR_GLN,
        THEIR_GLN,
        date(2026, 1, 3),
        "00012",
        ["77"],
        ["FA1", "FA2"],
        {"ORDERS", "ORDCHG"},
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(x12("000000001", delimiters="|\n>"), id="terminator is a line feed"),
        pytest.param(x12("000000001", delimiters="*\r:", newline="\n"), id="terminator is a carriage return"),
        pytest.param(x12("000000001", newline="\r\n"), id="a line for each segment"),
        pytest.param(x12("000000001", delimiters="\x1d\x1c\x1f"), id="control characters"),
        pytest.param(x12("000000001", delimiters="\t~:"), id="elements behind tabs"),
        pytest.param("\ufeff" + x12("000000001"), id="byte order mark"),
        pytest.param(("\ufeff" + x12("000000001")).encode("utf-16-le"), id="UTF-16"),
        pytest.param("Content-Type: application/EDI-X12\r\n\r\n" + x12("000000001") + "\r\n--b--", id="within MIME"),
        pytest.param(x12("000000001", []), id="no group"),
        pytest.param(x12("000000001", [("PO", "1", [])]), id="empty group"),
        pytest.param(x12("000000001", trailer="1"), id="trailer without zeros"),
        pytest.param(x12("000000001", sender=("ZZ", "CAFE ÉTÉ")).encode("latin-1"), id="Latin-1"),
        pytest.param(x12("000000001", body="BIN*11*IEA*1*9~ISA"), id="terminator in binary data"),
        pytest.param(x12("000000001", body=f"BIN*1500*{'~' * 1500}"), id="binary data longer than a piece"),
        pytest.param(x12("000000001", body="BDS*ASC*5*~~~~~"), id="binary data with a filter"),
        pytest.param(x12("000000001", body="BIN*0*"), id="binary data of no length"),
        pytest.param(edifact("000000001", newline="\r\n"), id="EDIFACT, a line for each segment"),
        pytest.param(edifact("000000001", una="UNA:+.? '"), id="UNA that states what holds anyway"),
        pytest.param(
            edifact("000000001", una="UNA|*.! ~\r\n", delimiters="*~|!", syntax="UNOC:4", date="20260103"), id="UNA"
        ),
        pytest.param(edifact("000000001", syntax="UNOB:1", delimiters=LEVEL_B), id="level B"),
        pytest.param(edifact("000000001", syntax="UNOB:3"), id="level B by name only"),
        pytest.param(edifact("000000001", []), id="EDIFACT without a message"),
    ],
)
def test_one_interchange(text):
    assert numbers(text) == ["000000001"]
    ends = b"\n" if isinstance(text, bytes) else "\n"
    assert numbers(text + ends) == ["000000001"]


EVERY_KIND = [
    x12("000000001"),
    x12("000000002", delimiters="|\n>"),
    x12("000000003", []),
    x12("000000004", ACKNOWLEDGED, delimiters="*'<", newline="\r\n"),
    x12("000000005", body="BDS*ASC*24*~IEA*1*000000005~ISA*00*"),
    edifact("6"),
    edifact("7", group="9", una="UNA:+.? '"),
    edifact("8", una="UNA|*.! ~", delimiters="*~|!"),
    edifact("9", syntax="UNOB:1", delimiters=LEVEL_B),
]


@given(st.permutations(EVERY_KIND), st.integers(1, 300), st.sampled_from(["", "\n", "\r\n", "\x1a", " and then "]))
def test_several_interchanges_of_any_delimiters_in_pieces_of_any_size(texts, piece, between):
    alone = [(each.number, each.groups, each.transaction_sets) for text in texts for each in read(text)]
    found = read(between.join(texts), piece)
    assert [(each.number, each.groups, each.transaction_sets) for each in found] == alone
    assert not any(each.damage for each in found)


def test_released_delimiters_are_plain_text():
    (found,) = read(edifact("1?+2??", sender=("ZZZ", "A?'S ??"), receiver=("14", "B?:C")))
    assert (found.number, found.sender, found.receiver) == ("1+2?", ("ZZZ", "A'S ?"), ("14", "B:C"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (x12("000000001", ACKNOWLEDGED), True),
        (x12("000000001", [("FA", "4", [("999", "0004"), ("997", "0005")])]), True),
        (x12("000000001", []).replace("IEA", "TA1*000000007*260103*1200*A*000~IEA"), True),
        (x12("000000001", [*ACKNOWLEDGED, ("PO", "5", [("850", "0001")])]), False),
        (x12("000000001").replace("GS*", "TA1*000000007*260103*1200*A*000~GS*", 1), False),
        (x12("000000001", []), False),
        (edifact("1", [("1", "CONTRL")]), True),
        (edifact("1", [("1", "CONTRL"), ("2", "ORDERS")]), False),
        (edifact("1", []), False),
    ],
    ids=["997", "999", "TA1", "997 beside 850", "TA1 beside 850", "X12, empty", "CONTRL", "mixed", "EDIFACT, empty"],
)
def test_what_only_acknowledges(text, expected):
    (found,) = read(text)
    assert (found.is_acknowledgement, found.damage) == (expected, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("260103", date(2026, 1, 3)),
        ("20260103", date(2026, 1, 3)),
        ("251126", date(2025, 11, 26)),
        ("700101", date(2070, 1, 1)),
        ("260231", None),
        ("26010", None),
        ("", None),
    ],
    ids=str,
)
def test_the_date_of_an_interchange(text, expected):
    (found,) = read(edifact("1", date=text))
    assert found.dated == expected


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (x12("000000001")[:-20], ["has no end (IEA)"]),
        (x12("000000001")[:60], ["has an ISA segment that is not of its fixed width of 106 characters"]),
        (
            x12("000000001").replace("079928354      ", "079928354"),
            ["has an ISA segment that is not of its fixed width of 106 characters"],
        ),
        (x12("000000001", trailer="000000002"), ["ends with another control number, '000000002'"]),
        (x12("000000001", body="BIN*9*four"), ["has a binary segment of another length than it states"]),
        (x12("000000001", body="BIN*2*four"), ["has a binary segment of another length than it states"]),
        (x12("000000001")[:130], ["has no end (IEA)"]),
        (x12("000000001", delimiters="*!:")[:130], ["has no end (IEA)"]),
        (edifact("1")[:-8], ["has no end (UNZ)"]),
        (edifact("1")[:90], ["has no end (UNZ)"]),
        (edifact("1").replace("UNZ+1+1", "UNZ+1+2"), ["ends with another control number, '2'"]),
        (edifact("1")[:40], ["has a UNB segment without end, or without a control reference"]),
        (edifact("1", delimiters="*~:?"), ["has separators of its own, and no UNA segment that states them"]),
        (edifact("1", una="UNA|+.? '"), ["has other separators in UNB than its UNA segment states"]),
    ],
    ids=[
        "IEA cut",
        "ISA cut",
        "ISA without blanks",
        "IEA02",
        "binary too long",
        "binary too short",
        "X12 cut",
        "X12 with another terminator cut",
        "UNZ missing",
        "EDIFACT cut",
        "UNZ 0020",
        "UNB cut",
        "terminator not known",
        "UNA of another text",
    ],
)
@pytest.mark.parametrize(
    "behind",
    ["", x12("000000007"), edifact("7"), edifact("7", una="UNA:+.? '")],
    ids=["alone", "before X12", "before EDIFACT", "before UNA"],
)
def test_what_is_not_whole_is_told_and_hides_no_other(text, reasons, behind):
    found = read(text + "\n" + behind)
    told = [each.reason if isinstance(each, Unreadable) else each.damage for each in found]
    assert set(reasons) <= set(told)
    if behind:
        assert isinstance(found[-1], Interchange)
        assert (found[-1].number.lstrip("0"), found[-1].damage) == ("7", "")


def test_the_numbers_before_a_cut_are_seen():
    whole = x12("000000001", [("PO", "1", [("850", "0001"), ("850", "0002")])])
    (found,) = read(whole[: whole.index("SE*3*0002")])
    assert (found.number, found.groups, found.transaction_sets) == ("000000001", ["1"], ["0001", "0002"])


def test_a_segment_without_end_is_not_kept():
    text = x12("000000001", body="N1*" + "x" * 3_000_000) + edifact("7")
    assert damages(text) == ["has no end (IEA)", ""]


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"<?xml version='1.0'?><Documents/>", b"ISAAC UNBEKANNT UNA", bytes(range(256)) * 20, b"UNA:+.? '"],
    ids=["empty", "blank", "XML", "words", "binary", "UNA alone"],
)
def test_what_is_no_edi_holds_nothing(text):
    assert read(text) == []
