"""`make restore`: a restore without a click, on the stack that `make backup` left running.

Traffic goes on after the backup; a sample service is restored to its own name; the plan is shown and approved; traffic
goes on while the run looks at the first control numbers; then the differences, the control numbers, what the look
confirmed and the numbers that partners received twice are printed.
"""

from __future__ import annotations

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from stack.errors import StackError
from stack.progress import Progress
from stack.stack import Stack
from stack.steps import ACTIVE, current_steps, failed_tasks
from stack.watch import follow, require_startable

DAG_ID = "biztalk_restore"
SERVICE = "contosoorders"
MESSAGES = 3
"""Sent through each agreement before the restore."""

FIRST_INTERCHANGES = 20
"""Sent through each agreement after it: as many as the run looks at (default of the option `first_numbers`)."""

POLLS_BEFORE_APPROVAL = 3
"""Number of polls, one a second, that find the approval requested before it is given."""

FORM = {
    "service": SERVICE,
    "existing_service_policy": "replace",
    "control_numbers": "raise",
    "resume_afterwards": True,
}


def run_restore(stack: Stack) -> int:
    """Restore the sample service and print its progress; returns the exit code, 0 only when there is no shortcoming.

    Raises `StackError` when there is no backup, or the run cannot be started or not be followed to its end.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    airflow = stack.airflow
    require_startable(airflow, DAG_ID)
    state = next((each["state"] for each in stack.emulator.services() if each["name"] == SERVICE), None)
    if state != "Active":
        raise StackError(
            f"Service {SERVICE} is {state or 'not there'}, so it cannot be restored here; run `make backup` first."
        )

    known = stack.emulator.duplicates(SERVICE)
    sent = _send_traffic(stack, MESSAGES)
    console.print(f"After its backup {SERVICE} has passed on {sent} more messages, which used control numbers.")
    run_id = airflow.trigger(DAG_ID, FORM)
    console.print(f"Run {run_id} of {DAG_ID}", soft_wrap=True)
    watcher = _Watcher(stack, console, run_id)
    with Progress(console) as progress:
        outcome = follow(airflow, DAG_ID, run_id, lambda instances: watcher.show(progress, instances))

    report = airflow.xcom(DAG_ID, run_id, "report") or {}
    faults = []
    if outcome != "success":
        failed = failed_tasks(airflow.task_instances(DAG_ID, run_id))
        faults.append(
            f"The run ended as {outcome} at {', '.join(failed) or 'no task'}: {report.get('reason') or 'see its log'}"
        )
    else:
        after = watcher.sent or stack.emulator.send_interchanges(SERVICE, FIRST_INTERCHANGES)
        console.print(f"\nAfter the restore {SERVICE} has passed on {after} interchanges.")
        console.print(f"First control numbers: {report['first_numbers']['result']}.")
        console.print(report["first_numbers"]["sentence"], soft_wrap=True)
        console.print("\nDifferences between the restored service and its backup:")
        console.print("\n".join(report["differences"]) or "none", soft_wrap=True)
        console.print("\nControl numbers:")
        console.print(numbers_table(report["numbers"]))
        faults += [f"Different: {sentence}" for sentence in report["differences"]]
        faults += (
            [] if report["numbers"] else ["No control number was advanced, though messages were sent after the backup."]
        )
    faults += _shortcomings(stack, known)
    if faults:
        console.print("\n" + "\n".join(faults), style="red", soft_wrap=True)
        return 1
    console.print(
        f"\n{report['backup']} is restored as {report['service']}: nothing is different, no partner got a number "
        f"twice, and it is Active. Approved by {report['approved_by']}.",
        style="green",
        soft_wrap=True,
    )
    return 0


class _Watcher:
    """Shows the run, approves its plan when the approval is requested, and sends traffic when it looks at the first
    control numbers.

    :param sent: how many interchanges it has sent.
    """

    def __init__(self, stack: Stack, console: Console, run_id: str) -> None:
        self._stack = stack
        self._console = console
        self._run_id = run_id
        self._approved, self._polls = 0, 0
        self.sent = 0

    def show(self, progress: Progress, instances: list[dict]) -> None:
        progress.show(current_steps(instances, whole_run=SERVICE))
        if not self.sent and _instance(instances, "first_numbers").get("state") in ACTIVE:
            self.sent = self._stack.emulator.send_interchanges(SERVICE, FIRST_INTERCHANGES)
        approval = _instance(instances, "approval")
        if approval.get("state") != "awaiting_input" or approval["try_number"] == self._approved:
            return
        # Airflow 3.3 may lose a response that arrives just when the task begins to wait, and requests it again.
        self._polls += 1
        if self._polls >= POLLS_BEFORE_APPROVAL:
            plan = self._stack.airflow.xcom(DAG_ID, self._run_id, "plan", "document")
            self._console.print(Markdown(plan))
            self._console.print("\nApproving this plan, as a person would who has read it.\n")
            self._stack.airflow.approve(DAG_ID, self._run_id, "approval")
            self._approved, self._polls = approval["try_number"], 0


def numbers_table(rows: list[dict]) -> Table:
    """The control numbers of a restore: what the backup had, what was used since, what comes next."""
    table = Table(box=None, pad_edge=False)
    for heading in ("agreement", "kind", "last of the backup", "highest used since", "next"):
        table.add_column(heading, justify="left" if heading in ("agreement", "kind") else "right")
    for row in rows:
        cells = (row["agreement"], row["kind"], row["backup"], row["highest"], row["next"])
        table.add_row(*(Text("unknown" if cell is None else str(cell)) for cell in cells))
    return table


def _instance(instances: list[dict], task_id: str) -> dict:
    return next((each for each in instances if each["task_id"] == task_id), {})


def _send_traffic(stack: Stack, messages: int) -> int:
    """Send messages through every agreement that numbers them and has no batches, which would collect them.

    :param messages: through each of them.
    :returns: how many in all.
    """
    service = stack.emulator.service(SERVICE)
    agreements = [
        each["Name"]
        for each in service["content"]["agreements"]
        if each["Protocol"] != "AS2" and not each.get("Batches")
    ]
    for agreement in agreements:
        stack.emulator.send(SERVICE, agreement, messages)
    return messages * len(agreements)


def _shortcomings(stack: Stack, known: list[dict]) -> list[str]:
    """Why the restore is no success by the emulator's records, one sentence each.

    :param known: control numbers that partners had received twice before it.
    """
    state = next((each["state"] for each in stack.emulator.services() if each["name"] == SERVICE), "gone")
    found = [] if state == "Active" else [f"{SERVICE} is {state} by the emulator's record; it should be Active."]
    return found + [
        f"A partner got a control number twice: {each['agreement']} {each['kind']} {each['number']}."
        for each in stack.emulator.duplicates(SERVICE)
        if each not in known
    ]
