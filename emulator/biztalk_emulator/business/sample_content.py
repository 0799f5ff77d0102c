"""The trading business of a fictional company, from which every service of the sample fleet takes its part."""

import base64
import hashlib
import struct
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

from . import as2
from .clock import to_text
from .content import (
    Agreement,
    Assembly,
    BatchDescription,
    Bridge,
    Content,
    ControlNumberRange,
    Identity,
    Partner,
    Party,
    Transform,
    new_content,
)
from .key_material import private_certificate, public_certificate, self_signed

HOST = "Contoso"
_PROFILE = "Default"

# What each partner trades with the host; DUNS and GLN are made up (GLN with a valid check digit).
PARTNERS: dict[str, dict[str, Any]] = {
    "Fabrikam": {"protocol": "X12", "role": "supplier", "DUNS": "060704780", "ZZ": "FABRIKAM", "as2": True},
    "Litware": {"protocol": "X12", "role": "customer", "DUNS": "081466849", "ZZ": "LITWARE", "as2": True},
    "Northwind": {"protocol": "X12", "role": "customer", "DUNS": "047897855", "ZZ": "NORTHWIND", "as2": False},
    "Tailspin": {"protocol": "X12", "role": "supplier", "DUNS": "012430880", "ZZ": "TAILSPIN", "as2": False},
    "Wingtip": {"protocol": "EDIFACT", "role": "customer", "GLN": "4012345000009", "ZZ": "WINGTIP", "as2": True},
    "Proseware": {"protocol": "EDIFACT", "role": "supplier", "GLN": "5790000100009", "ZZ": "PROSEWARE", "as2": False},
    "Adatum": {"protocol": "EDIFACT", "role": "customer", "GLN": "7350000100003", "ZZ": "ADATUM", "as2": False},
}
_HOST_IDENTITIES = {"DUNS": "079928354", "ZZ": "CONTOSO", "GLN": "7300010000001"}

# role -> (document types sent to the partner, received from the partner)
_DOCUMENTS = {
    ("X12", "supplier"): (["850", "860"], ["855", "856", "810"]),
    ("X12", "customer"): (["855", "856", "810"], ["850", "860"]),
    ("EDIFACT", "supplier"): (["ORDERS", "ORDCHG"], ["ORDRSP", "DESADV", "INVOIC"]),
    ("EDIFACT", "customer"): (["ORDRSP", "DESADV", "INVOIC"], ["ORDERS", "ORDCHG"]),
}
_VERSION = {"X12": "004010", "EDIFACT": "D:96A"}
_GS01 = {"850": "PO", "855": "PR", "856": "SH", "810": "IN", "860": "PC", "997": "FA"}
_TRANSFORM_OF = {
    ("X12", "supplier"): ("OrderToX12_850", None),
    ("X12", "customer"): ("InvoiceToX12_810", "X12_850ToOrder"),
    ("EDIFACT", "supplier"): (None, None),
    ("EDIFACT", "customer"): ("InvoiceToEdifactInvoic", "EdifactOrdersToOrder"),
}
_TRANSFORM_ENDS = {
    "OrderToX12_850": ("Order", "X12_00401_850"),
    "X12_850ToOrder": ("X12_00401_850", "Order"),
    "InvoiceToX12_810": ("Invoice", "X12_00401_810"),
    "EdifactOrdersToOrder": ("EFACT_D96A_ORDERS", "Order"),
    "InvoiceToEdifactInvoic": ("Invoice", "EFACT_D96A_INVOIC"),
}
_PIPELINE_OF_KIND = {
    "EdiSend": "EDI send",
    "EdiReceive": "EDI receive",
    "As2Send": "AS2 send",
    "As2Receive": "AS2 receive",
    "XmlOneWay": "XML one-way",
}
_STAGES = {
    "EDI send": ["Transform", "Validate", "EDI assemble", "Batch", "Route"],
    "EDI receive": ["EDI disassemble", "Validate", "Acknowledge", "Transform", "Route"],
    "AS2 send": ["Sign", "Encrypt", "Send", "Verify receipt"],
    "AS2 receive": ["Decrypt", "Verify", "Send receipt", "Route"],
    "XML one-way": ["Decode", "Validate", "Enrich", "Transform", "Enrich", "Encode", "Route"],
}


