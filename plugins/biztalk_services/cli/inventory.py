"""``inventory``: what a living service holds, written as the catalog keeps it, so that ``diff`` can compare it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from biztalk_services.cli.credentials import management_options, partner_management, partner_options, subscription
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of
from biztalk_services.model.service import ServiceRef

WRITTEN, NOT_WRITTEN = 0, 2


def add_inventory(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "inventory",
        parents=[management_options(), partner_options()],
        help="write down what a living service holds",
        description="Writes what a living service holds to a file: partners, agreements, certificates, batches, and "
        "the settings, without secrets. Control numbers are not asked for.",
        epilog="Ends with 0 when the inventory is written, 2 when it is not.",
    )
    parser.add_argument("service", help="its address: cloud service/name")
    parser.add_argument("file", type=Path, help="the file to write; never overwritten")
    parser.set_defaults(run=inventory)


def inventory(arguments: argparse.Namespace) -> int:
    """Write the inventory.

    :returns: exit code.
    :raises BackupServiceError: the service cannot be read.
    """
    with subscription(arguments) as client:
        service = client.get_service(ServiceRef.parse(arguments.service))
    namespace = service.settings.get("AccessControlNamespace", "")
    with partner_management(arguments, service.address.name, namespace) as partners:
        entities = partners.all_entities(ENTITY_SETS)
    taken = inventory_of(service, entities, taken_at=datetime.now(UTC))
    try:
        with arguments.file.open("xb") as file:
            file.write(taken.to_bytes())
    except OSError as error:
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
        return NOT_WRITTEN
    print(f"{len(taken.items)} items and {len(taken.settings)} settings of {service.address} are in {arguments.file}.")
    return WRITTEN
