"""The choices of a restore, out of a form."""

from __future__ import annotations

import json

import pytest
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.model.errors import InvalidRequestError
from biztalk_services.model.plain import from_plain, to_plain
from biztalk_services.model.requests import RAISE, REFUSE, RestoreRequest


def test_what_the_form_leaves_empty_has_its_default():
    names = (*RestoreRequest.__dataclass_fields__, *INFO.overrides)
    for form in ({}, dict.fromkeys(names), dict.fromkeys(names, "  ")):
        request = RestoreRequest.from_form({**form, "service": "orders"}, INFO.overrides)
        assert request == RestoreRequest(service="orders")
    assert (request.existing_service_policy, request.control_numbers, request.margin) == (REFUSE, RAISE, 100)


@pytest.mark.parametrize("form", [{}, {"service": None}, {"service": ""}, {"service": " "}])
def test_a_service_has_to_be_named(form):
    with pytest.raises(InvalidRequestError, match="service"):
        RestoreRequest.from_form(form)


def test_everything_in_the_form_counts():
    overrides = {
        "edition": "premium",
        "unit_count": 3,
        "acs_conn_id": "a",
        "tracking_conn_id": "b",
        "archive_conn_id": "c",
        "monitoring_conn_id": "d",
        "certificate_conn_id": "e",
    }
    form = {
        "service": " orders ",
        "backup": "orders-20260101-020000\n",
        "target_name": "orders2",
        "target_scope": "contoso-east",
        "existing_service_policy": "replace",
        "without_safety_backup": True,
        "control_numbers": "exact",
        "margin": 0,
        "resume_afterwards": True,
    }
    request = RestoreRequest.from_form(form | overrides | {"plan_only": False, "mood": "good"}, INFO.overrides)
    stripped = form | {"service": "orders", "backup": "orders-20260101-020000"}
    assert to_plain(request) == stripped | {"overrides": overrides}
    assert from_plain(RestoreRequest, json.loads(json.dumps(to_plain(request)))) == request
    assert {name: request.override(name) for name in INFO.overrides} == overrides


def test_overrides_that_the_driver_does_not_have_are_left_out():
    request = RestoreRequest.from_form({"service": "orders", "acs_conn_id": "a", "edition": "basic"}, ("edition",))
    assert request.overrides == {"edition": "basic"}
    assert request.override("acs_conn_id") is None
