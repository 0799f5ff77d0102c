"""The lines of a file that `python -m chaos --record` writes and `python -m chaos.table` reads."""

from __future__ import annotations

import json

from chaos.runner import Outcome


def record_line(outcome: Outcome, stack: str, seed: int) -> str:
    """
    Return an outcome as one line of JSON.

    :param stack: name of the layout of Airflow
    :param seed: seed of the matrix
    """
    cell = outcome.cell
    # The keys differ from the names of the attributes, so that files recorded earlier stay readable.
    return json.dumps(
        {
            "stack": stack,
            "seed": seed,
            "verdict": outcome.verdict,
            "cell": {"job": cell.job, "step": cell.step, "moment": cell.moment, "victim": cell.target},
            "met": outcome.injected,
            "green": outcome.green,
            "wrong": outcome.violations,
        }
        | ({"reason": outcome.reason} if outcome.reason else {})
    )
