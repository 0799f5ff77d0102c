"""``check-queries``: what the database of each service answers to the queries, and what is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout

from biztalk_services.cli.configured import configured
from biztalk_services.cli.printing import printable
from biztalk_services.flows.check_document import lines_of, summary_of
from biztalk_services.flows.check_queries import QueryChecks
from biztalk_services.model.finding import Finding

GOOD, WRONG, NOTHING_CHECKED = 0, 1, 2


def add_check_queries(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "check-queries",
        help="show what each database answers to the queries (needs Airflow's connections)",
        description="Asks the database of each service both queries, as a backup and a restore would, and shows what "
        "it is, what it answers, what was understood of that, and what is wrong. Reads Airflow's connections and "
        "options, so it runs where Airflow's tasks run. Changes nothing, shows no secret.",
        epilog="Ends with 0 when all is good; 1 when something is wrong; 2 when no query was answered.",
    )
    parser.add_argument(
        "services",
        nargs="*",
        metavar="SERVICE",
        help="name, scope/name or connection/scope/name (default: all that the options include and whose edition has "
        "backups)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=check_queries)


def check_queries(arguments: argparse.Namespace) -> int:
    """Print what each query is answered."""
    found: list[Finding] = []
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # Airflow logs to the standard output
        for finding in QueryChecks(configured(), arguments.services).findings():
            found.append(finding)
            if not arguments.json:
                print(printable("\n".join(lines_of(finding))), file=out, flush=True)
    if arguments.json:
        print(json.dumps([finding.to_dict() for finding in found], indent=2))
    else:
        print(f"\n{printable(summary_of(found))}")
    if not any(look.rows is not None for finding in found if finding.queries for look in finding.queries.looks):
        return NOTHING_CHECKED
    return WRONG if any(finding.is_wrong for finding in found) else GOOD
