"""May this service be backed up, under this name?

Sources: "BizTalk Services: Backup and Restore" (2014), Backup BizTalk Service (dn232427), the state chart, and the
naming rule of blob containers, for a backup becomes a container of its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from biztalk_services.rest.redaction import looks_secret
from biztalk_services.rules.state_chart import SOURCE as STATE_CHART
from biztalk_services.rules.state_chart import StateKind, state_kind, states_allowing
from biztalk_services.rules.violations import Violation

if TYPE_CHECKING:
    from biztalk_services.rest.messages import Service

EDITIONS_WITH_BACKUPS = ("basic", "standard", "premium")
EDITIONS_WITHOUT_BACKUPS = ("free", "developer")
_WITH_BACKUPS = "only basic, standard and premium have backups"

_BACKUP_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_LONGEST_SERVICE_PART = 63 - len("-yyyyMMdd-HHmmss")


def has_backups(edition: str | None) -> bool:
    """Whether an edition has backups: basic, standard and premium do, in any case; an unknown one does not."""
    return (edition or "").strip().lower() in EDITIONS_WITH_BACKUPS


def lacks_backups(edition: str | None) -> bool:
    """Whether an edition certainly has no backups; of an unknown one nobody can say so."""
    return (edition or "").strip().lower() in EDITIONS_WITHOUT_BACKUPS


def backup_name(service_name: str, at: datetime) -> str:
    """The name of a backup: ``{service in lower case}-{yyyyMMdd}-{HHmmss}``, UTC, fit for a container.

    :param service_name: characters that a container's name cannot have become dashes; too long a name is cut.
    :param at: aware time.
    :raises ValueError: the time is naive.
    """
    if at.tzinfo is None:
        raise ValueError("The time in a backup's name needs a time zone; give an aware datetime.")
    part = re.sub(r"[^a-z0-9]+", "-", service_name.lower()).strip("-")[:_LONGEST_SERVICE_PART].rstrip("-") or "biztalk"
    return f"{part}-{at.astimezone(UTC):%Y%m%d-%H%M%S}"


def is_backup_name(name: str) -> bool:
    """Whether a backup may have this name: 3 to 63 lower-case letters, digits and single dashes between them."""
    return bool(_BACKUP_NAME.fullmatch(name))


def backup_violations(
    service: Service, *, backup_name: str, states: Collection[str] = states_allowing("backup")
) -> list[Violation]:
    """Every rule that a backup of this service under this name would break; empty when it may be taken.

    :param service: as it is now.
    :param backup_name: name of backup and container.
    :param states: states to allow. The default is the state chart's; right before the request pass
        ``("Suspended", "Stopped")``, because dn232427 wants the service suspended.
    """
    found = [_edition_violation(service), _state_violation(service, states), _name_violation(backup_name)]
    return [violation for violation in found if violation]


def record_violations(service: Service, *, catalog_container: str, backup_label: str | None) -> list[Violation]:
    """Every rule that the record of a backup would break: better known before the backup than after it.

    :param catalog_container: container that the record goes to.
    :param backup_label: what a person wants to say in it.
    """
    found: list[Violation] = []
    if not is_backup_name(catalog_container):
        sentence = f"{catalog_container!r} cannot be the container of the catalog; mend the option catalog_container."
        found.append(Violation("catalog-container", sentence, "container naming rule"))
    if backup_label and looks_secret(backup_label):
        sentence = "The label looks like it holds a secret, and a record never does. Word it otherwise."
        found.append(Violation("label-without-secret", sentence, "backup reference"))
    if not service.address.name[0].isalnum():
        sentence = f"The name of service {service.address} does not begin with a letter or digit, as its record must."
        found.append(Violation("service-name", sentence, "backup reference"))
    return found


def _edition_violation(service: Service) -> Violation | None:
    if has_backups(service.edition):
        return None
    if service.edition is None:
        sentence = f"Service {service.address} does not say its edition, so nobody knows whether it has backups."
    elif service.edition.lower() in EDITIONS_WITHOUT_BACKUPS:
        sentence = f"The {service.edition} edition of service {service.address} has no backup; {_WITH_BACKUPS}."
    else:
        sentence = f"Service {service.address} has the unknown edition {service.edition!r}; {_WITH_BACKUPS}."
    return Violation("edition-has-backups", sentence, "Backup and Restore; dn232427")


def _state_violation(service: Service, states: Collection[str]) -> Violation | None:
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
    return Violation("state-allows-backup", sentence, f"{STATE_CHART}; dn232427")


def _name_violation(name: str) -> Violation | None:
    if is_backup_name(name):
        return None
    return Violation(
        "backup-name",
        f"{name!r} cannot be the name of a backup: it takes 3 to 63 lower-case letters, digits and single dashes, "
        "beginning and ending with a letter or digit.",
        "dn232427; container naming rule",
    )
