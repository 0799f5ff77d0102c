"""Finding in a content what an agreement refers to; a refusal names what is missing."""

from .content import Agreement, Content, Identity, Party
from .errors import TrafficRefused


def agreement_named(content: Content, name: str) -> Agreement | None:
    """The agreement of that name."""
    return next((each for each in content["agreements"] if each["Name"] == name), None)


def find_identity(content: Content, party: Party) -> Identity | None:
    """The identity that a party of an agreement uses."""
    for partner in content["partners"]:
        for profile in partner["Profiles"]:
            if (partner["Name"], profile["Name"]) == (party["Partner"], party["Profile"]):
                return next((each for each in profile["Identities"] if each["Name"] == party["Identity"]), None)
    return None


def identity_of(content: Content, party: Party) -> Identity:
    """The identity that a party of an agreement uses.

    :raises TrafficRefused: when no partner has it.
    """
    identity = find_identity(content, party)
    if identity is None:
        raise TrafficRefused(
            f"Partner '{party['Partner']}' has no identity '{party['Identity']}' in its profile '{party['Profile']}', "
            "which the agreement needs."
        )
    return identity


def functional_id(content: Content, agreement: Agreement, document_type: str) -> str:
    """What a group of these documents is called: GS01 in X12, the message type in EDIFACT.

    :raises TrafficRefused: when no mapping has it.
    """
    if agreement["Protocol"] == "EDIFACT":
        return document_type
    for mapping in content["x12_gs01_mappings"]:
        if mapping["ST01"] == document_type:
            return mapping["GS01"]
    raise TrafficRefused(f"No GS01 mapping names the functional group of X12 transaction set '{document_type}'.")


def as2_carrier(content: Content, agreement: Agreement) -> Agreement | None:
    """The AS2 agreement over which an agreement travels: itself, another, or none.

    :raises TrafficRefused: when the agreement names one that is not there or not AS2.
    """
    if agreement["Protocol"] == "AS2":
        return agreement
    name = agreement["Transport"].get("Agreement")
    if name is None:
        return None
    carrier = agreement_named(content, name)
    if carrier is None or carrier["Protocol"] != "AS2":
        raise TrafficRefused(f"Agreement '{agreement['Name']}' travels over '{name}', which is no AS2 agreement here.")
    return carrier
