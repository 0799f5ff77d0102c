"""What a form asks for."""

from __future__ import annotations

import json

import pytest
from biztalk_services.model.requests import RAISE, REFUSE, RestoreRequest


def test_what_the_form_leaves_empty_has_its_default():
    nothing = dict.fromkeys(RestoreRequest.__dataclass_fields__)
    empty = dict.fromkeys(RestoreRequest.__dataclass_fields__, "  ")
    for form in ({}, nothing, empty):
        request = RestoreRequest.from_form({**form, "service": "orders"})
        assert request == RestoreRequest(service="orders")
    assert (request.existing_service_policy, request.control_numbers, request.margin) == (REFUSE, RAISE, 100)


@pytest.mark.parametrize("form", [{}, {"service": None}, {"service": ""}, {"service": " "}])
def test_a_service_has_to_be_named(form):
    with pytest.raises(TypeError, match="service"):
        RestoreRequest.from_form(form)


def test_everything_that_the_form_says_counts():
    form = {
        "service": " orders ",
        "backup": "orders-20260101-020000\n",
        "target_name": "orders2",
        "target_scope": "contoso-east",
        "edition": "premium",
        "unit_count": 3,
        "acs_conn_id": "a",
        "tracking_conn_id": "b",
        "archive_conn_id": "c",
        "monitoring_conn_id": "d",
        "certificate_conn_id": "e",
        "existing_service_policy": "replace",
        "without_safety_backup": True,
        "control_numbers": "exact",
        "margin": 0,
        "resume_afterwards": True,
    }
    request = RestoreRequest.from_form(form | {"plan_only": False, "mood": "good"})
    assert request.to_dict() == form | {"service": "orders", "backup": "orders-20260101-020000"}
    assert RestoreRequest(**json.loads(json.dumps(request.to_dict()))) == request
