"""``plan``: what a restore would do, as the document that a person approves. Changes nothing."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime

from biztalk_services.cli.options import open_archive, storage_options
from biztalk_services.cli.printing import printable
from biztalk_services.cli.shell import shell
from biztalk_services.flows.plan_document import plan_document
from biztalk_services.flows.plan_restore import Planner, find_backup
from biztalk_services.model.choices import add_arguments
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.run import RunState

POSSIBLE, REFUSED = 0, 1


def add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    own = shell()
    parser = commands.add_parser(
        "plan",
        parents=[own.connection_options(), storage_options(), own.inventory_options(), own.plan_options()],
        help="show what a restore would do, lose and break",
        description="Shows the plan of a restore as the document that a person approves: blocking issues, what would "
        "be done, with which values, and what would be lost. Changes nothing. What cannot be checked from a shell is "
        "shown as such.",
        epilog="Ends with 0 when the restore has no blocking issue, 1 when it has one, 2 when there is nothing to plan "
        "with.",
    )
    meant = "the service whose backup is restored: name, or scope/name where a name occurs twice"
    parser.add_argument("service", help=meant)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_arguments(parser.add_argument_group("the restore"), RestoreRequest, without=("service",))
    parser.set_defaults(run=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    archive = open_archive(arguments)
    with shell().open_driver(arguments) as driver:
        # Whether another run has ended is not known here.
        planner = Planner(driver, "", archive, None, lambda run: RunState.UNKNOWN, datetime.now(UTC))
        backup = find_backup(archive, vars(arguments), {"": lambda: driver})
        made = planner.plan(planner.request(vars(arguments), backup), backup)
    print(json.dumps(made.to_dict(), indent=2) if arguments.json else printable(plan_document(made)))
    return REFUSED if made.blocking_issues else POSSIBLE
