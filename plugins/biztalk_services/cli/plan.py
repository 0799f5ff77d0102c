"""``plan``: what a restore would do, as the document that a person approves. Changes nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from biztalk_services.cli.credentials import management_options, partner_options, storage, storage_options, subscription
from biztalk_services.cli.printing import printable
from biztalk_services.flows.plan_document import document
from biztalk_services.flows.plan_restore import make_plan
from biztalk_services.model.restore_request import EXACT, RAISE, REFUSE, REPLACE, REPORT, RestoreRequest

POSSIBLE, REFUSED = 0, 1


def add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "plan",
        parents=[management_options(), storage_options(), partner_options()],
        help="show what a restore would do, lose and break",
        description="Shows the plan of a restore as the document that a person approves: what speaks against it, what "
        "would be done, with which values, and what would be lost. Changes nothing. What nobody can check from a shell "
        "is said to be so.",
        epilog="Ends with 0 when nothing speaks against the restore, 1 when something does, 2 when there is nothing to "
        "plan with.",
    )
    parser.add_argument("service", help="name of the service whose backup is restored")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    form = parser.add_argument_group("the restore")
    form.add_argument("--backup", default="", help="name of the backup (default: the newest but for safety backups)")
    form.add_argument("--target-name", default="", help="name of the restored service (default: that of the backup)")
    form.add_argument("--target-cloud-service", default="", help="its cloud service (default: that of the backup)")
    form.add_argument("--edition", default="", help="its edition (default: that of the backup)")
    form.add_argument("--unit-count", type=_count, default=0, help="its scale units (default: those of the backup)")
    form.add_argument("--replace", action="store_true", help="back up and delete a living service of that name first")
    form.add_argument("--without-safety-backup", action="store_true", help="also when it cannot be backed up")
    form.add_argument(
        "--control-numbers",
        choices=(RAISE, REPORT, EXACT),
        default=RAISE,
        help="what to do about those used since the backup (default: %(default)s)",
    )
    form.add_argument(
        "--margin", type=_count, default=RestoreRequest.margin, help="how far to raise beyond (default: %(default)s)"
    )
    form.add_argument("--resume-afterwards", action="store_true", help="resume the restored service")
    values = parser.add_argument_group("values of the restored service, where not those of the backup are to be used")
    values.add_argument("--tracking-connection-file", type=Path, help="file with the tracking database's")
    values.add_argument("--archive-connection-file", type=Path, help="file with the archiving store's")
    values.add_argument("--monitoring-connection-file", type=Path, help="file with the monitoring store's")
    values.add_argument("--ssl-certificate", type=Path, help="PFX file")
    values.add_argument("--ssl-password-file", type=Path, help="file with its password")
    answers = parser.add_argument_group("what the tracking database answered, as CSV with headings")
    answers.add_argument("--control-numbers-file", type=Path, help="to the control number query, since the backup")
    answers.add_argument("--batches-file", type=Path, help="to the drain query")
    parser.set_defaults(run=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Print the plan.

    :returns: exit code.
    :raises BackupServiceError: there is no such backup, or subscription or catalog do not answer.
    """
    from biztalk_services.cli.world import ShellWorld

    account = storage(arguments)
    with subscription(arguments) as client:
        world = ShellWorld(client, account, arguments)
        reference = world.backup(arguments.service.rpartition("/")[2], arguments.backup)
        made = make_plan(_request(arguments, reference.service, reference.container), reference, world)
    print(json.dumps(made.to_dict(), indent=2) if arguments.json else printable(document(made)))
    return REFUSED if made.objections else POSSIBLE


def _request(arguments: argparse.Namespace, service: str, backup: str) -> RestoreRequest:
    chosen = {name: getattr(arguments, name, None) for name in RestoreRequest.__dataclass_fields__}
    taken = REPLACE if arguments.replace else REFUSE
    return RestoreRequest.from_form({**chosen, "service": service, "backup": backup, "when_name_is_taken": taken})


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count
