"""What is shown of a service's connection strings: what they lead to, and no part of a password."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from biztalk_services.drivers.biztalk.connection_strings import TRACKING, shown, tracking_database
from biztalk_services.drivers.biztalk.values import same_thing
from biztalk_services.drivers.biztalk.wire.messages import parse_list, parse_services, parse_xml
from biztalk_services.model.connection_strings import join, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import cloud_service, fleet, resource

LEAK = 'Data Source=sql.example;Initial Catalog=Tracking;Password="ab;Database=geheim;c"'
PASSWORDS = st.lists(
    st.sampled_from(["geheim", ";Database=geheim", ";BlobEndpoint=geheim", "\"", "'", "=", " ", "Server=geheim"]),
    min_size=1,
).map("".join)  # fmt: skip


@given(
    password=PASSWORDS,
    key=st.sampled_from(["Password", "pwd", "AccountKey", "Something New"]),
    quote=st.sampled_from("'\""),
)
def test_no_part_of_a_secret_is_shown(password, key, quote):
    public = {"Data Source": "sql.example", "Initial Catalog": "Tracking"}
    for written in (join({key: password}), f"{key}={quote}{password.replace(quote, quote * 2)}{quote}"):
        for text in (f"{join(public)};{written}", f"{written};{join(public)}"):
            assert shown(text) == join(public)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LEAK, "Data Source=sql.example;Initial Catalog=Tracking"),
        (LEAK.replace('"', "'"), "Data Source=sql.example;Initial Catalog=Tracking"),
        ("Password='it''s;Server=geheim';Server=a b", 'Server="a b"'),
        ("AccountName=a;AccountKey=geheim==;BlobEndpoint=https://me:geheim@b/?sig=geheim", "AccountName=a;BlobEndpoint=https://b/"),
        ('Password="geheim;Server=geheim', ""),
        ("geheim", ""),
    ],
)  # fmt: skip
def test_what_is_shown(text, expected):
    assert shown(text) == expected
    sample = resource().replace("</ServiceSettings>", f"<{TRACKING}>{escape(text)}</{TRACKING}></ServiceSettings>")
    (service,) = parse_services(parse_list(parse_xml(fleet(cloud_service(sample)).encode())), pytest.fail)
    assert service.settings[TRACKING] == expected
    assert "geheim" not in repr(service)


def test_quoted_values_lead_to_the_same():
    quoted = "Server='tcp:sql.example,1433';Database=\"Tracking\";Password=';'"
    assert tracking_database({TRACKING: quoted}) == "sql.example/tracking"
    assert same_thing(TRACKING, quoted, "Data Source=sql.example;Initial Catalog=tracking")
    assert same_thing("ArchiveStoreConnectionString", "AccountName='Abc'", "accountname=abc;BlobEndpoint=https://x/")
    assert not same_thing(TRACKING, LEAK, "Data Source=sql.example;Initial Catalog=geheim")
    assert parse(shown(quoted))["server"] == "tcp:sql.example,1433"
