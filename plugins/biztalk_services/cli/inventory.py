"""``inventory``: what a living service holds, written as the catalog keeps it, so that ``diff`` can compare it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from biztalk_services.cli.credentials import management_options, secret_file, subscription
from biztalk_services.rest.messages import Service, ServiceAddress
from biztalk_services.rest.partner_management import PartnerManagementClient
from biztalk_services.rules.entities import ENTITY_SETS, inventory_of

WRITTEN, NOT_WRITTEN = 0, 2


def add_inventory(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "inventory",
        parents=[management_options()],
        help="write down what a living service holds",
        description="Writes what a living service holds to a file: partners, agreements, certificates, batches, and "
        "the settings, without secrets. Control numbers are not asked for.",
        epilog="Ends with 0 when the inventory is written, 2 when it is not.",
    )
    parser.add_argument("service", help="its address: cloud service/name")
    parser.add_argument("file", type=Path, help="the file to write; never overwritten")
    partners = parser.add_argument_group("partner management")
    partners.add_argument("--acs-key-file", type=Path, required=True, help="file with the key of the ACS namespace")
    partners.add_argument("--namespace", help="the ACS namespace, when it is not the one that the service names")
    partners.add_argument("--issuer", default="owner", help="its service identity (default: %(default)s)")
    partners.add_argument("--endpoint", help="origin below which the real host names are parts of the path")
    parser.set_defaults(run=inventory)


def inventory(arguments: argparse.Namespace) -> int:
    """Write the inventory.

    :returns: exit code.
    :raises BizTalkServicesError: the service cannot be read.
    """
    with subscription(arguments) as client:
        service = client.get_service(ServiceAddress.parse(arguments.service))
    taken = inventory_of(service, _entities(arguments, service), taken_at=datetime.now(UTC))
    try:
        with arguments.file.open("xb") as file:
            file.write(taken.to_bytes())
    except OSError as error:
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
        return NOT_WRITTEN
    print(f"{len(taken.items)} items and {len(taken.settings)} settings of {service.address} are in {arguments.file}.")
    return WRITTEN


def _entities(arguments: argparse.Namespace, service: Service) -> dict[str, list[dict]]:
    with PartnerManagementClient(
        service.address.name,
        namespace=arguments.namespace or service.settings.get("AccessControlNamespace", ""),
        key=secret_file(arguments.acs_key_file, "key of the ACS namespace"),
        issuer=arguments.issuer,
        endpoint=arguments.endpoint,
        ca_bundle=arguments.ca,
    ) as client:
        return client.all_entities(ENTITY_SETS)
