"""One service of a list that cannot be read hides no other one, whatever kind of service it is."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.base import Driver
from biztalk_services.model.errors import ServiceNotFoundError, UnexpectedResponseError
from biztalk_services.model.service import ServiceRef

from tests.drivers.exported.driver import RegisterDriver, Shop
from tests.drivers.self_writing.driver import Rack, RelayDriver


def registers() -> tuple[Driver, str]:
    shop = Shop()
    for name in ("one", "two", "three"):
        shop.add(name)
    shop.registers["two"]["state"] = "?"
    return RegisterDriver(shop, "sub"), "shop"


def relays() -> tuple[Driver, str]:
    rack = Rack()
    for name in ("one", "two", "three"):
        rack.add(name)
    rack.relays["two"]["state"] = "?"
    return RelayDriver(rack, "sub"), "rack"


@pytest.mark.parametrize("make", [registers, relays])
def test_one_odd_entry_hides_no_other(make, caplog):
    driver, scope = make()
    told: list[str] = []
    assert [each.ref.name for each in driver.list_services(told.append)] == ["one", "three"]
    assert len(told) == 1
    assert f"{scope}/two cannot be read" in told[0]
    assert caplog.text == ""
    assert len(driver.list_services()) == 2
    assert told[0] in caplog.text


@pytest.mark.parametrize("make", [registers, relays])
def test_an_odd_entry_is_not_an_absent_one(make):
    driver, scope = make()
    with pytest.raises(UnexpectedResponseError):
        driver.get_service(ServiceRef(scope, "two"))
    with pytest.raises(ServiceNotFoundError):
        driver.get_service(ServiceRef(scope, "four"))
