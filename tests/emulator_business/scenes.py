"""Small services to test on, without keys."""

from datetime import UTC, datetime
from typing import Any

from biztalk_emulator.business.content import new_content, new_runtime
from hypothesis import settings

unhurried = settings(deadline=None)
"""For property tests: the machine may be busy with something else."""

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def number_range(lower: int = 1, upper: int = 999_999_999, prefix: str = "", suffix: str = "", rollover: bool = False):
    return {"LowerBound": lower, "UpperBound": upper, "Prefix": prefix, "Suffix": suffix, "Rollover": rollover}


def count_batch(count: int, name: str = "by count", condition: str = "1 = 1") -> dict[str, Any]:
    return _batch(name, condition) | {"ReleaseCriteriaType": "Count", "MessageCount": count, "MessageScope": 1}


def size_batch(size: int) -> dict[str, Any]:
    return _batch("by size") | {"ReleaseCriteriaType": "Size", "InterchangeSize": size}


def timeout_batch(seconds: int) -> dict[str, Any]:
    return _batch("by timeout") | {"ReleaseCriteriaType": "Timeout", "TimeoutInSeconds": seconds}


def schedule_batch(first: str, period: int, recurrence: int = 1) -> dict[str, Any]:
    return _batch("by schedule") | {
        "ReleaseCriteriaType": "Schedule",
        "FirstRelease": first,
        "RecurrenceType": recurrence,
        "RecurrencePeriodInSeconds": period,
    }


def _batch(name: str, condition: str = "1 = 1") -> dict[str, Any]:
    return {"Name": name, "Description": "", "FilterExpression": condition}


def send_agreement(name: str = "orders", protocol: str = "X12", **changes: Any) -> dict[str, Any]:
    ranges = {"interchange": number_range(), "group": number_range(), "transaction_set": number_range()}
    return _agreement(name, protocol, "Send") | {"ControlNumbers": ranges, "Batches": []} | changes


def receive_agreement(name: str = "responses", protocol: str = "X12", **changes: Any) -> dict[str, Any]:
    extras = {"ControlNumbers": {"acknowledgement": number_range()}, "AcknowledgementRequired": True}
    return _agreement(name, protocol, "Receive") | extras | {"DuplicateCheckDays": 30} | changes


def as2_agreement(name: str, direction: str) -> dict[str, Any]:
    settings = {
        "Signed": True,
        "Encrypted": False,
        "MicAlgorithm": "sha256",
        "MdnExpected": True,
        "SigningCertificate": "",
        "EncryptionCertificate": "",
    }
    return _agreement(name, "AS2", direction) | {"DocumentTypes": ["XML"], "AS2": settings}


def _agreement(name: str, protocol: str, direction: str) -> dict[str, Any]:
    ours, theirs = (
        {"Partner": partner, "Profile": "Default", "Identity": protocol} for partner in ("Contoso", "Fabrikam")
    )
    return {
        "Name": name,
        "Protocol": protocol,
        "Direction": direction,
        "Sender": ours if direction == "Send" else theirs,
        "Receiver": theirs if direction == "Send" else ours,
        "EnabledInternal": True,
        "StartDateInternal": "2025-01-01T00:00:00.000000Z",
        "DocumentTypes": {"X12": ["850", "810"], "EDIFACT": ["ORDERS", "INVOIC"], "AS2": ["XML"]}[protocol],
        "Bridge": f"{name} bridge",
        "Transform": None,
        "Transport": {"Kind": "SFTP", "Address": "sftp://edi.example"},
        "Version": {"X12": "004010", "EDIFACT": "D:96A", "AS2": ""}[protocol],
    }


def service_with(*agreements: dict[str, Any], name: str = "scene1") -> dict[str, Any]:
    content = new_content()
    content["agreements"] = list(agreements)
    content["partners"] = [_partner("Contoso", "079928354"), _partner("Fabrikam", "060704780")]
    content["x12_gs01_mappings"] = [{"ST01": "850", "GS01": "PO"}, {"ST01": "810", "GS01": "IN"}]
    return {"name": name, "content": content, "runtime": new_runtime()}


def _partner(name: str, number: str) -> dict[str, Any]:
    identities = [
        {"Name": "X12", "Qualifier": "01", "Value": number},
        {"Name": "EDIFACT", "Qualifier": "1", "Value": number},
        {"Name": "AS2", "Qualifier": "AS2Identity", "Value": f"{name}-AS2"},
    ]
    profile = {"Name": "Default", "Description": "", "Identities": identities, "Certificates": {}}
    return {"Name": name, "Description": "", "Host": name == "Contoso", "Profiles": [profile]}
