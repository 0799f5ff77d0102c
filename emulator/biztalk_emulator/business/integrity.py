"""Is a content complete and consistent? For contents that come from outside, such as an edit by hand."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from . import batches
from . import content as shapes
from .clock import from_text, to_text
from .content import Agreement, BatchDescription, Content, Kind
from .control_numbers import check_range
from .directory import find_identity
from .errors import BusinessError
from .journey import RETENTION
from .shape import misfits

_RANGES = {
    ("X12", "Send"): {"interchange", "group", "transaction_set"},
    ("EDIFACT", "Send"): {"interchange", "group", "transaction_set"},
    ("X12", "Receive"): {"acknowledgement"},
    ("EDIFACT", "Receive"): {"acknowledgement"},
}
_CRITERION_KEYS = {
    "Schedule": ("FirstRelease", "RecurrenceType", "RecurrencePeriodInSeconds"),
    "Size": ("InterchangeSize",),
    "Count": ("MessageCount", "MessageScope"),
    "Timeout": ("TimeoutInSeconds",),
}
_NAMED = ("partners", "agreements", "bridges", "assemblies", "certificates", "transforms", "pipelines", "templates")
_HIGHEST_CRITERION = 2**31 - 1
_LONGEST_BATCH_NAME = 256
_LONGEST_FILTER = 1024


def problems(content: Content) -> list[str]:
    """What is wrong with a content, one sentence each; empty when traffic and backup can rely on it.

    First the shape of every entity is checked (:mod:`.content`), then, if that is right, what entities state about
    each other.
    """
    return list(_shape_problems(content)) or list(_reference_problems(content))


def _shape_problems(content: Any) -> Iterator[str]:
    if not isinstance(content, dict) or content.keys() != shapes.new_content().keys():
        yield f"A content is an object with exactly the kinds {', '.join(shapes.new_content())}."
        return
    for kind, shape in get_type_hints(shapes.Content).items():
        yield from misfits(content[kind], shape, f"'{kind}'")


def _repeated_names(kind: str, entities: Any) -> Iterator[str]:
    names = [entity["Name"] for entity in entities]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{kind}: the name '{name}' is used more than once."


def _reference_problems(content: Content) -> Iterator[str]:
    for kind in _NAMED:
        yield from _repeated_names(kind, content[kind])
    for bridge in content["bridges"]:
        for kind, wanted in (
            ("pipelines", [bridge["Pipeline"]]),
            ("transforms", bridge["Transforms"]),
            ("assemblies", bridge["Assemblies"]),
        ):
            yield from _absent(content, kind, wanted, f"Bridge '{bridge['Name']}'")
    for partner in content["partners"]:
        yield from _repeated_names(f"Profiles of '{partner['Name']}'", partner["Profiles"])
        for profile in partner["Profiles"]:
            yield from _absent(
                content, "certificates", profile["Certificates"].values(), f"Partner '{partner['Name']}'"
            )
    for agreement in content["agreements"]:
        yield from _agreement_problems(content, agreement)


def _absent(content: Any, kind: str, wanted: Any, user: str) -> Iterator[str]:
    held = {entity["Name"] for entity in content[kind]}
    for name in wanted:
        if name not in held:
            yield f"{user} uses '{name}', which is not among the {kind}."


def _agreement_problems(content: Content, agreement: Agreement) -> Iterator[str]:
    user = f"Agreement '{agreement['Name']}'"
    protocol, direction = agreement["Protocol"], agreement["Direction"]
    if protocol not in ("X12", "EDIFACT", "AS2") or direction not in ("Send", "Receive"):
        yield f"{user} has a Protocol of X12, EDIFACT or AS2 and a Direction of Send or Receive."
        return
    yield from _absent(content, "bridges", [agreement["Bridge"]], user)
    yield from _absent(content, "transforms", [agreement["Transform"]] if agreement["Transform"] else [], user)
    for party in (agreement["Sender"], agreement["Receiver"]):
        if find_identity(content, party) is None:
            yield f"{user} uses the identity {party}, which no partner has."
    if not _is_instant(agreement["StartDateInternal"]):
        yield f"{user} starts at '{agreement['StartDateInternal']}', which is no ISO-8601 instant."
    if not agreement["DocumentTypes"]:
        yield f"{user} carries no document type."
    if protocol == "AS2":
        yield from _as2_problems(content, agreement, user)
        return
    if "Version" not in agreement:
        yield f"{user} has no Version."
    yield from _transport_problems(content, agreement, user)
    yield from _range_problems(agreement, user)
    yield from _batch_problems(agreement, user)
    days = agreement.get("DuplicateCheckDays", 0)
    if not 0 <= days <= RETENTION.days:
        yield f"{user} checks for duplicates of {days} days; received numbers are kept for {RETENTION.days} days."
    if protocol == "X12":
        for kind in ("x12_st01_mappings", "x12_gs01_mappings"):
            known = {mapping["ST01"] for mapping in content[kind]}
            for unknown in [each for each in agreement["DocumentTypes"] if each not in known]:
                yield f"{user} carries transaction set {unknown}, which has no entry in {kind}."


def _as2_problems(content: Content, agreement: Agreement, user: str) -> Iterator[str]:
    if "AS2" not in agreement:
        yield f"{user} has no AS2 settings."
        return
    settings = agreement["AS2"]
    certificates = [settings["SigningCertificate"], settings["EncryptionCertificate"]]
    yield from _absent(content, "certificates", certificates, user)
    if settings["MicAlgorithm"] not in ("sha1", "sha256", "sha512"):
        yield f"{user} has a MicAlgorithm of sha1, sha256 or sha512."


def _transport_problems(content: Content, agreement: Agreement, user: str) -> Iterator[str]:
    carrier = agreement["Transport"].get("Agreement")
    if carrier is None:
        return
    wanted = ("AS2", agreement["Direction"])
    if not any(
        each["Name"] == carrier and (each["Protocol"], each["Direction"]) == wanted for each in content["agreements"]
    ):
        yield f"{user} travels over '{carrier}', which is no AS2 agreement of the same direction."


def _range_problems(agreement: Agreement, user: str) -> Iterator[str]:
    ranges = agreement.get("ControlNumbers", {})
    if unknown := ranges.keys() - set(get_args(Kind)):
        yield f"{user} has control number ranges for {', '.join(sorted(unknown))}, which there is not."
        return
    if missing := _RANGES[agreement["Protocol"], agreement["Direction"]] - ranges.keys():
        yield f"{user} has no control number range for {', '.join(sorted(missing))}."
    for kind, pattern in ranges.items():
        try:
            check_range(agreement["Protocol"], kind, pattern)
        except BusinessError as error:
            yield f"{user}: {error}"


def _batch_problems(agreement: Agreement, user: str) -> Iterator[str]:
    if agreement.get("Batches") and agreement["Direction"] != "Send":
        yield f"{user} receives, so it cannot have batches; batching is on the send side only."
    yield from _repeated_names(f"Batches of '{agreement['Name']}'", agreement.get("Batches", []))
    for batch in agreement.get("Batches", []):
        yield from (f"{user}, batch '{batch['Name']}': {sentence}" for sentence in _description_problems(batch))


def _description_problems(batch: BatchDescription) -> Iterator[str]:
    criterion = batch["ReleaseCriteriaType"]
    if criterion not in _CRITERION_KEYS:
        yield f"ReleaseCriteriaType is one of {', '.join(_CRITERION_KEYS)}."
        return
    for key in _CRITERION_KEYS[criterion]:
        value = batch.get(key)
        if key == "FirstRelease":
            if not _is_instant(value):
                yield "FirstRelease is an ISO-8601 instant and required for Schedule."
        elif value is None or not (0 if key == "RecurrenceType" else 1) <= value <= _HIGHEST_CRITERION:
            yield f"{key} is a whole number above zero and required for {criterion}; at most {_HIGHEST_CRITERION}."
    if len(batch["Name"]) > _LONGEST_BATCH_NAME or len(batch["FilterExpression"]) > _LONGEST_FILTER:
        yield f"the name has at most {_LONGEST_BATCH_NAME} and the filter at most {_LONGEST_FILTER} characters."
    try:
        batches.accepts(batch, DocumentType="", Size=0, Agreement="", Sender="", Receiver="")
    except BusinessError as error:
        yield str(error)


def _is_instant(text: str | None) -> bool:
    try:
        return bool(text and to_text(from_text(text)))
    except (ValueError, OverflowError):
        return False
