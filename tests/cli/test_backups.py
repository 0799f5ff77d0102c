"""``python -m biztalk_services list``, ``show``, ``verify``, on real backups of the emulator in Azurite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.catalog.azurite import ACCOUNT
from tests.catalog.samples import reference
from tests.cli.shell import NAME, SERVICE

DONE, WRONG, UNABLE = 0, 1, 2


# --- list ------------------------------------------------------------------------------------------------------------


def test_the_newest_first_with_what_was_set_aside(shell, archive):
    older = archive.backed_up(finished_at=datetime.now(UTC) - timedelta(days=3))
    newer = archive.backed_up("ContosoRetail", label="before the restore r1")
    archive.catalog.quarantine(reference(service=NAME), "A message slipped in.")
    said = shell("list")
    assert said.code == DONE
    assert [line.split()[0] for line in said.lines if line] == [
        "backup", newer.container, older.container, "Set", "backup", "orders-20260101-020000",
    ]  # fmt: skip
    assert f"{SERVICE}  " in said.lines[2]
    assert "3 days" in said.lines[2]
    assert "every blob" in said.lines[1]
    assert said.lines[1].endswith("before the restore r1")
    assert said.lines[-1].endswith("A message slipped in.")


def test_of_one_service(shell, archive):
    of_one = archive.published(reference(service=NAME))
    archive.published(reference("billing-1", service="billing"))
    for word in (NAME.upper(), SERVICE):
        told = shell("list", word, "--json").json
        assert [each["backup"] for each in told["backups"]] == [of_one.container]
        assert (told["set_aside"], told["unusable"]) == ([], [])
    assert (
        told["backups"][0] | {"service": f"contoso-west/{NAME}", "items": 12, "verified": "matched"}
        == told["backups"][0]
    )


def test_an_empty_catalog(shell, archive):
    said = shell("list")
    assert (said.code, said.out) == (DONE, f"There is no backup in catalog {archive.container}.\n")
    assert "service nowhere" in shell("list", "nowhere").out


def test_a_record_that_cannot_be_read_hides_no_other(shell, archive, blobs):
    kept = archive.published(reference(service=NAME))
    container = blobs.get_container_client(archive.container)
    container.upload_blob(f"references/{NAME}/broken.json", b"{}")
    container.upload_blob(f"set-aside/{NAME}/broken.json", b"[]")
    said = shell("list")
    assert said.code == WRONG
    assert kept.container in said.out
    assert said.err.count("broken.json") == 2
    assert len(shell("list", "--json").json["unusable"]) == 2


def test_what_others_wrote_is_no_order_to_the_terminal(shell, archive):
    archive.published(reference(service=NAME, label="\x1b]0;x\x07 \x9b31m"))
    said = shell("list")
    assert "\\x1b]0;x\\x07 \\x9b31m" in said.out


# --- show ------------------------------------------------------------------------------------------------------------


def test_a_reference_whole(shell, archive):
    shown = archive.published(reference(service=NAME))
    for word in (shown.container, shown.place):
        said = shell("show", word)
        assert (said.code, said.json) == (DONE, shown.to_dict())


def test_no_such_backup(shell, archive):
    archive.catalog.quarantine(reference("aside", service=NAME), "A message slipped in.")
    for command in ("show", "verify"):
        said = shell(command, "nowhere")
        assert (said.code, said.out) == (UNABLE, "")
        assert f"Catalog {ACCOUNT}/{archive.container} has no reference to backup nowhere." in said.err
        assert "it was set aside, so it does not count" in shell(command, "aside").err


def test_two_services_with_one_name_of_a_backup(shell, archive):
    for service in ("one", "other"):
        archive.published(reference(service=service))
    said = shell("show", reference().container)
    assert said.code == UNABLE
    assert "has 2 references to backup" in said.err


# --- verify ----------------------------------------------------------------------------------------------------------


def test_a_backup_that_is_whole(shell, archive):
    taken = archive.backed_up()
    said = shell("verify", taken.container)
    assert said.code == DONE
    assert said.out == (
        f"{taken.place}: All {len(taken.blobs)} blobs ({taken.size} bytes) were read back and are what was recorded.\n"
    )


def test_every_blob_that_is_not_as_it_was_is_named(shell, archive, blobs):
    taken = archive.backed_up()
    container = blobs.get_container_client(taken.container)
    missing, changed, longer = (blob.name for blob in taken.blobs[:3])
    container.delete_blob(missing)
    content = container.download_blob(changed).readall()
    container.upload_blob(changed, bytes([content[0] ^ 1]) + content[1:], overwrite=True)
    container.upload_blob(longer, b"x", overwrite=True)
    container.upload_blob("stranger", b"")
    said = shell("verify", taken.container)
    assert said.code == WRONG
    assert said.lines[0] == f"Backup {taken.place} is not whole:"
    told = {line.split()[0]: line for line in said.lines[1:]}
    assert set(told) == {missing, changed, longer, "stranger"}
    assert told[missing] == f"{missing} is missing"
    assert "has another content than when it was written" in told[changed]
    assert "has 1 bytes instead of" in told[longer]
    assert told["stranger"] == "stranger is not in its reference"


def test_a_descriptor_that_was_changed_along_with_a_blob_deceives_nobody(shell, archive, blobs):
    taken = archive.backed_up()
    blobs.get_blob_client(taken.container, f"{taken.container}.txt").upload_blob(b"A backup.", overwrite=True)
    said = shell("verify", taken.container)
    assert said.code == WRONG
    assert said.lines[1].startswith(f"{taken.container}.txt has 9 bytes instead of")


def test_a_backup_whose_container_is_gone(shell, archive):
    gone = archive.published(reference(service=NAME, account=ACCOUNT))
    said = shell("verify", gone.container)
    assert (said.code, said.lines[1]) == (WRONG, f"there is no container {gone.container} any more")


def test_a_backup_in_another_account_cannot_be_judged(shell, archive):
    elsewhere = archive.published(reference(service=NAME))
    said = shell("verify", elsewhere.container)
    assert (said.code, said.out) == (UNABLE, "")
    assert "lies in account backups, and the credentials are those of devstoreaccount1" in said.err


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["verify", "x"]])
def test_they_ask_nothing_of_the_subscription(shell, monkeypatch, command):
    for name in ("BIZTALK_SUBSCRIPTION", "BIZTALK_CERTIFICATE", "BIZTALK_KEY"):
        monkeypatch.delenv(name)
    assert "There is no subscription" not in shell(*command).err
