"""Operators of the watchdog over services that runs of this project have left suspended."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.watchdog import Watch, find_suspensions
from biztalk_services.model.steps import FoundSuspension
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.base import SubscriptionOperator, most_mapped, request_id, run_of, run_state
from biztalk_services.provider.hook import driver_for

_MOST_CHECKED = 500
"""How many suspensions one run of the watchdog checks: it ends within its minutes."""


class _WatchdogOperator(SubscriptionOperator):
    """
    :param grace_minutes: how much longer than its deadline an active run may take
    """

    def __init__(self, *, grace_minutes: float = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if grace_minutes < 0:
            raise ValueError(f"grace_minutes is {grace_minutes}; it is 0 or more.")
        self.grace = timedelta(minutes=grace_minutes)


class FindSuspensionsOperator(_WatchdogOperator):
    """Finds the suspensions of the subscriptions that have to be checked: those with an open record, except the ones
    whose run is active and has time left.

    XCom: a :class:`biztalk_services.model.steps.FoundSuspension` for each, ready to expand a task.

    **Idempotency:** only reads.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        ti = context["ti"]
        found, count = find_suspensions(
            self.drivers(),
            self.open_archive(),
            lambda run: run_state(ti, run),
            self.grace,
            most=most_mapped(_MOST_CHECKED),
        )
        self.log.info("%d open suspension records, %d to be checked", count, len(found))
        return [each.to_xcom() for each in found]


class CheckSuspensionOperator(_WatchdogOperator):
    """Checks one suspension, and does what is to be done: leaves it, requests a resumption, or closes the record. It
    waits for nothing: the next run of the watchdog sees the result.

    Fails when a person has to check the service, also when an earlier resumption did not succeed and another one was
    requested. The first resumption, the return, and at most once an hour a failure are alerted.

    XCom: :class:`biztalk_services.model.steps.SuspensionDecision`.

    **Idempotency:** checks the service before it requests anything; the service refuses a second resumption while one
    is under way.

    :param found: one entry of what :class:`FindSuspensionsOperator` found
    """

    template_fields = (*_WatchdogOperator.template_fields, "found")

    def __init__(self, *, found: Any, **kwargs: Any) -> None:
        kwargs.setdefault("map_index_template", "{{ (task.found['record'] or {}).get('service', 'unreadable') }}")
        super().__init__(**kwargs)
        self.found = found

    def execute(self, context: Context) -> dict[str, Any]:
        ti = context["ti"]
        found = FoundSuspension.from_xcom(self.found)
        watch = Watch(
            cache(lambda: driver_for(found.conn_id or self.conn_id)),
            self.open_archive().suspensions,
            by=str(run_of(ti)),
            request_id=request_id(ti, "resume"),
            grace=self.grace,
            alert=lambda sentence: AlertNotifier(subject=sentence).notify(context),
        )
        decision = watch.check(found)
        self.log.info("%s: %s, because %s.", decision.service, decision.action, decision.why)
        return decision.to_xcom()
