"""The shape of everything a service holds.

Keys of entities follow the names of the trading partner management (TPM) object model where those are documented
(``BatchDescription``, ``Agreement``, ``X12ProtocolSettings``). The kinds are those of the table "Backed up Data" in
"BizTalk Services: Backup and Restore". Binary data is base64 text, instants are ISO-8601 UTC text (:mod:`.clock`).
"""

import secrets
from typing import Any, Literal, NotRequired, TypedDict

Protocol = Literal["X12", "EDIFACT", "AS2"]
Kind = Literal["interchange", "group", "transaction_set", "acknowledgement"]


class Identity(TypedDict):
    """How a partner is addressed: X12 qualifier ``01`` DUNS, ``ZZ`` mutually defined; EDIFACT ``1`` DUNS, ``14`` GLN,
    ``ZZZ``; ``AS2Identity`` for the AS2-From and AS2-To headers."""

    Name: str
    Qualifier: str
    Value: str


class Profile(TypedDict):
    """One business side of a partner. ``Certificates`` names entries of ``certificates`` by their use."""

    Name: str
    Description: str
    Identities: list[Identity]
    Certificates: dict[str, str]


class Partner(TypedDict):
    """A trading partner; ``Host`` marks the company that owns the service."""

    Name: str
    Description: str
    Host: bool
    Profiles: list[Profile]


class Party(TypedDict):
    """One end of an agreement: names of a partner, of its profile and of the identity used."""

    Partner: str
    Profile: str
    Identity: str


class ControlNumberRange(TypedDict):
    """The four-part pattern of the TPM settings; rules in :mod:`.control_numbers`."""

    LowerBound: int
    UpperBound: int
    Prefix: str
    Suffix: str
    Rollover: bool


class BatchDescription(TypedDict):
    """A batch of a send agreement (MSDN dn232373). The criterion decides which of the optional keys are required."""

    Name: str
    Description: str
    FilterExpression: str
    """SQL-92 condition over DocumentType, Size, Agreement, Sender and Receiver; ``1 = 1`` takes all."""
    ReleaseCriteriaType: Literal["Schedule", "Size", "Count", "Timeout"]
    FirstRelease: NotRequired[str]
    RecurrenceType: NotRequired[int]
    """0: once, at FirstRelease. Anything else: every RecurrencePeriodInSeconds from then on."""
    RecurrencePeriodInSeconds: NotRequired[int]
    InterchangeSize: NotRequired[int]
    """Bytes."""
    MessageCount: NotRequired[int]
    MessageScope: NotRequired[int]
    TimeoutInSeconds: NotRequired[int]
    """Seconds since the oldest message entered."""


class Transport(TypedDict):
    """Where interchanges go or come from. ``Agreement`` names the AS2 agreement that carries them."""

    Kind: Literal["AS2", "FTP", "SFTP", "HTTP", "Route"]
    Address: NotRequired[str]
    Agreement: NotRequired[str]


class AS2Settings(TypedDict):
    """RFC 4130. The certificates are names of entries of ``certificates``."""

    Signed: bool
    Encrypted: bool
    MicAlgorithm: Literal["sha1", "sha256", "sha512"]
    MdnExpected: bool
    SigningCertificate: str
    EncryptionCertificate: str


class Agreement(TypedDict):
    """One direction of what two partners agreed (TPM: OnewayAgreement), with the one bridge that runs it."""

    Name: str
    Protocol: Protocol
    Direction: Literal["Send", "Receive"]
    Sender: Party
    Receiver: Party
    EnabledInternal: bool
    StartDateInternal: str
    DocumentTypes: list[str]
    """X12 ST01 or EDIFACT message types; the first is the usual one."""
    Bridge: str
    Transform: str | None
    Transport: Transport
    Version: NotRequired[str]
    """X12 GS08 (``004010``) or EDIFACT version and release (``D:96A``)."""
    UseGroups: NotRequired[bool]
    """EDIFACT only: write UNG/UNE. X12 always has groups."""
    ControlNumbers: NotRequired[dict[str, ControlNumberRange]]
    """Send: interchange, group, transaction_set. Receive: acknowledgement."""
    AcknowledgementRequired: NotRequired[bool]
    DuplicateCheckDays: NotRequired[int]
    """Receive: refuse an interchange control number seen within so many days; 0: no check."""
    Batches: NotRequired[list[BatchDescription]]
    AS2: NotRequired[AS2Settings]


class Bridge(TypedDict):
    """A deployed bridge: an agreement's (EdiSend, EdiReceive, As2Send, As2Receive) or an application's (XmlOneWay,
    XmlRequestReply, PassThrough)."""

    Name: str
    Kind: str
    Address: str
    Pipeline: str
    Transforms: list[str]
    Assemblies: list[str]
    Source: dict[str, Any]
    Destinations: list[dict[str, Any]]