def batch_descriptions(now: datetime) -> dict[str, BatchDescription]:
    """One batch for each release criterion, by criterion."""
    common = {"Description": "", "FilterExpression": "1 = 1"}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "Count": {**common, "Name": "by ten", "ReleaseCriteriaType": "Count", "MessageCount": 10, "MessageScope": 1},
        "Size": {**common, "Name": "by size", "ReleaseCriteriaType": "Size", "InterchangeSize": 65536},
        "Timeout": {**common, "Name": "five minutes", "ReleaseCriteriaType": "Timeout", "TimeoutInSeconds": 300},
        "Schedule": {
            **common,
            "Name": "quarter-hourly",
            "ReleaseCriteriaType": "Schedule",
            "FirstRelease": to_text(midnight - timedelta(days=30)),
            "RecurrenceType": 1,
            "RecurrencePeriodInSeconds": 900,
        },
    }


def trading_content(
    partners: list[str], *, batches: dict[str, list[str]], applications: list[str], now: datetime, last_number: int
) -> Content:
    """The content of a service that trades with some of :data:`PARTNERS`.

    :param batches: partner -> release criteria of the batches on its send agreement, tried in this order.
    :param applications: names of the host's systems, each with an application bridge.
    :param last_number: roughly how many interchanges each agreement has behind it.
    """
    content = new_content()
    keys = {name: self_signed(f"{name.lower()}.example", now=now) for name in [HOST, *partners]}
    content["certificates"] = [private_certificate(HOST, keys[HOST])]
    content["certificates"] += [public_certificate(name, keys[name]) for name in partners if PARTNERS[name]["as2"]]
    content["partners"] = [_host(), *(_partner(name) for name in partners)]
    described = batch_descriptions(now)
    for index, name in enumerate(partners):
        chosen = [described[criterion] for criterion in batches.get(name, [])]
        _add_agreements(content, name, chosen, now, last_number + 137 * index)
    content["transforms"] = [_transform(name) for name in _TRANSFORM_ENDS]
    content["assemblies"] = [_assembly("Contoso.Edi.Enrichment", "1.4.0.0"), _assembly("Contoso.Edi.Lookup", "2.0.1.0")]
    content["bridges"] += [_application_bridge(name) for name in applications]
    used = {bridge["Pipeline"] for bridge in content["bridges"]}
    content["pipelines"] = [{"Name": name, "Stages": stages} for name, stages in _STAGES.items() if name in used]
    content["x12_st01_mappings"] = [
        {"ST01": code, "DocumentType": f"http://schemas.microsoft.com/BizTalk/EDI/X12/2006#X12_00401_{code}"}
        for code in _GS01
    ]
    content["x12_gs01_mappings"] = [{"ST01": code, "GS01": group} for code, group in _GS01.items()]
    content["templates"] = _templates()
    return content


def _host() -> Partner:
    identities = [
        _identity("X12", "DUNS"),
        _identity("X12", "ZZ"),
        _identity("EDIFACT", "GLN"),
        _identity("AS2", "AS2"),
    ]
    profile = {
        "Name": _PROFILE,
        "Description": "Head office",
        "Identities": identities,
        "Certificates": {"Signing": HOST, "Decryption": HOST},
    }
    return {"Name": HOST, "Description": "Owner of the service", "Host": True, "Profiles": [profile]}


def _identity(protocol: str, name: str, values: dict[str, Any] | None = None, partner: str = HOST) -> Identity:
    values = values or _HOST_IDENTITIES
    if protocol == "AS2":
        return {"Name": "AS2", "Qualifier": "AS2Identity", "Value": f"{partner}-AS2"}
    qualifier = {("X12", "DUNS"): "01", ("X12", "ZZ"): "ZZ", ("EDIFACT", "GLN"): "14", ("EDIFACT", "ZZ"): "ZZZ"}
    return {"Name": name, "Qualifier": qualifier[protocol, name], "Value": values[name]}


def _partner(name: str) -> Partner:
    traits = PARTNERS[name]
    identities = [_identity(traits["protocol"], each, traits, name) for each in ("DUNS", "GLN", "ZZ") if each in traits]
    if traits["as2"]:
        identities.append(_identity("AS2", "AS2", traits, name))
    certificates = {"Verification": name, "Encryption": name} if traits["as2"] else {}
    profile = {"Name": _PROFILE, "Description": traits["role"], "Identities": identities, "Certificates": certificates}
    return {
        "Name": name,
        "Description": f"{traits['role']} over {traits['protocol']}",
        "Host": False,
        "Profiles": [profile],
    }


