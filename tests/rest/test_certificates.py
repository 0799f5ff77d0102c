"""The server's certificate: another name, out of its dates, another one in mid-run."""

from __future__ import annotations

import pytest
from biztalk_services.model.errors import ServerNotTrustedError
from biztalk_services.model.service import ServiceRef

from tests.rest.pki import DAY, identity
from tests.rest.samples import REQUEST_ID, cloud_service, fleet, resource
from tests.rest.scripted_server import ScriptedServer, answer

ORDERS = ServiceRef("contoso-west", "orders")
FLEET = answer(200, fleet(cloud_service(resource())), Connection="close")
ACCEPTED = answer(202, x_ms_request_id=REQUEST_ID)


@pytest.mark.parametrize("change", [True, False])
def test_of_another_host(connect, server, pauses, change):
    server.script = [ACCEPTED]
    client = connect(server.port, host="localhost")
    with pytest.raises(ServerNotTrustedError, match="localhost") as caught:
        client.suspend(ORDERS, client_request_id="n") if change else client.list_services()
    assert (caught.value.advice, server.asked) == ("stop", [])


@pytest.mark.parametrize(("begins", "ends"), [(-9 * DAY, -DAY), (DAY, 9 * DAY)])
def test_out_of_its_dates(connect, ca, ca_file, tmp_path, pauses, begins, ends):
    with ScriptedServer(identity("server", ca, begins=begins, ends=ends), ca_file, tmp_path) as server:
        server.script = [ACCEPTED]
        with pytest.raises(ServerNotTrustedError, match=r"expired|not yet valid"):
            connect(server.port).suspend(ORDERS, client_request_id="n")
        assert server.asked == []


def test_renewed_in_mid_run(connect, server, ca, tmp_path):
    server.script = [FLEET]
    client = connect(server.port)
    assert client.list_services()
    server.present(identity("server", ca))
    assert client.list_services()
    assert len(server.asked) == 2


def test_replaced_in_mid_run_by_one_that_nobody_trusts(connect, server):
    server.script = [FLEET]
    client = connect(server.port)
    assert client.list_services()
    server.present(identity("server", identity("Another CA")))
    with pytest.raises(ServerNotTrustedError, match="ca_bundle"):
        client.suspend(ORDERS, client_request_id="n")
    assert len(server.asked) == 1
