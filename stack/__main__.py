"""`python -m stack <command>`: the demo stack, below `.local` of this checkout."""

from __future__ import annotations

import argparse
import sys

import requests

from stack import Ports, Stack, StackError
from stack.backup import run_backup
from stack.layouts import DISTRIBUTED, LOCAL
from stack.parts import ROOT
from stack.restore import run_restore
from stack.status import show_status

HOME = ROOT / ".local"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack", description="The embedded BizTalk Services backup stack.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (help_text, _) in COMMANDS.items():
        commands.add_parser(name, help=help_text)
    command = parser.parse_args().command
    try:
        running = Stack(HOME, Ports()).latest_start()
        ports = Ports.from_environment(default=running.ports if running else None)
        layout = running.layout if running else LOCAL
        stack = Stack(HOME, ports, layout=DISTRIBUTED if command == "up-distributed" else layout)
        return COMMANDS[command][1](stack)
    except StackError as error:
        print(error, file=sys.stderr)
    except requests.RequestException as error:
        print(
            f"A part of the stack does not respond ({error}); check `make status` and {HOME / 'logs'}.",
            file=sys.stderr,
        )
    except KeyboardInterrupt:
        print("Interrupted. What was started goes on; `make status` shows it and `make down` ends it.", file=sys.stderr)
        return 130
    return 1


def up(stack: Stack) -> int:
    stack.start(print_line)
    print_line(f"Airflow is at {stack.url} (no login, this machine only). `make down` ends the stack.")
    return 0


def down(stack: Stack) -> int:
    ended = [name for name, process in stack.running().items() if process]
    stack.stop()
    print_line(f"Ended {', '.join(ended)}." if ended else "Nothing was running.")
    return 0


def status(stack: Stack) -> int:
    return show_status(stack)


def backup(stack: Stack) -> int:
    stack.start(print_line)
    try:
        return run_backup(stack)
    finally:
        print_line(
            f"\nThe stack stays up: Airflow is at {stack.url} (no login, this machine only). `make down` ends it."
        )


def restore(stack: Stack) -> int:
    stack.start(print_line)
    return run_restore(stack)


def print_line(text: str) -> None:
    print(text, flush=True)


COMMANDS = {
    "up": ("start what does not run and wait until it is ready", up),
    "up-distributed": ("the same with Airflow on PostgreSQL and Redis, with two Celery workers", up),
    "down": ("end what this checkout has started, and nothing else", down),
    "status": ("show each part: running or not, since when, where", status),
    "restore": ("restore a sample service to its own name, show how it went", restore),
    "backup": ("start the stack, back the sample fleet up once, show how it went", backup),
}

if __name__ == "__main__":
    sys.exit(main())
