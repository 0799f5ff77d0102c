"""What an interchange is made of, whatever its standard."""

from dataclasses import dataclass

from .content import Identity


@dataclass(frozen=True)
class TransactionSet:
    """One business document: X12 ``850`` or EDIFACT ``ORDERS``; ``reference`` is its document number."""

    document_type: str
    control_number: str
    reference: str


@dataclass(frozen=True)
class Group:
    """Transaction sets of one functional identifier (X12 GS01); ``control_number`` is empty where no group is due."""

    functional_id: str
    control_number: str
    transaction_sets: tuple[TransactionSet, ...]


@dataclass(frozen=True)
class Interchange:
    """Everything between ISA and IEA, or UNB and UNZ. ``version`` as in :class:`~.content.Agreement`."""

    sender: Identity
    receiver: Identity
    control_number: str
    version: str
    groups: tuple[Group, ...]
