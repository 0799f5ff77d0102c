"""Changes requested from an Airflow whose SQLite does not support two at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from stack import airflow_api
from stack.airflow_api import CHANGE_TRIES, AirflowApi
from stack.ports import HOST


class Airflow(ThreadingHTTPServer):
    """Responds to everything with an object; records the highest number of concurrent changes.

    ``seconds`` is how long a change takes, unless the test lets it end; ``locked``, how many of the first changes find
    the database locked.
    """

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.seconds = 0.0
        self.locked = 0
        self.changes = 0
        self.most_at_once = 0
        self.end_one = threading.Semaphore(0)
        self._at_once = 0
        self._lock = threading.Lock()

    def change(self) -> int:
        """The status of the response to a change."""
        with self._lock:
            self._at_once += 1
            self.changes += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            refused = self.changes <= self.locked
        self.end_one.acquire(timeout=self.seconds)
        with self._lock:
            self._at_once -= 1
        return requests.codes.server_error if refused else requests.codes.ok


class _Handler(BaseHTTPRequestHandler):
    server: Airflow

    def do_GET(self) -> None:
        self._send(requests.codes.ok)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(self.server.change())

    def _send(self, status: int) -> None:
        body = json.dumps({"access_token": "made-up", "dag_run_id": "one"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setattr(airflow_api, "POLL_SECONDS", 0)
    with Airflow() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def api(server: Airflow) -> AirflowApi:
    return AirflowApi(f"http://{HOST}:{server.server_port}")


def test_threads_that_share_it_change_one_after_another(api, server):
    server.seconds = 0.3
    with ThreadPoolExecutor(3) as threads:
        runs = list(threads.map(lambda _: api.trigger("a_dag"), range(3)))
    assert (runs, server.changes, server.most_at_once) == (["one"] * 3, 3, 1)


def test_a_change_does_not_block_reads(api, server):
    server.seconds = 60
    assert api.get("/dags") is not None
    with ThreadPoolExecutor(1) as threads:
        change = threads.submit(api.trigger, "a_dag")
        while not server.changes:
            api.get("/dags")
        api.get("/dags")
        assert not change.done()
        server.end_one.release()
        assert change.result() == "one"


def test_a_change_refused_by_the_lock_is_requested_again(api, server):
    server.locked = CHANGE_TRIES - 1
    assert api.trigger("a_dag") == "one"
    assert server.changes == CHANGE_TRIES


def test_a_lock_that_stays_is_reported(api, server):
    server.locked = CHANGE_TRIES
    with pytest.raises(requests.HTTPError, match="500"):
        api.trigger("a_dag")
    assert server.changes == CHANGE_TRIES