class Assembly(TypedDict):
    """A custom assembly; ``Data`` is the file."""

    Name: str
    FileName: str
    Version: str
    Data: str


class Certificate(TypedDict):
    """``Public``: ``Data`` is a DER certificate. ``Private``: a PFX, opened by ``Password``."""

    Name: str
    Kind: Literal["Public", "Private"]
    Subject: str
    Thumbprint: str
    NotAfter: str
    Data: str
    Password: NotRequired[str]


class Transform(TypedDict):
    """A deployed map; ``Data`` is an XSLT 1.0 stylesheet as text."""

    Name: str
    FileName: str
    Source: str
    Target: str
    Data: str


class Pipeline(TypedDict):
    """The stages a bridge runs, in order."""

    Name: str
    Stages: list[str]


class Template(TypedDict):
    """Agreement settings saved in the portal for reuse."""

    Name: str
    Protocol: Protocol
    Description: str
    Settings: dict[str, Any]


class St01Mapping(TypedDict):
    """X12 transaction set to message type."""

    ST01: str
    DocumentType: str


class Gs01Mapping(TypedDict):
    """X12 transaction set to functional identifier code."""

    ST01: str
    GS01: str


class GeneratedControlNumber(TypedDict):
    """The last number given out; ``None`` before the first."""

    Agreement: str
    Kind: Kind
    Last: int | None


class ReceivedControlNumber(TypedDict):
    """The numbers of one interchange that came in, as written by the partner; ``Group`` is empty without groups."""

    Agreement: str
    Interchange: str
    Group: str
    TransactionSet: str
    ReceivedAt: str


class ControlNumbers(TypedDict):
    generated: list[GeneratedControlNumber]
    received: list[ReceivedControlNumber]


class MicValue(TypedDict):
    """Message integrity check of an AS2 message, kept to verify (sent) or to answer (received) its receipt."""

    Agreement: str
    Direction: Literal["Send", "Receive"]
    MessageId: str
    Algorithm: str
    Mic: str
    CreatedAt: str


class Content(TypedDict):
    """All a backup takes from the portal's side of a service."""

    partners: list[Partner]
    agreements: list[Agreement]
    bridges: list[Bridge]
    assemblies: list[Assembly]
    certificates: list[Certificate]
    transforms: list[Transform]
    pipelines: list[Pipeline]
    templates: list[Template]
    x12_st01_mappings: list[St01Mapping]
    x12_gs01_mappings: list[Gs01Mapping]
    control_numbers: ControlNumbers
    mic_values: list[MicValue]


class BatchMessage(TypedDict):
    """A message waiting in a batch; ``size`` in bytes."""

    id: str
    agreement: str
    batch: str
    document_type: str
    size: int
    when: str


class Postponement(TypedDict):
    """A release that failed and is tried again ``until`` then."""

    agreement: str
    batch: str
    until: str


class Runtime(TypedDict):
    """What is in no backup: messages that wait in batches, and the position that the tracking history has reached
    (:mod:`.tracking`); a restored service starts a new history with a new runtime."""

    batch_messages: list[BatchMessage]
    postponed: list[Postponement]
    history: str
    position: int


def new_content() -> Content:
    """The content of a service in which nothing was deployed yet."""
    return {
        "partners": [],
        "agreements": [],
        "bridges": [],
        "assemblies": [],
        "certificates": [],
        "transforms": [],
        "pipelines": [],
        "templates": [],
        "x12_st01_mappings": [],
        "x12_gs01_mappings": [],
        "control_numbers": {"generated": [], "received": []},
        "mic_values": [],
    }


def new_runtime() -> Runtime:
    """The runtime of a service that has processed no message yet; each has a ``history`` of its own."""
    return {"batch_messages": [], "postponed": [], "history": secrets.token_hex(6), "position": 0}


def counts(content: Content) -> dict[str, int]:
    """How many of each kind: ``{"partners": 4, "profiles": 5, ...}``."""
    partners, agreements, numbers = content["partners"], content["agreements"], content["control_numbers"]
    return {
        "partners": len(partners),
        "profiles": sum(len(partner["Profiles"]) for partner in partners),
        "agreements": len(agreements),
        "batches": sum(len(agreement.get("Batches", [])) for agreement in agreements),
        "bridges": len(content["bridges"]),
        "assemblies": len(content["assemblies"]),
        "certificates": len(content["certificates"]),
        "transforms": len(content["transforms"]),
        "pipelines": len(content["pipelines"]),
        "templates": len(content["templates"]),
        "x12_st01_mappings": len(content["x12_st01_mappings"]),
        "x12_gs01_mappings": len(content["x12_gs01_mappings"]),
        "generated_control_numbers": len(numbers["generated"]),
        "received_control_numbers": len(numbers["received"]),
        "mic_values": len(content["mic_values"]),
    }
