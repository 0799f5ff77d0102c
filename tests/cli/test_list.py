"""``python -m biztalk_services list`` with its filters, and ``rebuild-index``."""

from __future__ import annotations

from datetime import timedelta

import pytest
from biztalk_services.archive import catalog_index

from tests.archive.samples import NOW, reference
from tests.cli.shell import NAME

DONE, WRONG, UNABLE = 0, 1, 2
DAY = timedelta(days=1)


@pytest.fixture
def three(archive):
    """Of one service the second and the fourth backup, of another the third."""
    archive.published(reference("second", service=NAME, finished_at=NOW + DAY, edition="Basic"))
    archive.published(reference("third", service="billing", finished_at=NOW + 2 * DAY, product_version="2.0"))
    archive.published(reference("fourth", service=NAME, finished_at=NOW + 3 * DAY, kind="manual"))
    archive.catalog.quarantine(reference("aside", service=NAME, finished_at=NOW + 4 * DAY), "It was changed.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["fourth", "third", "second", "aside"]),
        (["--newest"], ["fourth", "third"]),
        ([NAME, "--newest"], ["fourth"]),
        (["--newest", "--until", "2026-01-04"], ["third", "second"]),
        (["--since", "2026-01-03"], ["fourth", "third", "aside"]),
        (["--since", "2026-01-03T02:00+00:00", "--until", "2026-01-04T02:00Z"], ["third"]),
        (["--edition", "BASIC"], ["second"]),
        (["--version", "2.0"], ["third"]),
        (["--kind", "manual"], ["fourth"]),
        (["--verified", "read"], []),
    ],
)
def test_only_what_is_asked_for(shell, three, words, expected):
    result = shell("list", *words, "--json")
    assert result.code == DONE
    assert [each["backup"] for each in result.json["backups"] + result.json["quarantined"]] == expected
    printed = shell("list", *words).out
    assert [name for name in ("second", "third", "fourth", "aside") if name in printed.split()] == [
        name for name in ("second", "third", "fourth", "aside") if name in expected
    ]


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--kind", "weekly"], ["--verified", "yes"]])
def test_what_no_backup_can_be_is_refused(shell, words):
    result = shell("list", *words)
    assert (result.code, result.out) == (UNABLE, "")
    assert words[1] in result.err


def test_an_index_that_is_missing_is_named_and_made(shell, three, monkeypatch):
    monkeypatch.setattr(catalog_index, "FEW", 2)
    before = shell("list")
    assert "has no index, so all its records were listed. `rebuild-index` makes lists fast." in before.err
    made = shell("rebuild-index")
    assert made.code == DONE
    assert "has 3 backups, 1 in quarantine, and 0 records that cannot be read" in made.out
    after = shell("list")
    assert (after.code, after.out, after.err) == (DONE, before.out, "")


def test_a_record_that_cannot_be_read_is_named_out_of_the_index(shell, three, archive, blobs, monkeypatch):
    monkeypatch.setattr(catalog_index, "FEW", 2)
    blobs.get_container_client(archive.container).upload_blob("references/billing/broken.json", b"{}")
    shell("rebuild-index")
    result = shell("list")
    assert (result.code, "broken.json" in result.err) == (WRONG, True)
    assert shell("list", NAME).code == DONE
    assert len(shell("list", "--json").json["invalid"]) == 1


def test_rebuilding_without_storage_is_refused(shell, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    assert shell("rebuild-index").code == UNABLE
