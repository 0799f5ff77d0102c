"""What several blobs tell together: the order of numbers in time, and what was passed over or is not known."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.interchanges.archive import InterchangeArchive, Limits
from biztalk_services.drivers.biztalk.interchanges.envelopes import interchanges_in
from biztalk_services.drivers.biztalk.interchanges.owners import Counted, Numbers
from biztalk_services.drivers.biztalk.interchanges.report import BlobRead, Findings
from biztalk_services.model.control_numbers import ControlNumberUse

from tests.biztalk.edi_texts import x12
from tests.biztalk.inventories import NOW, SENDING, inventory

KEY = SENDING, "interchange"


def blob(number: int, second: int = 0, *, highest: int | None = None) -> BlobRead:
    """A blob whose last number, the only one unless there is a higher one, is this."""
    numbers = Numbers(highest or number, number, 1 if highest is None else 2)
    counted = Counted({KEY: numbers}, interchanges=numbers.used)
    return BlobRead(f"{number}.edi", NOW + timedelta(seconds=second), 100, counted=counted)


def found(*blobs: BlobRead) -> Findings:
    findings = Findings()
    for each in blobs:
        findings.add(each)
    return findings


@pytest.mark.parametrize(
    ("blobs", "expected"),
    [
        ([blob(7), blob(8, 1), blob(9, 2)], ControlNumberUse(*KEY, 9, 9, 3, NOW + timedelta(seconds=2))),
        ([blob(998), blob(999, 1), blob(2, 2)], ControlNumberUse(*KEY, 999, 2, 3, NOW + timedelta(seconds=2))),
        ([blob(998), blob(2, 1, highest=999)], ControlNumberUse(*KEY, 999, 2, 3, NOW + timedelta(seconds=1))),
        ([blob(7, 1), blob(9, 1), blob(8, 1)], ControlNumberUse(*KEY, 9, 9, 3, NOW + timedelta(seconds=1))),
    ],
    ids=["rising", "starts over between blobs", "starts over in a blob", "of one second"],
)
def test_the_latest_number_is_that_of_the_blob_modified_last(blobs, expected):
    for order in permutations(blobs):
        assert found(*order).uses() == (expected,)


def test_blobs_before_the_one_with_the_last_number_of_the_backup_do_not_count():
    there = BlobRead("d.edi", NOW + timedelta(seconds=1), counted=Counted({KEY: Numbers(8, 8, 1, follows_backup=True)}))
    alone = BlobRead("d.edi", NOW + timedelta(seconds=1), counted=Counted({KEY: Numbers(follows_backup=True)}))
    for order in permutations([blob(5), blob(6, 1), blob(9, 2)]):
        assert found(there, *order).uses() == (ControlNumberUse(*KEY, 9, 9, 2, NOW + timedelta(seconds=2)),)
        assert found(*order, alone).uses() == (ControlNumberUse(*KEY, 9, 9, 1, NOW + timedelta(seconds=2)),)
    assert found(blob(5), alone).uses() == ()


def test_all_that_was_read_is_told():
    findings = found(
        blob(7),
        BlobRead("picture.png", NOW, 900),
        BlobRead("yesterday.edi", NOW, 200, earlier=2),
        BlobRead("received.edi", NOW, 300, counted=Counted(interchanges=1, foreign=1)),
    )
    assert findings.problem([]) is None
    assert findings.summary() == (
        "4 blobs, 1500 bytes, 4 interchanges; passed over: 1 blob without EDI, 1 interchange that these agreements do "
        "not number, 2 interchanges with an earlier date"
    )
    assert found(blob(7)).summary() == "1 blob, 100 bytes, 1 interchange"


def test_what_is_not_known_is_one_sentence():
    unclear = Counted(interchanges=3, unclear=Counter({"from A to B are of no X12 agreement of the inventory": 3}))
    broken = [BlobRead(f"{n}.edi", NOW, problem="is damaged") for n in range(5)]
    findings = found(blob(7), *broken, BlobRead("8.edi", NOW, 100, counted=unclear))
    assert findings.problem(["7 older blobs were not read"]) == (
        "7 older blobs were not read; blob 0.edi is damaged; blob 1.edi is damaged; blob 2.edi is damaged; and 2 more "
        "blobs; interchanges from A to B are of no X12 agreement of the inventory (3 of them)."
    )
    assert [use.highest for use in findings.uses()] == [7]


def test_an_archive_without_any_edi_is_no_answer():
    assert found(BlobRead("a.zip", NOW, 9), BlobRead("b.zip", NOW, 9)).problem([]) == "none of the 2 blobs holds EDI."
    assert found(BlobRead("a.zip", NOW, 9), blob(7)).problem([]) is None
    assert found().problem([]) is None


def test_memory_is_bounded_by_a_piece_whatever_the_size_of_a_text():
    one = x12("000000001", [("PO", "1", [("850", f"{n:04}") for n in range(20)])], body="N1*" + "x" * 10_000).encode()

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield one * 5

    tracemalloc.start()
    try:
        read = sum(each.number == "000000001" for each in interchanges_in(pieces()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == 100
    assert peak < len(one) * 5 * 4 < len(one) * 100 / 4


def test_a_list_of_blobs_that_takes_too_long_is_given_up():
    listed = []

    def endless(**_: object) -> Iterator[SimpleNamespace]:
        while True:
            listed.append(1)
            yield SimpleNamespace(name="a.edi", size=1, metadata=None, last_modified=NOW)

    container = SimpleNamespace(list_blobs=endless)
    account: Any = SimpleNamespace(name="contoso", client=SimpleNamespace(get_container_client=lambda _: container))
    archive = InterchangeArchive(account, "sent", origin="connection sent", limits=Limits(seconds=0))
    report = archive.uses_since(inventory(), NOW)
    assert (report.uses, len(listed)) == ((), 5000)
    assert report.problem == (
        "The list of the blobs in sent was not read to its end within 0 seconds; give a narrower prefix."
    )
