"""The server's certificate: another host name, outside its validity period, replaced between requests."""

from __future__ import annotations

import pytest
from biztalk_services.model.errors import ServerNotTrustedError
from biztalk_services.model.service import ServiceRef

from tests.wire.pki import DAY, identity
from tests.wire.samples import REQUEST_ID, cloud_service, fleet, resource
from tests.wire.scripted_server import ScriptedServer, response

ORDERS = ServiceRef("contoso-west", "orders")
FLEET = response(200, fleet(cloud_service(resource())), Connection="close")
ACCEPTED = response(202, x_ms_request_id=REQUEST_ID)


@pytest.mark.parametrize("change", [True, False])
def test_certificate_of_another_host(connect, server, pauses, change):
    server.script = [ACCEPTED]
    client = connect(server.port, host="localhost")
    with pytest.raises(ServerNotTrustedError, match="localhost") as caught:
        client.suspend(ORDERS, client_request_id="n") if change else client.list_services()
    assert (caught.value.advice, server.requests) == ("stop", [])


@pytest.mark.parametrize(("begins", "ends"), [(-9 * DAY, -DAY), (DAY, 9 * DAY)])
def test_certificate_outside_its_validity_period(connect, ca, ca_file, tmp_path, pauses, begins, ends):
    with ScriptedServer(identity("server", ca, begins=begins, ends=ends), ca_file, tmp_path) as server:
        server.script = [ACCEPTED]
        with pytest.raises(ServerNotTrustedError, match=r"expired|not yet valid"):
            connect(server.port).suspend(ORDERS, client_request_id="n")
        assert server.requests == []


def test_certificate_renewed_between_requests(connect, server, ca, tmp_path):
    server.script = [FLEET]
    client = connect(server.port)
    assert client.list_services()
    server.present(identity("server", ca))
    assert client.list_services()
    assert len(server.requests) == 2


def test_certificate_replaced_by_an_untrusted_one(connect, server):
    server.script = [FLEET]
    client = connect(server.port)
    assert client.list_services()
    server.present(identity("server", identity("Another CA")))
    with pytest.raises(ServerNotTrustedError, match="ca_bundle"):
        client.suspend(ORDERS, client_request_id="n")
    assert len(server.requests) == 1
