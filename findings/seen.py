"""What the scripts of this folder share in Python: a small REST client, and how they tell what they have seen."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any

COULD_NOT_BE_SEEN = 2


def _not_seen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error of a script is no change of what it looks at."""
    traceback.print_exception(kind, error, trace)
    sys.stdout.flush()
    os._exit(COULD_NOT_BE_SEEN)


sys.excepthook = _not_seen


def as_stated(holds: bool, changed: str) -> None:
    """End with 1 and the sentence `changed` when what this folder states no longer holds."""
    if not holds:
        print(f"CHANGED: {changed}", flush=True)
        sys.exit(1)


def show(*words: Any) -> None:
    print(*words, flush=True)


def wait_for(what: str, look: Callable[[], Any], seconds: float = 90) -> Any:
    """What `look` answers, as soon as it is something; end with 2 when it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := look():
            return answer
        time.sleep(0.3)
    print(f"Could not be seen: {what} did not happen within {seconds:.0f} s.", file=sys.stderr)
    sys.exit(COULD_NOT_BE_SEEN)


class Airflow:
    """The REST API of the Airflow that lib.bash has started."""

    def __init__(self) -> None:
        self.url = f"{os.environ['AIRFLOW__API__BASE_URL']}/api/v2/"

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """HTTP status and answer; 0 when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            return error.code, json.loads(text) if text.startswith(("{", "[")) else text
        except OSError:
            return 0, None

    def get(self, path: str) -> Any:
        status, answer = self.call("GET", path)
        return answer if status == 200 else None

    def wait_until_healthy(self) -> None:
        def healthy() -> bool:
            health = self.get("monitor/health") or {}
            parts = ("metadatabase", "scheduler", "dag_processor")
            return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

        wait_for("a healthy Airflow", healthy)

    def start(self, dag: str, **body: Any) -> str:
        """Start a run, as soon as the DAG is known, and tell its id."""
        wait_for(f"the parsing of {dag}", lambda: self.get(f"dags/{dag}"))
        status, answer = self.call("POST", f"dags/{dag}/dagRuns", {"logical_date": None, **body})
        if status != 200:
            print(f"Could not be seen: the run of {dag} was refused ({status}, {answer}).", file=sys.stderr)
            sys.exit(COULD_NOT_BE_SEEN)
        return answer["dag_run_id"]

    def end_of(self, dag: str, run: str) -> str:
        """Wait until a run has ended, and tell how."""

        def state() -> str | None:
            state = (self.get(f"dags/{dag}/dagRuns/{run}") or {}).get("state")
            return state if state in ("success", "failed") else None

        return wait_for(f"the end of {dag}", state)

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        listed = (self.get(f"dags/{dag}/dagRuns/{run}/taskInstances") or {}).get("task_instances", ())
        return {task["task_id"]: task for task in listed}

    def states(self, dag: str, run: str) -> dict[str, str]:
        return {name: task["state"] for name, task in sorted(self.tasks(dag, run).items())}

    def run_to_its_end(self, dag: str, **body: Any) -> tuple[str, dict[str, str]]:
        """How a run has ended, and its tasks."""
        run = self.start(dag, **body)
        return self.end_of(dag, run), self.states(dag, run)

    def xcom(self, dag: str, run: str, task: str, key: str = "return_value") -> Any:
        """What a task has pushed; None when it has not."""
        answer = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}?stringify=false")
        return None if answer is None else answer["value"]
