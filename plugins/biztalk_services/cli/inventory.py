"""``inventory``: what a service holds, written as the catalog stores it, so that ``diff`` can compare it."""

from __future__ import annotations

import argparse
from pathlib import Path

from biztalk_services.cli.printing import warn
from biztalk_services.cli.shell import shell
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import PARTNER_MANAGEMENT
from biztalk_services.model.service import ServiceRef

WRITTEN, NOT_WRITTEN = 0, 2


def add_inventory(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    own = shell()
    parser = commands.add_parser(
        "inventory",
        parents=[own.connection_options(), own.inventory_options()],
        help="write down what a service holds",
        description="Writes what a service holds to a file: partners, agreements, certificates, batches, and the "
        "settings, without secrets. Control numbers are not read.",
        epilog="Ends with 0 when the inventory is written, 2 when it is not.",
    )
    parser.add_argument("service", help="its address: scope/name")
    parser.add_argument("file", type=Path, help="the file to write; never overwritten")
    parser.set_defaults(run=inventory)


def inventory(arguments: argparse.Namespace) -> int:
    """Write the inventory."""
    with shell().open_driver(arguments) as driver:
        service = driver.get_service(ServiceRef.parse(arguments.service))
        taken = driver.inventory(service)
    if problem := taken.parts.get(PARTNER_MANAGEMENT):
        raise BackupServiceError(problem)
    try:
        with arguments.file.open("xb") as file:
            file.write(taken.to_bytes())
    except OSError as error:
        warn(f"{error.filename}: {error.strerror}.")
        return NOT_WRITTEN
    print(f"{len(taken.items)} items and {len(taken.settings)} settings of {service.ref} are in {arguments.file}.")
    return WRITTEN
