"""The archive of sent interchanges in a real Azurite, filled by hand and with what the emulator has sent."""

from __future__ import annotations

import gzip
import json
import sqlite3
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import Connection
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings, StandardBlobTier
from biztalk_services.archive.connect import MissingCredentialsError
from biztalk_services.archive.errors import StorageError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.biztalk.connect import ConnectionSources
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of
from biztalk_services.drivers.biztalk.interchanges.archive import InterchangeArchive, Limits
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.drivers.biztalk.shell import ShellSources
from biztalk_services.drivers.biztalk.tracking.answers import use_report
from biztalk_services.drivers.biztalk.tracking.queries import DEFAULT_CONTROL_NUMBER_QUERY, since_text
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.model.control_numbers import EVER, UseReport
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory
from biztalk_services.provider.storage import account_of

from tests.archive.azurite import ACCOUNT, API_VERSION
from tests.archive.azurite import KEY as AZURITE_KEY
from tests.archive.troubled_storage import Trouble, troubled
from tests.biztalk.edi_texts import x12
from tests.biztalk.inventories import NOW, service
from tests.biztalk.test_interchanges_owners import SEND, trading
from tests.emulator.driver import EmulatorProcess

SERVICE, KEY = "ContosoRetail", "key of the namespace"
BEFORE = datetime(2026, 1, 3, 2, tzinfo=UTC)
"""Before each blob of these tests; the envelopes are dated the same day."""


@pytest.fixture
def container(client: BlobServiceClient) -> ContainerClient:
    return client.create_container(f"sent-{uuid4().hex}")


def uses(container: ContainerClient, since: datetime = BEFORE, prefix: str = "", **limits: Any) -> UseReport:
    return archive(container, prefix, **limits).uses_since(trading(), since)


def archive(container: ContainerClient, prefix: str = "", **limits: Any) -> InterchangeArchive:
    account = StorageAccount(container._get_blob_service_client())
    return InterchangeArchive(
        account, container.container_name, prefix, origin="connection sent", limits=Limits(**limits)
    )


def put(container: ContainerClient, name: str, text: str | bytes, **how: Any) -> datetime:
    """:returns: when the blob was modified."""
    return container.upload_blob(name, text, **how).get_blob_properties().last_modified


def number(report: UseReport) -> int | None:
    use = report.use_of(SEND, "interchange")
    return use.latest if use else None


def test_blobs_of_all_kinds(container):
    put(container, "a.edi", x12("000000005") + "\n" + x12("000000006", delimiters="|\n>"))
    modified = put(container, "b/c.edi", x12("000000007"))
    put(container, "logo.png", b"\x89PNG" + bytes(5000))
    put(container, "empty", b"")
    put(container, "folder", b"", metadata={"hdi_isfolder": "true"})
    report = uses(container)
    assert report.problem is None
    use = report.use_of(SEND, "interchange")
    assert (use.highest, use.latest, use.used, use.last_used) == (7, 7, 3, modified)
    text = len(x12("000000005"))
    assert report.source == (
        f"archive of sent interchanges {container.container_name} of connection sent: 4 blobs, {3 * text + 5005} "
        "bytes, 3 interchanges; passed over: 2 blobs without EDI"
    )
    assert (report.since, report.checked_at > modified - timedelta(seconds=1)) == (BEFORE, True)


def test_only_what_was_modified_since_is_read(container):
    modified = put(container, "a.edi", x12("000000005", date=f"{datetime.now(UTC):%y%m%d}"))
    assert number(uses(container, modified + timedelta(seconds=0.9))) == 5  # an account tells whole seconds
    later = uses(container, modified + timedelta(seconds=1))
    assert (number(later), later.problem) == (None, None)
    assert "0 blobs" in later.source


def test_only_what_has_the_prefix_is_read(container):
    put(container, "out/a.edi", x12("000000005"))
    put(container, "in/a.edi", x12("000000006"))
    assert number(uses(container, prefix="out/")) == 5
    assert "there is no blob at all; correct container and prefix" in uses(container, prefix="sent/").problem


def test_what_is_dated_long_before_was_not_sent_since(container):
    """A copy of an archive is modified when it was copied."""
    put(container, "a.edi", x12("000000005", date="260101") + x12("000000006", date="260102"))
    report = uses(container)
    assert (number(report), report.use_of(SEND, "interchange").used) == (6, 1)
    assert "passed over: 1 interchange with an earlier date" in report.source


def test_a_blob_in_the_archive_tier_is_named(container):
    put(container, "a.edi", x12("000000005"))
    put(container, "b.edi", x12("000000006"), standard_blob_tier=StandardBlobTier.ARCHIVE)
    report = uses(container)
    assert report.problem == "blob b.edi is in the archive tier, where it cannot be read; set its tier to Hot or Cool."
    assert (number(report), report.use_of(SEND, "group").used) == (5, 1)
    assert report.use_of(SEND, "acknowledgement") is None


