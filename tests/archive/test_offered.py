"""Which backups the form of a restore offers, out of a real catalog."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from biztalk_services.flows.offered import newest_backups

from tests.archive.samples import reference


def test_the_newest_of_each_service_without_safety_backups(archive):
    published = reference()
    day = timedelta(days=1)

    def taken(service: str, days: int, kind: str = "nightly") -> str:
        container = f"{service}-2026030{days}-020000"
        archive.catalog.publish(
            replace(
                published,
                service=service,
                container=container,
                kind=kind,
                finished_at=published.finished_at + days * day,
            )
        )
        return container

    taken("orders", 1)
    orders = taken("orders", 2)
    taken("orders", 4, "safety")
    billing = taken("billing", 3, "manual")
    taken("billing", 1)
    assert newest_backups(archive) == [billing, orders]
