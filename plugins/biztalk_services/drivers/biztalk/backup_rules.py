"""May this service be backed up, under this name?

Sources: "BizTalk Services: Backup and Restore" (2014), Backup BizTalk Service (dn232427), the state chart, and the
naming rule of blob containers, for a backup becomes a container of its name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.state_chart import SOURCE as STATE_CHART
from biztalk_services.drivers.biztalk.state_chart import StateKind, state_kind, states_allowing
from biztalk_services.model.backup import is_backup_name
from biztalk_services.model.checks import Check

if TYPE_CHECKING:
    from biztalk_services.model.service import Service

EDITIONS_WITH_BACKUPS = ("basic", "standard", "premium")
EDITIONS_WITHOUT_BACKUPS = ("free", "developer")
_WITH_BACKUPS = "only basic, standard and premium have backups"


def has_backups(edition: str | None) -> bool:
    """Whether an edition has backups: basic, standard and premium do, in any case; an unknown one does not."""
    return (edition or "").strip().lower() in EDITIONS_WITH_BACKUPS


def lacks_backups(edition: str | None) -> bool:
    """Whether an edition certainly has no backups; of an unknown one nobody can say so."""
    return (edition or "").strip().lower() in EDITIONS_WITHOUT_BACKUPS


def backup_checks(
    service: Service, *, backup_name: str, states: Collection[str] = states_allowing("backup")
) -> list[Check]:
    """Every rule that a backup of this service under this name would break; empty when it may be taken.

    :param service: as it is now.
    :param backup_name: name of backup and container.
    :param states: states to allow. The default is the state chart's; right before the request pass
        ``("Suspended", "Stopped")``, because dn232427 wants the service suspended.
    """
    found = [_edition_violation(service), _state_violation(service, states), _name_violation(backup_name)]
    return [violation for violation in found if violation]


def _edition_violation(service: Service) -> Check | None:
    if has_backups(service.edition):
        return None
    if service.edition is None:
        sentence = f"Service {service.address} does not say its edition, so nobody knows whether it has backups."
    elif service.edition.lower() in EDITIONS_WITHOUT_BACKUPS:
        sentence = f"The {service.edition} edition of service {service.address} has no backup; {_WITH_BACKUPS}."
    else:
        sentence = f"Service {service.address} has the unknown edition {service.edition!r}; {_WITH_BACKUPS}."
    return Check("edition-has-backups", False, sentence, "Backup and Restore; dn232427")


def _state_violation(service: Service, states: Collection[str]) -> Check | None:
    if service.state in states:
        return None
    shown = (
        service.state if service.state == service.raw_state else f"{service.state} (on the wire: {service.raw_state})"
    )
    match state_kind(service.state):
        case StateKind.TRANSITIONAL:
            why = "another operation is under way; wait for its end"
        case StateKind.FAILED:
            why = "an operation failed and left it there; repair the service first"
        case StateKind.UNKNOWN:
            why = "no document has this state; look at the service before going on"
        case _:
            why = "this state does not allow it"
    sentence = f"Service {service.address} is {shown}; {why}. A backup is allowed in: {', '.join(states)}."
    return Check("state-allows-backup", False, sentence, f"{STATE_CHART}; dn232427")


def _name_violation(name: str) -> Check | None:
    if is_backup_name(name):
        return None
    return Check(
        "backup-name",
        False,
        f"{name!r} cannot be the name of a backup: it takes 3 to 63 lower-case letters, digits and single dashes, "
        "beginning and ending with a letter or digit.",
        "dn232427; container naming rule",
    )
