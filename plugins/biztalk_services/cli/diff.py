"""``diff``: what differs between two inventories in files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from biztalk_services.rules.differences import Difference, differences, shown
from biztalk_services.rules.inventory import Inventory, InventoryUnusable

SAME, DIFFERENT, UNREADABLE = 0, 1, 2
_HEADINGS = ("what", "change", "before", "after")


def add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "diff",
        help="show what differs between two inventories",
        description="Shows what differs between two inventories, as they lie in the catalog under inventories/.",
        epilog="Ends with 0 when nothing differs but what is allowed, 1 when something does or cannot be compared, "
        "2 when a file cannot be read.",
    )
    parser.add_argument("before", type=Path, metavar="FILE_A", help="the inventory as it should be")
    parser.add_argument("after", type=Path, metavar="FILE_B", help="the inventory as it is")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PATH",
        help="a difference that is expected (settings.Edition, or all of the settings: settings); repeatable",
    )
    parser.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    """Print the differences.

    :param arguments: ``before`` and ``after`` (paths), ``json``, ``allow``.
    :returns: exit code.
    """
    try:
        before, after = (_read(path) for path in (arguments.before, arguments.after))
    except InventoryUnusable as error:
        print(_printable(str(error)), file=sys.stderr)
        return UNREADABLE
    found = differences(before, after, allowed=arguments.allow)
    unexpected = [each for each in found if not each.allowed]
    if arguments.json:
        print(json.dumps({"same": not unexpected, "differences": [each.to_dict() for each in found]}, indent=2))
    elif found:
        print(_printable(_table(found)))
    else:
        print("Nothing differs.")
    return DIFFERENT if unexpected else SAME


def _read(path: Path) -> Inventory:
    try:
        return Inventory.from_bytes(path.read_bytes())
    except OSError as error:
        raise InventoryUnusable(f"{path} cannot be read: {error.strerror or type(error).__name__}.") from None
    except InventoryUnusable as error:
        raise InventoryUnusable(f"{path}: {error}") from None


def _table(found: tuple[Difference, ...]) -> str:
    rows = [_HEADINGS, *(_row(each) for each in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _row(difference: Difference) -> tuple[str, str, str, str]:
    change = difference.change + (" (allowed)" if difference.allowed else "")
    return difference.what, change, _cell(difference.before), _cell(difference.after)


def _cell(value: str | int | float | bool | None) -> str:
    return "-" if value is None else shown(value)
