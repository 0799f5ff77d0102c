"""A subscription full of services to try everything on: every edition, two regions, a fictional company's EDI business.

Keys, passwords and certificates are made afresh at every call; nothing secret lies in the source. The storage account
is a real one, by default Azurite's, whose key is published.
"""

import base64
import secrets
from datetime import UTC, datetime
from typing import Any

from .content import new_content, new_runtime
from .key_material import password, pfx, self_signed
from .quotas import QUOTAS
from .sample_content import trading_content

SUBSCRIPTION_ID = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
_VERSION = "1.1.0"
SAMPLE_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"
)
"""Azurite as it is after its start."""

_DATA_PLANE = "biztalk.windows.net"

_FLEET: list[dict[str, Any]] = [
    {
        "name": "contoso-west-us",
        "label": "Contoso West US",
        "description": "Trading with North America",
        "geo_region": "West US",
        "services": [
            {"name": "contosotrial", "edition": "free", "units": 1, "partners": []},
            {
                "name": "contosodev",
                "edition": "developer",
                "units": 1,
                "partners": ["Fabrikam", "Wingtip"],
                "batches": {"Fabrikam": ["Count"]},
                "applications": ["Order desk"],
                "last_number": 40,
            },
            {
                "name": "contosoorders",
                "edition": "standard",
                "units": 1,
                "partners": ["Fabrikam", "Tailspin", "Northwind"],
                "batches": {"Fabrikam": ["Count"], "Tailspin": ["Timeout"]},
                "applications": ["Order desk", "Warehouse"],
                "last_number": 1041,
            },
            {
                "name": "ContosoRetail",
                "edition": "premium",
                "units": 2,
                "partners": ["Fabrikam", "Litware", "Northwind", "Tailspin", "Wingtip", "Proseware", "Adatum"],
                "batches": {
                    "Fabrikam": ["Count"],
                    "Litware": ["Size"],
                    "Northwind": ["Timeout"],
                    "Wingtip": ["Schedule"],
                },
                "applications": ["Order desk", "Warehouse", "Billing", "Web shop"],
                "last_number": 20417,
            },
        ],
    },
    {
        "name": "contoso-north-europe",
        "label": "Contoso North Europe",
        "description": "Trading with Europe",
        "geo_region": "North Europe",
        "services": [
            {
                "name": "contosonordic",
                "edition": "basic",
                "units": 1,
                "partners": ["Wingtip", "Adatum"],
                "batches": {"Adatum": ["Schedule"]},
                "applications": ["Order desk"],
                "last_number": 310,
            },
            {
                "name": "contosoeurope",
                "edition": "standard",
                "units": 2,
                "partners": ["Wingtip", "Proseware", "Adatum", "Litware"],
                "batches": {"Proseware": ["Size"], "Wingtip": ["Count"], "Litware": ["Timeout"]},
                "applications": ["Order desk", "Billing"],
                "last_number": 5530,
            },
        ],
    },
]


def sample_subscription(
    now: datetime | None = None, *, storage: str = SAMPLE_STORAGE, copies: int = 0
) -> dict[str, Any]:
    """The sample: ``subscription_id`` and ``cloud_services``.

    A cloud service has ``name``, ``label``, ``description``, ``geo_region`` and ``services``; a service has ``name``,
    ``settings`` (element names of Create), ``content`` and ``runtime`` (:mod:`.content`).

    :param now: when certificates start and the past ends; the current time by default.
    :param storage: connection string of the account for monitoring and archives.
    :param copies: how many more small services of one kind there are, in a cloud service of their own.
    """
    now = now or datetime.now(UTC)
    cloud_services = [
        {**group, "services": [_service(each, group["geo_region"], now, storage) for each in group["services"]]}
        for group in [*_FLEET, *([_copies(copies)] if copies else [])]
    ]
    return {"subscription_id": SUBSCRIPTION_ID, "cloud_services": cloud_services}


def _copies(number: int) -> dict[str, Any]:
    services = [
        {"name": f"contosocopy{index}", "edition": "basic", "units": 1, "partners": ["Wingtip"], "batches": {}}
        | {"applications": ["Order desk"], "last_number": 100 * index}
        for index in range(1, number + 1)
    ]
    return {
        "name": "contoso-copies",
        "label": "Contoso copies",
        "description": "Many of a kind",
        "geo_region": "East US",
        "services": services,
    }


def _service(plan: dict[str, Any], region: str, now: datetime, storage: str) -> dict[str, Any]:
    content = new_content()
    if plan["partners"]:
        content = trading_content(
            plan["partners"],
            batches=plan["batches"],
            applications=plan["applications"],
            now=now,
            last_number=plan["last_number"],
        )
    return {
        "name": plan["name"],
        "settings": _settings(plan, region, now, storage),
        "content": content,
        "runtime": new_runtime(),
    }


def _settings(plan: dict[str, Any], region: str, now: datetime, storage: str) -> dict[str, Any]:
    name, edition = plan["name"], plan["edition"]
    address = f"{name.lower()}.{_DATA_PLANE}"
    ssl_password = password()
    archiving = QUOTAS[edition].archiving
    return {
        "CustomDomainUrl": "",
        "ServiceVersion": _VERSION,
        "Edition": edition,
        "UnitCount": plan["units"],
        "ServiceCertificate": {
            "Data": pfx(self_signed(address, now=now, server=True), name=address, protected_by=ssl_password),
            "Password": ssl_password,
        },
        "TrackingStoreConnectionString": (
            f"Data Source=tcp:contoso-{region.lower().replace(' ', '-')}.database.windows.net,1433;"
            f"Initial Catalog={name}Tracking;Integrated Security=False;User ID={name}User;Password={password()};"
            "Encrypt=True"
        ),
        "ArchiveStoreConnectionString": storage if archiving else "",
        "MonitoringStoreConnectionString": storage,
        "AccessControlNamespace": f"{name.lower()}acs",
        "AccessControlKey": base64.b64encode(secrets.token_bytes(32)).decode("ascii"),
    }
