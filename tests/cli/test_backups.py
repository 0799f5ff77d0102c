"""``python -m biztalk_services list``, ``show``, ``verify``, on real backups of the emulator in Azurite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.archive.azurite import ACCOUNT
from tests.archive.samples import reference
from tests.cli.shell import NAME, SERVICE

DONE, WRONG, UNABLE = 0, 1, 2


# --- list ------------------------------------------------------------------------------------------------------------


def test_the_newest_first_with_what_is_in_quarantine(shell, archive):
    older = archive.backed_up(finished_at=datetime.now(UTC) - timedelta(days=3))
    newer = archive.backed_up("ContosoRetail", label="before the restore r1")
    archive.catalog.quarantine(reference(service=NAME), "A batch was refilled.")
    result = shell("list")
    assert result.code == DONE
    assert [line.split()[0] for line in result.lines if line] == [
        "backup", newer.container, older.container, "In", "backup", "orders-20260101-020000",
    ]  # fmt: skip
    assert f"{SERVICE}  " in result.lines[2]
    assert "3 days" in result.lines[2]
    assert "every blob" in result.lines[1]
    assert result.lines[1].endswith("before the restore r1")
    assert result.lines[-1].endswith("A batch was refilled.")


def test_of_one_service(shell, archive):
    of_one = archive.published(reference(service=NAME))
    archive.published(reference("billing-1", service="billing"))
    for word in (NAME.upper(), f"Contoso-West/{NAME}"):
        listed = shell("list", word, "--json").json
        assert [each["backup"] for each in listed["backups"]] == [of_one.container]
        assert (listed["quarantined"], listed["invalid"]) == ([], [])
    expected = {"service": f"contoso-west/{NAME}", "kind": "nightly", "items": 12, "verified": "matched"}
    assert listed["backups"][0] | expected == listed["backups"][0]


def test_services_of_one_name_in_two_scopes(shell, archive):
    west = archive.published(reference("orders-1", service=NAME))
    east = archive.published(reference("orders-2", service=NAME, scope="contoso-east"))
    archive.opened.catalog.quarantine(reference("orders-3", service=NAME, scope="contoso-east"), "It changed.")

    def listed(word: str) -> list[str]:
        found = shell("list", word, "--json").json
        return [each["backup"] for each in found["backups"] + found["quarantined"]]

    assert listed(NAME) == [east.container, west.container, "orders-3"]
    assert listed(f"contoso-west/{NAME}") == [west.container]
    assert listed(f"contoso-EAST/{NAME}") == [east.container, "orders-3"]
    assert f"service elsewhere/{NAME}" in shell("list", f"elsewhere/{NAME}").out
    assert "subscription" not in shell("list").lines[0]


def test_services_of_one_address_in_two_subscriptions(shell, archive):
    archive.published(reference("orders-1", service=NAME))
    archive.published(reference("orders-2", service=NAME, subscription_id="0b51f9c2"))
    heading, first, second = shell("list").lines
    assert heading.endswith("subscription")
    assert first.endswith("0b51f9c2")
    assert second.endswith(reference().subscription_id)


def test_an_empty_catalog(shell, archive):
    result = shell("list")
    assert (result.code, result.out) == (DONE, f"There is no backup in catalog {archive.container}.\n")
    assert "service nowhere" in shell("list", "nowhere").out


def test_an_archived_record_hides_no_other(shell, archive, blobs):
    """What a lifecycle rule does to old records; ``status`` and the other commands go on without it."""
    old = archive.backed_up(finished_at=datetime.now(UTC) - timedelta(days=100))
    new = archive.backed_up()
    record = blobs.get_blob_client(archive.container, f"references/{NAME}/{old.container}.json")
    record.set_standard_blob_tier("Archive")
    for words in (["list"], ["list", SERVICE]):
        result = shell(*words)
        assert result.code == WRONG
        assert new.container in result.out
        assert old.container not in result.out
        assert "409 BlobArchived" in result.err
        assert "Rehydrate it" in result.err
    assert new.container in shell("status").out
    assert shell("show", new.container).code == DONE
    refused = shell("show", old.container)
    assert (refused.code, "Rehydrate it" in refused.err) == (UNABLE, True)


def test_an_archived_backup_is_not_damaged(shell, archive, blobs):
    backup = archive.backed_up()
    (name, *_) = sorted(blob.name for blob in backup.blobs)
    blobs.get_blob_client(backup.container, name).set_standard_blob_tier("Archive")
    result = shell("verify", backup.container)
    assert (result.code, result.out) == (UNABLE, "")
    assert name in result.err
    assert "rehydrated" in result.err
    plan = shell("plan", SERVICE)
    assert "[backup-whole]" in plan.out + plan.err
    assert "rehydrated" in plan.out + plan.err


@pytest.mark.parametrize("how", ["option", "environment"])
def test_locks_are_found_in_the_container_of_the_records(shell, archive, blobs, monkeypatch, how):
    records = f"{archive.container}-records"
    archive.backed_up()
    words: list[str] = ["--records-container", records] if how == "option" else []
    if how == "environment":
        monkeypatch.setenv("BIZTALK_RECORDS_CONTAINER", records)
    blobs.create_container(records).upload_blob("suspensions/open/x.json", b"{}")
    result = shell("status", *words)
    assert (result.code, f"{ACCOUNT}/{records}" in result.err) == (UNABLE, True)
    assert "suspensions/open/x.json" not in shell("status", "--records-container", archive.container).err


def test_a_record_that_cannot_be_read_hides_no_other(shell, archive, blobs):
    kept = archive.published(reference(service=NAME))
    container = blobs.get_container_client(archive.container)
    container.upload_blob(f"references/{NAME}/broken.json", b"{}")
    container.upload_blob(f"set-aside/{NAME}/broken.json", b"[]")
    result = shell("list")
    assert result.code == WRONG
    assert kept.container in result.out
    assert result.err.count("broken.json") == 2
    assert len(shell("list", "--json").json["invalid"]) == 2


def test_control_characters_of_a_label_are_escaped(shell, archive):
    archive.published(reference(service=NAME, label="\x1b]0;x\x07 \x9b31m"))
    result = shell("list")
    assert "\\x1b]0;x\\x07 \\x9b31m" in result.out


# --- show ------------------------------------------------------------------------------------------------------------


def test_the_whole_reference_is_shown(shell, archive):
    published = archive.published(reference(service=NAME))
    for word in (published.container, published.place):
        result = shell("show", word)
        assert (result.code, result.json) == (DONE, published.to_dict())


def test_no_such_backup(shell, archive):
    archive.catalog.quarantine(reference("aside", service=NAME), "A batch was refilled.")
    for command in ("show", "verify"):
        result = shell(command, "nowhere")
        assert (result.code, result.out) == (UNABLE, "")
        assert f"Catalog {ACCOUNT}/{archive.container} has no reference to backup nowhere." in result.err
        assert "it is in quarantine, so it is not valid" in shell(command, "aside").err


def test_two_services_with_one_name_of_a_backup(shell, archive):
    for service in ("one", "other"):
        archive.published(reference(service=service))
    result = shell("show", reference().container)
    assert result.code == UNABLE
    assert "has 2 references to backup" in result.err


# --- verify ----------------------------------------------------------------------------------------------------------


def test_a_backup_that_is_whole(shell, archive):
    taken = archive.backed_up()
    result = shell("verify", taken.container)
    assert result.code == DONE
    assert result.out == (
        f"{taken.place}: All {len(taken.blobs)} blobs ({taken.size} bytes) were read back and are what was recorded.\n"
    )


def test_every_blob_that_is_not_as_recorded_is_named(shell, archive, blobs):
    taken = archive.backed_up()
    container = blobs.get_container_client(taken.container)
    missing, changed, longer = (blob.name for blob in taken.blobs[:3])
    container.delete_blob(missing)
    content = container.download_blob(changed).readall()
    container.upload_blob(changed, bytes([content[0] ^ 1]) + content[1:], overwrite=True)
    container.upload_blob(longer, b"x", overwrite=True)
    container.upload_blob("stranger", b"")
    result = shell("verify", taken.container)
    assert result.code == WRONG
    assert result.lines[0] == f"Backup {taken.place} is damaged:"
    lines = {line.split()[0]: line for line in result.lines[1:]}
    assert set(lines) == {missing, changed, longer, "stranger"}
    assert lines[missing] == f"{missing} is missing"
    assert "has another content than when it was written" in lines[changed]
    assert "has 1 bytes instead of" in lines[longer]
    assert lines["stranger"] == "stranger is not in its reference"


def test_a_changed_descriptor_is_found_by_the_reference(shell, archive, blobs):
    taken = archive.backed_up()
    blobs.get_blob_client(taken.container, f"{taken.container}.txt").upload_blob(b"A backup.", overwrite=True)
    result = shell("verify", taken.container)
    assert result.code == WRONG
    assert result.lines[1].startswith(f"{taken.container}.txt has 9 bytes instead of")


def test_a_backup_whose_container_does_not_exist(shell, archive):
    missing = archive.published(reference(service=NAME, account=ACCOUNT))
    result = shell("verify", missing.container)
    assert (result.code, result.lines[1]) == (WRONG, f"container {missing.container} does not exist")


def test_a_backup_in_another_account_is_not_verified(shell, archive):
    elsewhere = archive.published(reference(service=NAME))
    result = shell("verify", elsewhere.container)
    assert (result.code, result.out) == (UNABLE, "")
    assert "is in account backups, and the credentials are those of devstoreaccount1" in result.err


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["verify", "x"]])
def test_they_need_no_subscription(shell, monkeypatch, command):
    for name in ("BIZTALK_SUBSCRIPTION", "BIZTALK_CERTIFICATE", "BIZTALK_KEY"):
        monkeypatch.delenv(name)
    assert "There is no subscription" not in shell(*command).err
