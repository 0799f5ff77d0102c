"""What partner management returns of a small service, and its inventory."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.inventory import Inventory, Item
from biztalk_services.model.service import Service, ServiceRef

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
SENDING = "Fabrikam X12 send"
USES = UseReport(
    uses=(ControlNumberUse(SENDING, "interchange", 1000, 1000, 990, NOW),),
    source="tracking database",
    since=EVER,
    checked_at=NOW,
)

SECRETS = [
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=Y2FuYXJ5",
    "Data Source=tcp:x;User ID=sa;Password=canary",
    "https://x.blob.core.windows.net/c?sv=2024-01-01&sig=canary%3D",
    "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
]


def service(**changes: Any) -> Service:
    complete: dict[str, Any] = {
        "ref": ServiceRef("contoso-west", "orders"),
        "state": "Suspended",
        "edition": "premium",
        "version": "1.1.0",
        "settings": {
            "Edition": "Premium",
            "ServiceVersion": "1.1.0",
            "UnitCount": "2",
            "TrackingStoreConnectionString": "Data Source=tcp:sql.example;Initial Catalog=Tracking",
        },
    }
    return biztalk_service(**complete | changes)


def entities(number: int = 1) -> dict[str, list[dict[str, Any]]]:
    """The entity sets; ids, addresses and ETags follow from ``number``."""

    def entity(kind: str, entity_set: str, place: int, **properties: Any) -> dict[str, Any]:
        uri = f"https://orders.biztalk.windows.net/default/$PartnerManagement/{entity_set}({number * 100 + place})"
        return {
            "@id": uri,
            "@etag": f'W/"{number}-{place}"',
            "@type": kind,
            "Id": number * 100 + place,
            **properties,
        }

    fabrikam = entity("Partner", "Partners", 1, Name="Fabrikam", Description="supplier")
    certificate = entity(
        "CertificateReference",
        "CertificateReferences",
        2,
        Name="Fabrikam",
        Kind="Public",
        Subject="CN=fabrikam.example",
        Thumbprint="A" * 40,
        NotAfter="2027-01-01T00:00:00",
        Use="Verification",
    )
    identity = entity("QualifierIdentity", "BusinessIdentities", 3, Name="DUNS", Qualifier="01", Value="060704780")
    profile = entity(
        "BusinessProfile",
        "BusinessProfiles",
        4,
        Name="Default",
        Description="supplier",
        PartnerId=number * 100 + 1,
        Partner=fabrikam,
        BusinessIdentities=[identity],
        CertificateReferences=[certificate],
    )
    settings = entity(
        "X12ProtocolSettings",
        "ProtocolSettings",
        5,
        InterchangeControlNumberLowerBound=1,
        InterchangeControlNumberUpperBound=999_999_999,
        InterchangeControlNumberPrefix="",
        InterchangeControlNumberSuffix="",
        InterchangeControlNumberRollover=True,
        GroupControlNumberLowerBound="1",
        GroupControlNumberUpperBound="9999",
        GroupControlNumberRollover=False,
    )
    batch = entity(
        "BatchDescription", "BatchDescriptions", 6, Name="by ten", ReleaseCriteriaType="Count", MessageCount=10
    )
    agreement = entity(
        "OnewayAgreement",
        "Agreements",
        7,
        Name=SENDING,
        ProtocolName="X12",
        EnabledInternal=True,
        DocumentTypes=["850", "860"],
        Sender={"Partner": "Contoso", "Profile": "Default", "Identity": "DUNS"},
        Transport={"Kind": "FTP", "Address": "ftp://user:canary@edi.example/in", "Password": "canary"},
        ProtocolSettings=settings,
        BatchDescriptions=[batch],
    )
    return deepcopy(
        {
            "Partners": [fabrikam],
            "BusinessProfiles": [profile],
            "CertificateReferences": [certificate],
            "Agreements": [agreement],
        }
    )


def inventory(**changes: Any) -> Inventory:
    """The inventory of all this; every part can be bent."""
    return replace(inventory_of(service(), entities(), taken_at=NOW, uses=USES), **changes)


def item(kind: str, name: str, taken: Inventory | None = None) -> Item:
    (match,) = [each for each in (taken or inventory()).items if (each.kind, each.name) == (kind, name)]
    return match
