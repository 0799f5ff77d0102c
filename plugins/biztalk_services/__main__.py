"""``python -m biztalk_services``: what can be done without Airflow, and a check of what an Airflow asks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from biztalk_services.cli.backups import add_show, add_verify
from biztalk_services.cli.catalog import add_list, add_rebuild_index
from biztalk_services.cli.check_queries import add_check_queries
from biztalk_services.cli.diff import add_diff
from biztalk_services.cli.inventory import add_inventory
from biztalk_services.cli.night import add_night
from biztalk_services.cli.options import add_ca_bundle
from biztalk_services.cli.plan import add_plan
from biztalk_services.cli.printing import warn
from biztalk_services.cli.resume import add_resume
from biztalk_services.cli.status import add_status
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.tls import trusting

UNABLE, INTERRUPTED, CUT_OFF = 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: as on the command line; None: those of the process.
    :returns: exit code; the help of each command explains its codes.
    """
    parser = argparse.ArgumentParser(
        prog="python -m biztalk_services",
        description="Backup and restore of BizTalk Services, without Airflow; see docs/break-glass.md.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_status,
        add_night,
        add_resume,
        add_list,
        add_show,
        add_verify,
        add_rebuild_index,
        add_plan,
        add_diff,
        add_inventory,
        add_check_queries,
    ):
        add(commands)
    for command in commands.choices.values():
        add_ca_bundle(command)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.ca_bundle:
            trusting(chosen.ca_bundle, "--ca-bundle")
        code: int = chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    except BackupServiceError as error:
        warn(str(error))
        return UNABLE
    except KeyboardInterrupt:
        warn("Interrupted. Requests that were sent are still carried out.")
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
