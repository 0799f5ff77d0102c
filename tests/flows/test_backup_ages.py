"""Which services have no recent backup, and what is alerted of it: with fake drivers and a fake archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.archive.errors import StorageRefusedError, StorageUnreachableError
from biztalk_services.flows.backup_ages import (
    ALERT_AGAIN,
    ALL_RECENT,
    CLOCK_TOLERANCE,
    NAMED,
    AgeCheck,
    Findings,
    alert_when_due,
    backup_age,
    due_alert,
    keep_index,
)
from biztalk_services.flows.expected import ExpectedBackups
from biztalk_services.model.backup import BackupReference, InvalidReferenceError
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import AgeAlert
from biztalk_services.model.service import Phase, Service, ServiceKey, ServiceRef
from biztalk_services.model.steps import BackupAge

from tests.archive.samples import reference

NOW = datetime(2026, 1, 3, 2, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
SUBSCRIPTION = reference().subscription_id


def service(name: str, scope: str = "contoso", has_backups: bool | None = True) -> Service:
    return Service(ServiceRef(scope, name), "Active", Phase.RUNNING, has_backups=has_backups)


def key(name: str, scope: str = "contoso", subscription_id: str = SUBSCRIPTION) -> ServiceKey:
    return ServiceKey(subscription_id, ServiceRef(scope, name))


def backup(name: str = "orders", hours: float = 1, **changes: Any) -> BackupReference:
    record = reference(f"{name}-{hours:g}".replace(".", "-"), service=name, scope="contoso")
    return replace(record, **{"finished_at": NOW - hours * HOUR} | changes)


@dataclass
class FakeDriver:
    """A subscription."""

    services: list[Service] = field(default_factory=list)
    subscription_id: str = SUBSCRIPTION
    unread: tuple[str, ...] = ()

    def drain_source(self, name: str) -> None: ...

    def list_services(self, on_unread: Callable[[str], None]) -> list[Service]:
        for sentence in self.unread:
            on_unread(sentence)
        return self.services


@dataclass
class FakeArchive:
    """Catalog and age records in one. A backup that is an error cannot be read; a list that is one neither."""

    backups: dict[ServiceKey, Any] = field(default_factory=dict)
    seen: dict[ServiceKey, datetime] = field(default_factory=dict)
    alerts: list[AgeAlert] = field(default_factory=list)
    broken: Exception | None = None
    tidied: int = 0

    @property
    def catalog(self) -> FakeArchive:
        return self

    backup_ages = catalog

    def newest_first(self, service: ServiceKey, *, on_invalid: Any) -> Any:
        found = self.backups.get(service, [])
        if isinstance(found, Exception):
            raise found
        for each in found:
            if isinstance(each, Exception):
                on_invalid(each)
            else:
                yield each

    def tidy(self) -> None:
        self.tidied += 1
        if self.broken:
            raise self.broken

    def note_first_seen(self, service: ServiceKey, now: datetime) -> datetime:
        return self.seen.setdefault(service, now)

    def newest_alert(self, airflow: str, now: datetime) -> AgeAlert | None:
        if self.broken:
            raise self.broken
        return self.alerts[-1] if self.alerts else None

    def record_alert(self, airflow: str, alert: AgeAlert) -> None:
        if self.broken:
            raise self.broken
        self.alerts.append(alert)


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def check(archive) -> Callable[..., Findings]:
    """One check of some subscriptions, by the names of their connections; one that is an error cannot be opened."""

    def once(*drivers: Any, hours: str = "30", includes: Any = lambda address: True, now: datetime = NOW) -> Findings:
        def opened(driver: Any) -> Any:
            if isinstance(driver, Exception):
                raise driver
            return driver

        subscriptions = {f"conn{number}": lambda each=each: opened(each) for number, each in enumerate(drivers)}
        return AgeCheck(subscriptions, archive, ExpectedBackups.parse(hours), includes, now).findings()

    return once


def overdue(found: Findings) -> list[str]:
    return [each.service for each in found.overdue]


@pytest.mark.parametrize(
    ("age", "is_overdue"), [(29 * HOUR, False), (30 * HOUR, False), (30 * HOUR + SECOND, True), (9000 * HOUR, True)]
)
def test_a_backup_may_be_as_old_as_allowed(age, is_overdue, check, archive):
    archive.backups[key("orders")] = [backup(finished_at=NOW - age)]
    found = check(FakeDriver([service("orders")]))
    (each,) = found.ages
    assert (each.overdue, each.age_seconds) == (is_overdue, age.total_seconds())
    assert (each.backup, each.allowed_seconds) == ("backups/orders-1", 30 * 3600)
    assert found.problems == {}


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("30", ["contoso/billing"]),
        ("30 billing=72", []),
        ("30 b*=never", []),
        ("4", ["contoso/billing", "contoso/orders"]),
        ("never orders=3", ["contoso/orders"]),
    ],
)
def test_each_service_has_its_own_interval(hours, expected, check, archive):
    archive.backups = {key("orders"): [backup(hours=5)], key("billing"): [backup("billing", hours=40)]}
    assert overdue(check(FakeDriver([service("orders"), service("billing")]), hours=hours)) == expected


def test_what_is_not_expected_is_not_read(check, archive):
    archive.backups = {key(name): StorageRefusedError("No.") for name in ("free", "excluded", "scratch")}
    archive.backups[key("orders")] = [backup()]
    services = [service("free", has_backups=False), service("excluded"), service("scratch"), service("orders")]
    found = check(
        FakeDriver(services), hours="30 scratch=never", includes=lambda address: not address.endswith("/excluded")
    )
    assert [each.service for each in found.ages] == ["contoso/orders"]
    assert found.names == ()
    assert found.sentences == []


def test_an_edition_that_is_not_known_is_expected(check, archive):
    archive.seen[key("orders")] = NOW - 31 * HOUR
    assert overdue(check(FakeDriver([service("orders", has_backups=None)]))) == ["contoso/orders"]


@pytest.mark.parametrize(("kind", "counts"), [("nightly", 1), ("manual", 1), ("safety", 1), ("drill", 0)])
def test_the_kinds_that_count(kind, counts, check, archive):
    archive.backups[key("orders")] = [backup(hours=1, kind=kind), backup(hours=2)]
    (age,) = check(FakeDriver([service("orders")])).ages
    assert age.age_seconds == (3600 if counts else 7200)


class TestWithoutBackup:
    def test_it_is_waited_for_from_when_it_was_first_seen(self, check, archive):
        driver = FakeDriver([service("orders")])
        for hours, is_overdue in ((0, False), (30, False), (30.1, True), (500, True)):
            (age,) = check(driver, now=NOW + hours * HOUR).ages
            assert (age.overdue, age.backup, age.first_seen_at) == (is_overdue, None, NOW)
        assert archive.seen == {key("orders"): NOW}

    def test_only_a_backup_counts_once_there_is_one(self, check, archive):
        archive.seen[key("orders")] = NOW - 500 * HOUR
        archive.backups[key("orders")] = [backup()]
        (age,) = check(FakeDriver([service("orders")])).ages
        assert (age.overdue, age.first_seen_at) == (False, None)

    def test_one_that_has_only_unreadable_backups_has_none(self, check, archive):
        archive.seen[key("orders")] = NOW - 31 * HOUR
        archive.backups[key("orders")] = [InvalidReferenceError("It is not JSON.")]
        found = check(FakeDriver([service("orders")]))
        assert overdue(found) == ["contoso/orders"]
        assert "It is not JSON." in found.summary()

    def test_a_first_time_in_the_future_is_told(self, check, archive):
        archive.seen[key("orders")] = NOW + HOUR
        found = check(FakeDriver([service("orders")]))
        assert found.names
        assert "first seen at 2026-01-03 03:00 UTC. That is in the future" in found.summary()


class TestClocks:
    def test_a_backup_from_the_future_does_not_count(self, check, archive):
        future = backup("orders", hours=-24 * 365)
        archive.backups[key("orders")] = [future, backup(hours=40)]
        found = check(FakeDriver([service("orders")]))
        assert overdue(found) == ["contoso/orders"]
        assert f"Backup {future.place} of service contoso/orders" in found.summary()
        assert "was finished at 2027-01-03 02:00 UTC. That is in the future" in found.summary()

    def test_it_does_not_hide_a_recent_one(self, check, archive):
        archive.backups[key("orders")] = [backup(hours=-2), backup(hours=1)]
        found = check(FakeDriver([service("orders")]))
        assert overdue(found) == []
        assert found.names

    def test_a_clock_that_is_a_little_ahead_does_no_harm(self, check, archive):
        archive.backups[key("orders")] = [backup(finished_at=NOW + CLOCK_TOLERANCE)]
        found = check(FakeDriver([service("orders")]))
        assert found.names == ()
        assert found.ages[0].age_seconds == 0


class TestOneOddItem:
    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (BackupServiceError("The certificate is not known."), "The certificate is not known."),
            (KeyError("password=geheim"), "(KeyError)"),
        ],
    )
    def test_a_subscription_that_cannot_be_listed(self, error, told, check, archive):
        archive.seen[key("billing", subscription_id="other")] = NOW - 40 * HOUR
        found = check(error, FakeDriver([service("billing")], "other"))
        assert overdue(found) == ["contoso/billing"]
        assert list(found.problems) == ["connection conn0"]
        assert "The services of connection conn0 cannot be listed." in found.summary()
        assert told in found.summary()
        assert "geheim" not in found.summary()

    def test_an_entry_of_the_list_that_cannot_be_read(self, check, archive):
        found = check(FakeDriver([service("orders")], unread=("Service billing cannot be read.",)))
        assert [each.service for each in found.ages] == ["contoso/orders"]
        assert found.sentences == ["Service billing cannot be read."]

    def test_a_record_that_cannot_be_read_does_not_count(self, check, archive):
        archive.backups = {
            key("orders"): [InvalidReferenceError("a.json is not JSON."), backup(hours=40)],
            key("billing"): [backup("billing")],
        }
        found = check(FakeDriver([service("orders"), service("billing")]))
        assert overdue(found) == ["contoso/orders"]
        assert len(found.ages) == 2
        assert "a.json is not JSON." in found.sentences

    def test_a_service_whose_backups_cannot_be_listed(self, check, archive):
        archive.backups = {key("orders"): StorageRefusedError("The lease."), key("billing"): [backup("billing")]}
        found = check(FakeDriver([service("orders"), service("billing")]))
        assert [each.service for each in found.ages] == ["contoso/billing"]
        assert "contoso/orders" in found.summary()
        assert "cannot be read. The lease." in found.summary()

    @pytest.mark.parametrize("count", [1, 2, 500])
    def test_an_archive_that_is_gone_is_an_error_at_once(self, count, check, archive):
        services = [service(f"orders{number}") for number in range(count)]
        tried: list[ServiceKey] = []

        def gone(service: ServiceKey, *, on_invalid: Any) -> Any:
            tried.append(service)
            raise StorageUnreachableError("Gone.")

        archive.newest_first = gone
        with pytest.raises(StorageUnreachableError):
            check(FakeDriver(services))
        assert len(tried) == min(count, 3)

    @pytest.mark.parametrize("broken", [None, StorageUnreachableError("Gone.")])
    def test_the_index_of_the_catalog_is_kept_and_concerns_no_backup(self, broken, archive):
        archive.broken = broken
        keep_index(archive)
        assert archive.tidied == 1

    def test_an_archive_that_goes_meanwhile(self, check, archive):
        archive.backups = {key(f"s{number}"): StorageUnreachableError("Gone.") for number in range(1, 500)}
        archive.backups[key("s0")] = [backup("s0", hours=40)]
        found = check(FakeDriver([service(f"s{number}") for number in range(500)]))
        assert overdue(found) == ["contoso/s0"]
        assert "496 more services were not checked. Gone." in found.sentences


class TestNeverSilentlyNone:
    def test_a_subscription_without_services(self, check, archive):
        archive.backups[key("orders")] = [backup()]
        found = check(FakeDriver([], "empty"), FakeDriver([service("orders")]))
        assert len(found.ages) == 1
        assert "The subscription of connection conn0 has no service" in found.summary()

    @pytest.mark.parametrize(
        ("how", "counts"),
        [
            ({"includes": lambda address: False}, "leave 0 of them, 0 of those"),
            ({"hours": "never"}, "leave 2 of them, 1 of those"),
            ({"hours": "30 *=never"}, "leave 2 of them, 1 of those"),
            ({"includes": lambda address: address.endswith("/free")}, "leave 1 of them, 0 of those"),
        ],
    )
    def test_options_that_leave_no_service(self, how, counts, check):
        found = check(FakeDriver([service("orders"), service("free", has_backups=False)]), **how)
        assert found.ages == []
        (sentence,) = found.sentences
        assert sentence.startswith("No backup is expected of any service")
        assert counts in sentence

    def test_no_subscription_at_all(self, check):
        assert check().names


def test_services_of_one_name_are_told_apart(check, archive):
    archive.backups[key("orders", "north")] = [backup()]
    archive.seen = dict.fromkeys(
        [key("orders", "south"), key("orders", "north", "other"), key("orders", "south", "other")], NOW - 31 * HOUR
    )
    services = [service("orders", "north"), service("orders", "south")]
    found = check(FakeDriver(services), FakeDriver(services, "other"))
    assert len(found.ages) == 4
    missed = {(each.subscription_id, each.service) for each in found.overdue}
    assert missed == {(SUBSCRIPTION, "south/orders"), ("other", "north/orders"), ("other", "south/orders")}
    assert "south/orders of subscription other: no backup since" in found.summary()


def test_two_connections_to_one_subscription_count_once(check, archive):
    archive.backups[key("orders")] = [backup()]
    found = check(FakeDriver([service("orders")]), FakeDriver([service("ORDERS", "Contoso")], SUBSCRIPTION.upper()))
    assert len(found.ages) == 1


def test_a_fleet_is_summed_up():
    found = Findings([age(f"s{number:03}", hours=31 + number) for number in range(300)])
    for number in range(40):
        found.add_problem(f"p{number}", f"Problem {number}.")
    text = found.summary()
    assert text.startswith("300 services have no verified backup that is recent enough: contoso/s299: last backup")
    assert "; and 290 more." in text
    assert text.endswith("There are 30 more problems; the log of the task has all.")
    assert text.count("contoso/") == text.count("Problem ") == NAMED
    assert len(found.sentences) == 41
    assert found.sentences[0].count("contoso/") == 300


def test_the_sentence_on_a_service():
    assert Findings([age(hours=33.5)]).summary() == (
        "1 service has no verified backup that is recent enough: contoso/orders: last backup 2026-01-01 16:30 UTC, "
        "33 h 30 min ago, 30 h 0 min allowed."
    )


def age(name: str = "orders", hours: float = 31, allowed: timedelta = 30 * HOUR) -> BackupAge:
    return backup_age(key(name), backup(name, hours), None, allowed, NOW)


def delivered(sent: list[Any], alert: Any) -> bool:
    sent.append(alert)
    return True


class TestAlerts:
    """Found at ``NOW``, unless something else is said."""

    OVERDUE = Findings([age()])

    def last(self, found: Findings, ago: timedelta = timedelta()) -> AgeAlert:
        return AgeAlert(NOW - ago, found.names, "")

    def test_nothing_is_alerted_while_all_is_well(self):
        assert due_alert(Findings([age(hours=1)]), None, NOW) is None

    def test_the_first_finding_is(self):
        assert due_alert(self.OVERDUE, None, NOW) == self.OVERDUE.summary()
        assert due_alert(self.OVERDUE, self.last(Findings()), NOW) == self.OVERDUE.summary()

    def test_once_a_day_while_it_lasts(self):
        assert due_alert(self.OVERDUE, self.last(self.OVERDUE, ALERT_AGAIN - SECOND), NOW) is None
        assert due_alert(self.OVERDUE, self.last(self.OVERDUE, ALERT_AGAIN), NOW)

    def test_another_service_is_new(self):
        more = Findings([age(), age("billing")])
        assert "contoso/billing" in due_alert(more, self.last(self.OVERDUE), NOW)
        assert due_alert(self.OVERDUE, self.last(more), NOW) is None

    def test_a_service_that_is_overdue_again_is_new(self):
        assert due_alert(Findings([age(hours=32)]), self.last(self.OVERDUE), NOW)

    def test_a_problem_is_as_new_as_an_overdue_backup(self):
        found = Findings()
        found.add_problem("connection a", "It failed at 02:00.")
        again = Findings()
        again.add_problem("connection a", "It failed at 02:15.")
        assert due_alert(found, None, NOW) == "It failed at 02:00."
        assert due_alert(again, self.last(found), NOW) is None

    def test_the_end_of_it_is_alerted_once(self):
        well = Findings([age(hours=1)])
        assert due_alert(well, self.last(self.OVERDUE), NOW) == ALL_RECENT
        assert due_alert(well, self.last(well), NOW) is None

    def test_a_week_of_checks(self, archive):
        sent: list[tuple[int, str]] = []
        for quarter in range(7 * 24 * 4):
            now = NOW + quarter * HOUR / 4
            is_overdue = 24 * 4 <= quarter < 4 * 24 * 4
            found = Findings([replace(age(), overdue=is_overdue)])
            alert_when_due(
                found, archive, airflow="a", now=now, send=lambda text, at=quarter: delivered(sent, (at, text))
            )
        assert [at for at, _ in sent] == [96, 192, 288, 384]
        assert [text == ALL_RECENT for _, text in sent] == [False, False, False, True]

    def test_one_that_is_not_delivered_is_sent_again(self, archive):
        sent: list[str] = []
        answers = iter([False, True])
        for _ in range(3):
            alert_when_due(
                self.OVERDUE, archive, airflow="a", now=NOW, send=lambda text: delivered(sent, text) and next(answers)
            )
        assert len(sent) == 2

    def test_where_it_cannot_be_recorded_it_is_alerted(self, archive):
        archive.broken = StorageRefusedError("No.")
        sent: list[str] = []
        for _ in range(2):
            alert_when_due(self.OVERDUE, archive, airflow="a", now=NOW, send=lambda text: delivered(sent, text))
        assert len(sent) == 2
        alert_when_due(Findings(), archive, airflow="a", now=NOW, send=lambda text: delivered(sent, text))
        assert len(sent) == 2


def test_an_age_passes_through_xcom():
    for each in (age(), backup_age(key("orders"), None, NOW - HOUR, HOUR, NOW)):
        assert BackupAge.from_xcom(each.to_xcom()) == each