def test_a_damaged_blob_is_named_and_what_is_whole_in_it_counts(container):
    put(container, "a.edi", x12("000000005")[:-20] + x12("000000006"))
    report = uses(container)
    assert report.problem == "blob a.edi is damaged: the interchange at byte 0 has no end (IEA)."
    assert number(report) == 6


def test_a_blob_that_is_refused_is_named(azurite, container):
    put(container, "a.edi", x12("000000005"))
    put(container, "b.edi", x12("000000006"))
    with troubled(azurite) as proxy:
        proxy.troubles = [Trouble("GET", "b.edi", 403, "AuthorizationPermissionMismatch", count=9)]
        account = StorageAccount(proxy.client())
        report = InterchangeArchive(account, container.container_name, origin="connection sent").uses_since(
            trading(), BEFORE
        )
    assert "blob b.edi cannot be read. Could not read b.edi" in report.problem
    assert "403 AuthorizationPermissionMismatch" in report.problem
    assert number(report) == 5


def test_a_blob_that_is_replaced_while_it_is_read_is_named(container, monkeypatch):
    monkeypatch.setattr("biztalk_services.drivers.biztalk.interchanges.archive._PIECE", 150)
    put(container, "a.edi", x12("000000005"))
    changing = archive(container)
    download = changing._container.download_blob

    def then_replace(*args: Any, **more: Any) -> Any:
        got = download(*args, **more)
        container.upload_blob("a.edi", x12("000000009"), overwrite=True)
        return got

    monkeypatch.setattr(changing._container, "download_blob", then_replace)
    report = changing.uses_since(trading(), BEFORE)
    assert "blob a.edi cannot be read" in report.problem
    assert "It was changed since it was read" in report.problem
    assert report.uses == ()


def test_compressed_blobs_hold_no_edi(container):
    packed = gzip.compress(x12("000000005").encode())
    put(container, "a.edi", packed, content_settings=ContentSettings(content_encoding="gzip"))
    assert uses(container).problem == "none of the 1 blob holds EDI."


def test_at_most_so_many_blobs_are_read(container):
    for each in range(3):
        put(container, f"{each}.edi", x12(f"00000000{each + 1}"))
    report = uses(container, blobs=2)
    assert report.problem == "of 3 blobs only the newest 2 were read; give a narrower prefix."
    assert report.use_of(SEND, "interchange").used == 2


def test_at_most_so_long_is_read(container):
    put(container, "a.edi", x12("000000005"))
    report = uses(container, seconds=0)
    assert report.problem == "blob a.edi was not read to its end within 0 seconds; give a narrower prefix."


def test_a_container_that_is_not_there(client):
    report = uses(client.get_container_client("no-such-container"))
    assert "There is no such container" in report.problem
    assert report.uses == ()


def test_without_agreements_nothing_can_be_told(container):
    unread = replace(trading(), parts={PARTNER_MANAGEMENT: "refused"})
    report = archive(container).uses_since(unread, BEFORE)
    assert report.problem == "Whose interchanges these are is unknown, for the agreements were not read: refused"


# --- by a connection -------------------------------------------------------------------------------------------------


@dataclass
class Values:
    """A connection."""

    conn_id: str
    extra_dejson: dict[str, Any] = field(default_factory=dict)
    conn_type: str | None = "wasb"
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None


class Known:
    """Connections by their ids, all of one account."""

    def __init__(self, account: StorageAccount | Exception, *connections: Values) -> None:
        self._account = account
        self._connections = {each.conn_id: each for each in connections}

    def get(self, conn_id: str) -> Values | None:
        return self._connections.get(conn_id)

    def storage(self, conn_id: str) -> StorageAccount:
        if isinstance(self._account, Exception):
            raise self._account
        return self._account

    def query(self, *_: Any) -> Any:
        raise NotImplementedError

    describe = query


def by_connection(known: Known, services: tuple[str, ...] = ("orders",), **options: str) -> UseReport | None:
    sources = ConnectionSources(known, BizTalkOptions(**options), service_names=lambda: services)
    return sources.sent_interchanges(trading(), BEFORE)


def test_the_archive_of_a_connection(azurite, container):
    put(container, "orders/a.edi", x12("000000005"))
    put(container, "orders2/a.edi", x12("000000006"))
    extra = {"container": f"/{container.container_name}/", "prefix": "/orders/"}
    fields = {"host": f"http://127.0.0.1:{azurite.port}/{ACCOUNT}", "login": ACCOUNT, "password": AZURITE_KEY}
    stored = Connection(
        conn_id="sent", conn_type="wasb", extra=json.dumps({**extra, "api_version": API_VERSION}), **fields
    )
    account = account_of(stored)  # Azure's client is given the extra as it is
    known = Known(account, Values("biztalk_sent_orders", extra))
    report = by_connection(known)
    assert number(report) == 5
    assert f"{container.container_name}/orders/ of connection biztalk_sent_orders: 1 blob" in report.source
    assert by_connection(known, sent_interchanges_conn_id="sent_by_{service}") is None
    known = Known(account, Values("sent_by_orders", extra))
    assert number(by_connection(known, sent_interchanges_conn_id="sent_by_{service}")) == 5


