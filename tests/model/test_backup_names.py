"""Names of backups, fit for a container."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from biztalk_services.model.backup import backup_name, is_backup_name, moment_in_name
from biztalk_services.model.service import ServiceKey, ServiceRef
from hypothesis import given
from hypothesis import strategies as st

CONTAINER_RULE = re.compile(r"^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$")


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "Orders", "a--b", "-ab", "ab-", "a_b", "a.b", "a b", "äbc", "abc\n", "٣٣٣"]
)
def test_names_that_no_container_can_have(name):
    assert not is_backup_name(name)


@pytest.mark.parametrize("name", ["abc", "123", "backup-2012-21-02", "a" * 63])
def test_names_that_a_container_can_have(name):
    assert is_backup_name(name)


AT = datetime(2026, 1, 1, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
ID = "5f3c1a52"
PART = st.from_regex(r"[._-]*[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True).filter(lambda text: len(text) <= 64)


def key(address: str, subscription_id: str = ID) -> ServiceKey:
    return ServiceKey(subscription_id, ServiceRef.parse(address))


@given(PART, PART, st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 1), timezones=st.timezones()))
def test_every_backup_name_is_a_container_name(scope, name, at):
    service = ServiceKey(ID, ServiceRef(scope, name))
    named = backup_name(service, at)
    assert CONTAINER_RULE.match(named)
    assert moment_in_name(named) == (f"{at.astimezone(UTC):%Y%m%d-%H%M%S}", service.digest)


def test_the_backup_name_has_service_and_utc_time():
    service = key("west/Contoso_EDI.Orders")
    assert backup_name(service, AT) == f"contoso-edi-orders-20260101-010405-{service.digest}"
    with pytest.raises(ValueError, match="time zone"):
        backup_name(service, datetime(2026, 1, 1))


def test_services_of_one_name_have_names_of_their_own():
    services = [key("west/orders"), key("east/orders"), key("west/orders", "0b51"), key("west/orders2")]
    assert len({backup_name(each, AT) for each in services}) == len({each.digest for each in services}) == 4


def test_a_service_is_the_same_in_capital_letters():
    assert key("West/ORDERS", ID.upper()) == key("west/orders")
    assert backup_name(key("West/ORDERS", ID.upper()), AT) == backup_name(key("west/orders"), AT)
    assert len({key("West/ORDERS"), key("west/orders")}) == 1


@pytest.mark.parametrize("one", [key("we/st-orders", "5f3c"), key("we/st", "5f3c"), key("5f3c/st", "we")])
@pytest.mark.parametrize("other", [key("we-st/orders", "5f3c"), key("st/we", "5f3c"), key("we/st", "we")])
def test_parts_of_a_key_do_not_run_into_each_other(one, other):
    assert one != other
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders-20260101-010405", ("20260101-010405", None)),
        ("orders-20260101-010405-0a1b2c", ("20260101-010405", "0a1b2c")),
        ("20260101-010405-20270101-010405-0a1b2c", ("20270101-010405", "0a1b2c")),
        ("orders-20260101-010405-before-the-move", None),
        ("orders-2026", None),
        ("orders", None),
    ],
)
def test_the_moment_in_a_name(name, expected):
    assert moment_in_name(name) == expected
