"""``python -m biztalk_services``: what can be done without Airflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from biztalk_services.cli.diff import add_diff
from biztalk_services.cli.inventory import add_inventory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: as on the command line; None: those of the process.
    :returns: exit code, as the command says.
    """
    parser = argparse.ArgumentParser(
        prog="python -m biztalk_services", description="Backup and restore of BizTalk Services, without Airflow."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_diff(commands)
    add_inventory(commands)
    chosen = parser.parse_args(arguments)
    return chosen.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
