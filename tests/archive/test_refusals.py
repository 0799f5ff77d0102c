"""Every refusal of the storage account, code by code, through a proxy in front of Azurite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError
from biztalk_services.archive import errors
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.refusals import TABLE, Refusal, refusal_of
from biztalk_services.archive.storage import StorageAccount, storage_errors
from biztalk_services.model.run import Run

from tests.archive.azurite import Azurite
from tests.archive.samples import reference
from tests.archive.troubled_storage import Trouble, TroubledStorage, troubled
from tests.conftest import ROOT

CODES = [(each.status, code) for each in TABLE for code in each.codes]
COMPETITION = {"BlobAlreadyExists", "ConditionNotMet", "ContainerNotFound"}
"""What the first write of a record meets without harm: it is there already, or its container is made first."""


@pytest.fixture(scope="module")
def storage(azurite: Azurite) -> Iterator[TroubledStorage]:
    with troubled(azurite) as proxy:
        yield proxy


@pytest.fixture
def refusing(storage) -> Iterator[TroubledStorage]:
    yield storage
    storage.troubles = []


@pytest.mark.parametrize(("status", "code"), CODES)
def test_each_code_has_its_error_cause_and_remedy(refusing, status, code):
    refusing.troubles = [Trouble("GET", "comp=properties", status, code)]
    with refusing.client() as client, pytest.raises(errors.StorageError) as caught:
        StorageAccount(client).check()
    refusal = refusal_of(status, code)
    assert type(caught.value) is refusal.error
    assert caught.value.advice == refusal.error.default_advice
    assert (caught.value.status, caught.value.code) == (status, code)
    assert str(caught.value).endswith(f"({status} {code}). {refusal.cause} {refusal.remedy}")


@pytest.mark.parametrize(("status", "code"), [each for each in CODES if each[1] not in COMPETITION])
def test_no_refusal_of_a_write_counts_as_written(refusing, container_name, status, code):
    refusing.troubles = [Trouble("PUT", "restores/", status, code)]
    with refusing.client() as client:
        archive = Archive(StorageAccount(client), container_name)
        with pytest.raises(errors.StorageError, match=code):
            archive.restores.record("orders", "20260101-020000", {"outcome": "restored"})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 418, 429, 500, 502, 503, 507])
def test_an_unknown_code_is_judged_by_its_status(refusing, status):
    refusing.troubles = [Trouble("GET", "comp=properties", status, "SomethingNew")]
    with refusing.client() as client, pytest.raises(errors.StorageError, match=f"{status} SomethingNew") as caught:
        StorageAccount(client).check()
    retried = status == 429 or (status >= 500 and status != 507)
    assert caught.value.advice == ("retry" if retried else "stop")


@pytest.mark.parametrize("status", [403, 409, 500])
def test_a_response_without_a_code_is_judged_by_its_status(refusing, status):
    refusing.troubles = [Trouble("GET", "comp=properties", status)]
    with refusing.client() as client, pytest.raises(errors.StorageError) as caught:
        StorageAccount(client).check()
    assert type(caught.value) is refusal_of(status, None).error


def test_four_causes_of_403_are_told_apart():
    codes = ("AuthenticationFailed", "AuthorizationFailure", "KeyBasedAuthenticationNotPermitted", "AccountIsDisabled")
    sentences = {code: refusal_of(403, code).sentence for code in codes}
    assert len(set(sentences.values())) == len(codes)
    assert "rotated" in sentences["AuthenticationFailed"]
    assert "firewall" in sentences["AuthorizationFailure"]
    assert "allowSharedKeyAccess" in sentences["KeyBasedAuthenticationNotPermitted"]
    assert "subscription" in sentences["AccountIsDisabled"]
    assert sum("rotated" in each for each in sentences.values()) == 1


def test_no_code_stands_twice():
    codes = [code for _, code in CODES]
    assert len(codes) == len(set(codes))
    assert len({each.status for each in TABLE if not each.codes}) == sum(not each.codes for each in TABLE)


def test_a_time_to_retry_after_is_kept():
    error = HttpResponseError("no")
    error.status_code, error.error_code = 503, "ServerBusy"
    error.response = type("Response", (), {"headers": {"Retry-After": "17"}})()
    with pytest.raises(errors.StorageUnavailableError) as caught, storage_errors("do it"):
        raise error
    assert caught.value.retry_after == 17


@pytest.mark.parametrize("refusal", TABLE, ids=lambda each: each.codes[0] if each.codes else str(each.status))
def test_the_documents_have_the_table(refusal: Refusal):
    lines = (ROOT / "docs/storage.md").read_text().splitlines()
    assert row(refusal) in lines


def row(refusal: Refusal) -> str:
    codes = ", ".join(f"`{code}`" for code in refusal.codes) or "any other"
    error = f"`{refusal.error.__name__}`, {refusal.error.default_advice}"
    return f"| {refusal.status} | {codes} | {error} | {refusal.cause} | {refusal.remedy} |"


# --- what is read out of a refusal -----------------------------------------------------------------------------------


def test_a_container_that_may_not_be_read_is_not_free(refusing, container_name):
    for status, code in (
        (404, "ResourceNotFound"),
        (404, ""),
        (409, "ContainerBeingDeleted"),
        (403, "AccountIsDisabled"),
    ):
        refusing.troubles = [Trouble("GET", container_name, status, code)]
        with refusing.client() as client, pytest.raises(errors.StorageError):
            StorageAccount(client).container_exists(container_name)


@pytest.mark.parametrize("code", ["ResourceNotFound", ""])
def test_another_404_is_no_absence(refusing, container_name, code):
    with refusing.client() as client:
        archive = Archive(StorageAccount(client), container_name)
        archive.catalog.publish(reference())
        refusing.troubles = [Trouble("GET", "references", 404, code)]
        with pytest.raises(errors.StorageNotFoundError):
            archive.catalog.read("orders", reference().container)
        refusing.troubles = [Trouble("GET", "comp=list", 404, code)]
        with pytest.raises(errors.StorageNotFoundError):
            archive.catalog.list_references()


def test_a_quarantine_record_of_another_backup_is_told(archive):
    archive.catalog.quarantine(reference(), "It was changed.")
    with pytest.raises(errors.AlreadyPublishedError):
        archive.catalog.quarantine(reference(run=Run("another", "run")), "It was changed.")
