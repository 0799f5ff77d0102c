"""``night``: how far the night under way is and when it ends, or how the last one ended. Needs the storage only."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from biztalk_services.cli.options import open_archive, storage_options
from biztalk_services.cli.printing import printable, warn
from biztalk_services.flows.night import nights_now

READ, NOT_ALL_READ = 0, 2
NONE = "No night has been recorded lately."


def add_night(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "night",
        parents=[storage_options()],
        help="show how far the night under way is, and when it ends",
        description="Shows how many services of the night under way are done, at work and waiting, and when it ends by "
        "earlier nights and its own pace; without one, how the last night ended. What has failed counts as at work "
        "until the run has noted it.",
        epilog="Ends with 0, or with 2 when a record cannot be read.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=night)


def night(arguments: argparse.Namespace) -> int:
    """Print the nights."""
    now = datetime.now(UTC)
    nights, problems = nights_now(open_archive(arguments), now)
    if arguments.json:
        print(json.dumps({"nights": [each.to_dict(now) for each in nights], "problems": problems}, indent=2))
    else:
        print(printable("\n".join(each.sentence(now) for each in nights) or NONE))
        for sentence in problems:
            warn(sentence)
    return NOT_ALL_READ if problems else READ