def _add_agreements(content: Content, partner: str, chosen: list[BatchDescription], now: datetime, last: int) -> None:
    traits = PARTNERS[partner]
    protocol, role = traits["protocol"], traits["role"]
    identity = "DUNS" if protocol == "X12" else "GLN"
    outward, inward = _DOCUMENTS[protocol, role]
    outward_map, inward_map = _TRANSFORM_OF[protocol, role]
    ours, theirs = _party(HOST, identity), _party(partner, identity)
    transport = {"Kind": "SFTP", "Address": f"sftp://edi.{partner.lower()}.example"}
    receiving = {
        **_agreement(f"{partner} {protocol} receive", protocol, "Receive", theirs, ours, inward, inward_map, now),
        "Transport": {"Kind": "AS2", "Agreement": f"{partner} AS2 receive"} if traits["as2"] else transport,
        "AcknowledgementRequired": True,
        "DuplicateCheckDays": 30,
        "ControlNumbers": {"acknowledgement": _range()},
    }
    sending = {
        **_agreement(f"{partner} {protocol} send", protocol, "Send", ours, theirs, outward, outward_map, now),
        "Transport": {"Kind": "AS2", "Agreement": f"{partner} AS2 send"} if traits["as2"] else transport,
        "Batches": chosen,
        "ControlNumbers": {
            "interchange": _range(upper=99_999_999 if protocol == "EDIFACT" else 999_999_999),
            "group": _range(),
            "transaction_set": _range(upper=999_999, prefix=partner[:2].upper() if protocol == "EDIFACT" else ""),
        },
    }
    if protocol == "EDIFACT":
        sending["UseGroups"] = receiving["UseGroups"] = role == "supplier"
    agreements = [sending, receiving]
    if traits["as2"]:
        agreements += [_as2_agreement(partner, "Send", now), _as2_agreement(partner, "Receive", now)]
    for agreement in agreements:
        content["agreements"].append(agreement)
        content["bridges"].append(_agreement_bridge(agreement))
    _add_past(content, sending, receiving, now, last)


