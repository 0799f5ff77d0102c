"""The operator that checks what a backup and a restore need to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow.sdk import BaseOperator, Context

from biztalk_services.flows.check_connections import ConnectionChecks
from biztalk_services.flows.check_document import lines_of, summary_of
from biztalk_services.flows.check_queries import ConnectionsWrongError
from biztalk_services.model.finding import Finding
from biztalk_services.provider.base import failure_pushed
from biztalk_services.provider.configured import configured


class CheckConnectionsOperator(BaseOperator):
    """Checks storage, alerts, the connection to each subscription, and for each service its queries and whether it can
    be read what it holds.

    XCom ``return_value``: a list of :class:`biztalk_services.model.finding.Finding`; XCom ``report``: the same as text.
    Both are pushed before the task is failed, after everything was checked, when something is wrong.

    **Idempotency:** only reads, but for a probe in the storage.

    :param services: the services, in a list or separated by blanks, each as ``name``, ``scope/name`` or
        ``connection/scope/name``; empty: all that the configuration includes
    :param problems: sentences about options that are bad, so that their defaults are used
    """

    template_fields: Sequence[str] = ("services",)

    def __init__(self, *, services: Sequence[str] | str = (), problems: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.services = services
        self.problems = list(problems)

    def execute(self, context: Context) -> None:
        with failure_pushed(context):
            self._check(context)

    def _check(self, context: Context) -> None:
        named = self.services.split() if isinstance(self.services, str) else self.services
        found: list[Finding] = []
        text: list[str] = []
        for finding in ConnectionChecks(replace(configured(), problems=tuple(self.problems)), named).findings():
            found.append(finding)
            for line in lines_of(finding):
                text.append(line)
                (self.log.error if finding.is_wrong else self.log.info)("%s", line)
        summary = summary_of(found)
        ti = context["ti"]
        ti.xcom_push(key="return_value", value=[finding.to_dict() for finding in found])
        ti.xcom_push(key="report", value="\n".join([*text, "", summary]))
        if any(finding.is_wrong for finding in found):
            raise ConnectionsWrongError(summary)
        self.log.info("%s", summary)
