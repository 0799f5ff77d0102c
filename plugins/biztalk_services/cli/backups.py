"""``show``, ``verify``: what is recorded of a backup, and whether it is whole."""

from __future__ import annotations

import argparse
import json

from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.cli.options import open_archive, storage_options
from biztalk_services.cli.printing import printable

SHOWN = 0
WHOLE, NOT_WHOLE = 0, 1


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "show",
        parents=[storage_options()],
        help="show all that is recorded of one backup",
        description="Shows the whole reference of a backup as JSON.",
        epilog="Ends with 0 when it is shown, 2 when there is no such backup or it cannot be read.",
    )
    parser.add_argument("backup", help="name of the backup")
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Print a backup reference."""
    print(json.dumps(open_archive(arguments).catalog.find(arguments.backup).to_dict(), indent=2))
    return SHOWN


def add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "verify",
        parents=[storage_options()],
        help="read a backup back and compare it with its reference",
        description="Reads every blob of a backup and compares it with what was recorded when it was taken.",
        epilog="Ends with 0 when all is as it was, 1 when a blob is missing, changed or too much, 2 when there is no "
        "such backup or it cannot be read.",
    )
    parser.add_argument("backup", help="name of the backup")
    parser.set_defaults(run=verify)


def verify(arguments: argparse.Namespace) -> int:
    """Read a backup back and print the result."""
    archive = open_archive(arguments)
    reference = archive.catalog.find(arguments.backup)
    try:
        print(f"{reference.place}: {archive.verify(reference)}")
    except BackupDamagedError as error:
        print(printable("\n".join([f"Backup {error.subject} is damaged:", *error.disagreements])))
        return NOT_WHOLE
    return WHOLE