def _add_past(content: Content, sending: Agreement, receiving: Agreement, now: datetime, last: int) -> None:
    """The control numbers and MIC values that an agreement in use has left behind."""
    kinds = ["interchange", "transaction_set"]
    if sending.get("UseGroups", True):
        kinds.append("group")
    numbers = content["control_numbers"]
    for kind in kinds:
        used = last * 3 if kind == "transaction_set" else last
        numbers["generated"].append({"Agreement": sending["Name"], "Kind": kind, "Last": used})
    numbers["generated"].append({"Agreement": receiving["Name"], "Kind": "acknowledgement", "Last": last // 2})
    x12_style = receiving["Protocol"] == "X12"
    for days in (3, 2, 1):
        number = last // 2 - days + 1
        numbers["received"].append(
            {
                "Agreement": receiving["Name"],
                "Interchange": f"{number:09d}" if x12_style else str(number),
                "Group": str(number) if receiving.get("UseGroups", x12_style) else "",
                "TransactionSet": "0001" if x12_style else "1",
                "ReceivedAt": to_text(now - timedelta(days=days)),
            }
        )
    carrier = next(
        (each for each in content["agreements"] if each["Name"] == sending["Transport"].get("Agreement")), None
    )
    if carrier is None:
        return
    for hours in (30, 6):
        document = f"{sending['Name']} {last} {hours}".encode()
        unique = hashlib.sha256(document).hexdigest()[:24]
        content["mic_values"].append(
            {
                "Agreement": carrier["Name"],
                "Direction": "Send",
                "MessageId": as2.message_id(unique, f"{HOST.lower()}.biztalk.windows.net"),
                "Algorithm": carrier["AS2"]["MicAlgorithm"],
                "Mic": as2.mic(document, as2.MEDIA_TYPE[sending["Protocol"]], carrier["AS2"]),
                "CreatedAt": to_text(now - timedelta(hours=hours)),
            }
        )


def _party(partner: str, identity: str) -> Party:
    return {"Partner": partner, "Profile": _PROFILE, "Identity": identity}


def _range(upper: int = 999_999_999, prefix: str = "") -> ControlNumberRange:
    return {"LowerBound": 1, "UpperBound": upper, "Prefix": prefix, "Suffix": "", "Rollover": True}


def _agreement(
    name: str,
    protocol: str,
    direction: str,
    sender: Party,
    receiver: Party,
    documents: list[str],
    transform: str | None,
    now: datetime,
) -> dict[str, Any]:
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=400)
    agreement = {
        "Name": name,
        "Protocol": protocol,
        "Direction": direction,
        "Sender": sender,
        "Receiver": receiver,
        "EnabledInternal": True,
        "StartDateInternal": to_text(start),
        "DocumentTypes": documents,
        "Bridge": f"{name} bridge",
        "Transform": transform,
    }
    return agreement | ({"Version": _VERSION[protocol]} if protocol in _VERSION else {})


def _as2_agreement(partner: str, direction: str, now: datetime) -> dict[str, Any]:
    ours, theirs = _party(HOST, "AS2"), _party(partner, "AS2")
    sender, receiver = (ours, theirs) if direction == "Send" else (theirs, ours)
    sending = direction == "Send"
    return {
        **_agreement(f"{partner} AS2 {direction.lower()}", "AS2", direction, sender, receiver, ["XML"], None, now),
        "Transport": {"Kind": "HTTP", "Address": f"https://as2.{partner.lower()}.example/inbox"},
        "AS2": {
            "Signed": True,
            "Encrypted": True,
            "MicAlgorithm": "sha256",
            "MdnExpected": True,
            "SigningCertificate": HOST if sending else partner,
            "EncryptionCertificate": partner if sending else HOST,
        },
    }


def _agreement_bridge(agreement: Agreement) -> Bridge:
    family = "As2" if agreement["Protocol"] == "AS2" else "Edi"
    kind = f"{family}{agreement['Direction']}"
    application = {
        "Name": "Line of business",
        "Filter": "1 = 1",
        "Address": "sb://contoso-line.servicebus.windows.net/edi",
    }
    return {
        "Name": agreement["Bridge"],
        "Kind": kind,
        "Address": f"/default/{agreement['Name'].replace(' ', '')}",
        "Pipeline": _PIPELINE_OF_KIND[kind],
        "Transforms": [agreement["Transform"]] if agreement["Transform"] else [],
        "Assemblies": [],
        "Source": {} if agreement["Direction"] == "Send" else dict(agreement["Transport"]),
        "Destinations": [dict(agreement["Transport"])] if agreement["Direction"] == "Send" else [application],
    }


def _application_bridge(name: str) -> Bridge:
    return {
        "Name": f"{name} bridge",
        "Kind": "XmlOneWay",
        "Address": f"/default/{name.replace(' ', '')}",
        "Pipeline": _PIPELINE_OF_KIND["XmlOneWay"],
        "Transforms": [],
        "Assemblies": ["Contoso.Edi.Enrichment", "Contoso.Edi.Lookup"],
        "Source": {"Kind": "SFTP", "Address": f"sftp://files.contoso.example/{name.lower().replace(' ', '-')}"},
        "Destinations": [
            {"Name": "Queue", "Filter": "1 = 1", "Address": "sb://contoso-line.servicebus.windows.net/in"}
        ],
    }


def _transform(name: str) -> Transform:
    source, target = _TRANSFORM_ENDS[name]
    text = resources.files(f"{__package__}.transforms").joinpath(f"{name}.xslt").read_text("utf-8")
    return {"Name": name, "FileName": f"{name}.xslt", "Source": source, "Target": target, "Data": text}


def _assembly(name: str, version: str) -> Assembly:
    data = base64.b64encode(_library_file(f"{name}, Version={version}".encode())).decode("ascii")
    return {"Name": name, "FileName": f"{name}.dll", "Version": version, "Data": data}


def _library_file(contents: bytes) -> bytes:
    """A PE32 image of a DLL with one read-only data section: a file of the right kind, with no code in it."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x14C, 1, 0, 0, 0, 224, 0x2102)
    section_size = -(-len(contents) // 512) * 512
    optional = struct.pack("<HBBIIIIII", 0x10B, 8, 0, 0, section_size, 0, 0, 0x1000, 0x1000)
    optional += struct.pack("<IIIHHHHHHIIIIHH", 0x10000000, 0x1000, 512, 4, 0, 0, 0, 4, 0, 0, 0x2000, 512, 0, 3, 0x540)
    optional += struct.pack("<IIIIII", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16) + bytes(128)
    section = struct.pack("<8sIIIIIIHHI", b".rdata", len(contents), 0x1000, section_size, 512, 0, 0, 0, 0, 0x40000040)
    return (dos + coff + optional + section).ljust(512, b"\0") + contents.ljust(section_size, b"\0")


def _templates() -> list[dict[str, Any]]:
    return [
        {
            "Name": "X12 supplier",
            "Protocol": "X12",
            "Description": "Orders out, responses and invoices in",
            "Settings": {"Version": "004010", "AcknowledgementRequired": True, "DuplicateCheckDays": 30},
        },
        {
            "Name": "EDIFACT customer",
            "Protocol": "EDIFACT",
            "Description": "Orders in, responses and invoices out",
            "Settings": {"Version": "D:96A", "UseGroups": False, "AcknowledgementRequired": True},
        },
    ]
