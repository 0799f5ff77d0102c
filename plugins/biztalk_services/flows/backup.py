"""Rules that the record of a backup keeps."""

from __future__ import annotations

from biztalk_services.model.backup import is_backup_name
from biztalk_services.model.checks import Check
from biztalk_services.model.redaction import looks_secret
from biztalk_services.model.service import Service


def record_violations(service: Service, *, catalog_container: str, backup_label: str | None) -> list[Check]:
    """Every rule that the record of a backup would break: better known before the backup than after it.

    :param catalog_container: container that the record goes to.
    :param backup_label: what a person wants to say in it.
    """
    found: list[Check] = []
    if not is_backup_name(catalog_container):
        sentence = f"{catalog_container!r} cannot be the container of the catalog; mend the option catalog_container."
        found.append(Check("catalog-container", False, sentence, "container naming rule"))
    if backup_label and looks_secret(backup_label):
        sentence = "The label looks like it holds a secret, and a record never does. Word it otherwise."
        found.append(Check("label-without-secret", False, sentence, "backup reference"))
    if not service.address.name[0].isalnum():
        sentence = f"The name of service {service.address} does not begin with a letter or digit, as its record must."
        found.append(Check("service-name", False, sentence, "backup reference"))
    return found
