"""``diff``: what differs between two inventories, in files or in the catalog."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from biztalk_services.cli.options import open_archive, storage_is_given, storage_options
from biztalk_services.cli.printing import printable
from biztalk_services.model.backup import is_backup_name
from biztalk_services.model.differences import Difference, differences, shown
from biztalk_services.model.inventory import InvalidInventoryError, Inventory
from biztalk_services.model.tables import table

SAME, DIFFERENT = 0, 1
_HEADINGS = ("what", "change", "before", "after")


def add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "diff",
        parents=[storage_options()],
        help="show what differs between two inventories",
        description="Shows what differs between two inventories. Each is a file, or the name of a backup: then it is "
        "the inventory that was recorded when that was taken.",
        epilog="Ends with 0 when nothing differs but what is allowed, 1 when something does or cannot be compared, "
        "2 when an inventory cannot be read.",
    )
    parser.add_argument("before", metavar="FILE_OR_BACKUP", help="the inventory as it should be")
    parser.add_argument("after", metavar="FILE_OR_BACKUP", help="the inventory as it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PATH",
        help="a difference that is expected (settings.Edition, or all of the settings: settings); repeatable",
    )
    parser.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    """Print the differences."""
    before, after = (_inventory(name, arguments) for name in (arguments.before, arguments.after))
    rows = differences(before, after, allowed=arguments.allow)
    unexpected = [each for each in rows if not each.allowed]
    if arguments.json:
        print(json.dumps({"same": not unexpected, "differences": [each.to_dict() for each in rows]}, indent=2))
    elif rows:
        print(printable(table(_HEADINGS, [_row(each) for each in rows])))
    else:
        print("Nothing differs.")
    return DIFFERENT if unexpected else SAME


def _inventory(name: str, arguments: argparse.Namespace) -> Inventory:
    """That in the file when there is one; else that of the backup of this name, when it can be one."""
    path = Path(name)
    if path.exists() or not is_backup_name(name):
        return _read(path)
    if not storage_is_given(arguments):
        raise InvalidInventoryError(
            f"{name} cannot be read: there is no such file. To search for a backup of this name, the storage account "
            "is needed; python -m biztalk_services diff --help shows how to give it."
        )
    catalog = open_archive(arguments).catalog
    return catalog.inventory(catalog.find(name).service, name)


def _read(path: Path) -> Inventory:
    try:
        return Inventory.from_bytes(path.read_bytes())
    except OSError as error:
        raise InvalidInventoryError(f"{path} cannot be read: {error.strerror or type(error).__name__}.") from None
    except InvalidInventoryError as error:
        raise InvalidInventoryError(f"{path}: {error}") from None


def _row(difference: Difference) -> tuple[str, str, str, str]:
    change = difference.change + (" (allowed)" if difference.allowed else "")
    before, after = ("-" if value is None else shown(value) for value in (difference.before, difference.after))
    return difference.what, change, before, after
