"""The last step of a watchdog whose options are bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from biztalk_services.provider.alerts import FirstFailureNotifier
from biztalk_services.provider.misconfigured import refuse_bad_options


class RefuseBadOptionsOperator(BaseOperator):
    """Fails with the sentences about bad options, after the work was done with their defaults; alerts once an hour.

    **Idempotency:** does nothing.

    :param problems: the sentences, at least one
    :param subject: what they belong to (``the watchdog over suspended services``)
    """

    def __init__(self, *, problems: Sequence[str], subject: str, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        kwargs.setdefault(
            "on_failure_callback",
            FirstFailureNotifier(subject=f"Options of {subject} are bad; it works with defaults. {' '.join(problems)}"),
        )
        super().__init__(**kwargs)
        self.problems = list(problems)
        self.subject = subject

    def execute(self, context: Context) -> None:
        refuse_bad_options(self.problems, f"the options of {self.subject}, which has worked with defaults")