def test_the_archive_of_a_service_whose_connection_may_be_that_of_another(client, container):
    known = Known(StorageAccount(client), Values("biztalk_sent_two_parts", {"container": container.container_name}))
    sources = ConnectionSources(known, BizTalkOptions(), service_names=lambda: ["two-parts", "two.parts"])
    report = sources.sent_interchanges(replace(trading(), service="two-parts"), BEFORE)
    assert "may be that of service two-parts or of service two.parts" in report.problem


def test_the_archive_at_a_shell(azurite, container, tmp_path):
    put(container, "orders/a.edi", x12("000000005"))
    file = tmp_path / "account"
    file.write_text(
        f"AccountName={ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint=http://127.0.0.1:{azurite.port}/{ACCOUNT}"
    )

    def report(**given: Any) -> UseReport | None:
        arguments = {"sent_interchanges_file": None, "sent_interchanges_container": None, **given}
        sources = ShellSources(Namespace(storage_api_version=API_VERSION, ca_bundle=None, **arguments))
        return sources.sent_interchanges(trading(), BEFORE)

    place = f"{container.container_name}/orders/"
    assert number(report(sent_interchanges_file=file, sent_interchanges_container=place)) == 5
    assert report() is None
    for given in ({"sent_interchanges_file": file}, {"sent_interchanges_container": place}):
        with pytest.raises(MissingCredentialsError, match="needs both"):
            report(**given)


@pytest.mark.parametrize(
    ("known", "problem"),
    [
        (Known(StorageError("refused"), Values("biztalk_sent_orders", {"container": "c"})), "refused"),
        (
            Known(ValueError("secret"), Values("biztalk_sent_orders", {"container": "c"})),
            "Connection biztalk_sent_orders does not lead to a storage account (ValueError); it has to be one of Azure "
            "Blob Storage, with account name (login) and key (password).",
        ),
        (
            Known(ValueError(), Values("biztalk_sent_orders", {"prefix": "c"})),
            "Connection biztalk_sent_orders does not name the container that holds the sent interchanges (extra: "
            "container); add it.",
        ),
    ],
    ids=["refused", "no account", "no container"],
)
def test_a_connection_that_cannot_be_used(known, problem):
    assert by_connection(known).problem == problem


# --- what the emulator sends -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("sent"), "--sample-fleet").start()
    process.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": KEY})
    yield process
    assert process.stop() == 0


def held(emulator: EmulatorProcess) -> Inventory:
    with PartnerManagementClient(
        SERVICE,
        namespace=f"{SERVICE}acs",
        key=KEY,
        endpoint=emulator.data_url,
        ca_bundle=emulator.home / "pki/ca.pem",
    ) as client:
        return inventory_of(service(), client.all_entities(ENTITY_SETS), taken_at=NOW)


def tracked(emulator: EmulatorProcess) -> tuple[list[tuple[int, str]], UseReport]:
    """Position and text of every interchange, and the numbers used, at one moment."""
    (file,) = [file for file in (emulator.home / "tracking").glob("*.db") if SERVICE.lower() in file.name.lower()]
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        texts = connection.execute("SELECT position, text FROM interchange_events ORDER BY position").fetchall()
        cursor = connection.execute(DEFAULT_CONTROL_NUMBER_QUERY, {"since": since_text(EVER)})
        columns, rows = [column[0] for column in cursor.description], cursor.fetchall()
    return texts, use_report(columns, rows, source="tracking", since=EVER, checked_at=NOW)


def test_the_archive_says_what_the_tracking_database_says(emulator, container):
    inventory = held(emulator)
    agreements = [each for each in inventory.items if each.kind == "agreement"]
    for turn in range(2):
        for agreement in agreements:
            order = {"agreement": agreement.name, "messages": 2 + turn}
            emulator.admin("POST", f"/services/{SERVICE}/messages", order)
            for batch in (each for each in inventory.items if each.kind == "batch"):
                if batch.name.startswith(f"{agreement.name}/") and "quarter" not in batch.name:
                    release = {"agreement": agreement.name, "batch": batch.attributes["Name"]}
                    emulator.admin("POST", f"/services/{SERVICE}/batches/release", release)
    texts, expected = tracked(emulator)
    for place in range(0, len(texts), 3):  # received ones too, several in a blob, of both standards
        put(container, f"{texts[place][0]}.edi", "\r\n".join(text for _, text in texts[place : place + 3]))
    report = archive(container).uses_since(inventory, BEFORE)
    assert report.problem is None
    assert len(report.uses) > 20
    assert {replace(each, last_used=None) for each in report.uses} == {
        replace(each, last_used=None) for each in expected.uses
    }
    assert {each.kind for each in report.uses} == {"interchange", "group", "transaction_set", "acknowledgement"}
