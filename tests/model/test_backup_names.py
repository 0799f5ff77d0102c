"""Names of backups, fit for a container."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from biztalk_services.model.backup import backup_name, is_backup_name
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


@given(st.text(max_size=80), st.datetimes(timezones=st.timezones(), max_value=datetime(9999, 12, 1)))
def test_every_backup_name_is_a_container_name(name, at):
    assert CONTAINER_RULE.match(backup_name(name, at))


def test_the_backup_name_has_service_and_utc_time():
    at = datetime(2026, 1, 1, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert backup_name("Contoso_EDI.Orders", at) == "contoso-edi-orders-20260101-010405"
    assert backup_name("_", at) == "service-20260101-010405"
    with pytest.raises(ValueError, match="time zone"):
        backup_name("orders", datetime(2026, 1, 1))
