"""May this service be backed up, under this name?

Sources: "BizTalk Services: Backup and Restore" (2014), Backup BizTalk Service (dn232427), the state chart, and the
naming rule of blob containers, for a backup becomes a container of its name.
"""

from __future__ import annotations

from biztalk_services.drivers.biztalk.states import SOURCE as STATE_CHART
from biztalk_services.drivers.biztalk.states import states_allowing
from biztalk_services.model.backup import is_backup_name
from biztalk_services.model.checks import Check
from biztalk_services.model.service import Phase, Service

_WITH_BACKUPS = "only basic, standard and premium have backups"
_WHY_NOT = {
    Phase.TRANSITIONAL: "another operation is under way; wait until it ends",
    Phase.FAILED: "an operation failed and left it there; repair the service first",
    Phase.UNKNOWN: "no document has this state; check the service before going on",
}


def backup_checks(service: Service, name: str) -> list[Check]:
    """Every rule of a backup of this service under this name, with its verdict."""
    return [_edition(service), _state(service), _name(name)]


def _edition(service: Service) -> Check:
    if service.has_backups:
        message = f"The {service.edition} edition has backups."
    elif service.edition is None:
        message = f"Service {service.ref} does not report its edition, so it is unknown whether it has backups."
    elif service.has_backups is False:
        message = f"The {service.edition} edition of service {service.ref} has no backup; {_WITH_BACKUPS}."
    else:
        message = f"Service {service.ref} has the unknown edition {service.edition!r}; {_WITH_BACKUPS}."
    return Check("edition-has-backups", bool(service.has_backups), message, "Backup and Restore; dn232427")


def _state(service: Service) -> Check:
    allowed = "backup" in service.allows
    message = f"Service {service.ref} is {service.state}"
    if service.state != service.raw_state:
        message += f" (on the wire: {service.raw_state})"
    if not allowed:
        why = _WHY_NOT.get(service.phase, "this state does not allow it")
        message += f"; {why}. A backup is allowed in: {', '.join(states_allowing('backup'))}"
    return Check("state-allows-backup", allowed, f"{message}.", f"{STATE_CHART}; dn232427")


def _name(name: str) -> Check:
    message = f"{name} is a valid backup name."
    fits = is_backup_name(name)
    if not fits:
        message = (
            f"{name!r} is not a valid backup name: it takes 3 to 63 lower-case letters, digits and single dashes, "
            "beginning and ending with a letter or digit."
        )
    return Check("backup-name", fits, message, "dn232427; container naming rule")
