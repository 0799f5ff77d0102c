"""What a list shows, as rows of a database: only what is wanted, and nothing out of a damaged blob."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from biztalk_services.archive.pack import DamagedIndexError, Pack
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.listing import ListedBackup, Wanted

from tests.archive.samples import NOW, reference

DAY = timedelta(days=1)


def taken(number: int, service: str = "orders", **changes) -> BackupReference:
    return reference(f"{service.lower()}-{number}", service=service, finished_at=NOW + number * DAY, **changes)


WEST, EAST = taken(0), taken(5, scope="contoso-east", edition="Basic", kind="manual")
BILLING = taken(2, "Billing", product_version="2.0", verification=replace(WEST.verification, level="read"))
SAFETY = taken(3, kind="safety")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [EAST, SAFETY, BILLING, WEST]),
        (Wanted(service="ORDERS"), [EAST, SAFETY, WEST]),
        (Wanted(service="orders", scope="Contoso-East"), [EAST]),
        (Wanted(service="order"), []),
        (Wanted(edition="basic"), [EAST]),
        (Wanted(version="2.0"), [BILLING]),
        (Wanted(kind="nightly"), [BILLING, WEST]),
        (Wanted(verified="read"), [BILLING]),
        (Wanted(since=NOW + 2 * DAY), [EAST, SAFETY, BILLING]),
        (Wanted(until=NOW + 2 * DAY), [WEST]),
        (Wanted(since=NOW + DAY, until=NOW + 4 * DAY), [SAFETY, BILLING]),
        (Wanted(newest=True), [EAST, SAFETY, BILLING]),
        (Wanted(newest=True, kind="nightly"), [BILLING, WEST]),
        (Wanted(newest=True, until=NOW + 3 * DAY), [BILLING, WEST]),
    ],
)
def test_only_what_is_wanted(wanted, expected):
    pack = Pack()
    pack.put(("references", ListedBackup.of(each)) for each in (WEST, EAST, BILLING, SAFETY))
    pack.put([("set-aside", ListedBackup.of(taken(9), "It was changed."))])
    for each in (pack, Pack.opened(pack.to_blob())):
        assert list(each.select("references", wanted)) == [ListedBackup.of(reference) for reference in expected]


def test_a_row_of_the_same_record_takes_its_place():
    pack = Pack()
    for label in ("first", "second"):
        pack.remove(["references/orders/orders-0.json"])
        pack.put([("references", ListedBackup.of(replace(WEST, label=label)))])
    assert [each.label for each in pack.select("references", Wanted())] == ["second"]


@pytest.mark.parametrize(
    "change", [lambda blob: blob[:-1], lambda blob: blob + b"x", lambda blob: b"", lambda blob: b"\n"]
)
def test_another_blob_is_refused(change):
    with pytest.raises(DamagedIndexError):
        Pack.opened(change(Pack().to_blob()))
