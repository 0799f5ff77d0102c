"""The bare script stops when something fails, and waits with a limit."""

from __future__ import annotations

import pytest
import requests

from bench import bare_script


class Session:
    """Returns the responses to reads one after another, the last of them repeatedly; ``puts`` are those to PUTs. Every
    request has to have a timeout."""

    def __init__(self, *responses):
        self._responses = list(responses)
        self.sent = []
        self.puts = []

    def post(self, url, *, timeout, **_):
        self.sent.append(url.partition("?comp=")[2])
        return self._response("")

    def get(self, url, *, timeout):
        return self._response(self._responses.pop(0) if len(self._responses) > 1 else self._responses[0])

    def delete(self, url, *, timeout):
        self.sent.append(f"delete {url}")
        return self._response("")

    def put(self, url, *, data, headers, timeout):
        self.sent.append(f"restore {url}")
        self.headers = headers
        return self._response(self.puts.pop(0))

    def _response(self, text):
        response = requests.Response()
        response.status_code, response._content = (text, b"") if isinstance(text, int) else (200, text.encode())
        response.headers["x-ms-request-id"] = "an-id"
        return response


def state(name):
    return f"<Resource><SubState>{name}</SubState></Resource>"


def result(name):
    return f"<OperationStatus><Result>{name}</Result></OperationStatus>"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(bare_script, "POLL_SECONDS", 0)


def back_up(session):
    bare_script.back_up(session, "https://127.0.0.1/contoso", "a connection string", "a-name")


def test_suspend_back_up_resume():
    session = Session(
        state("Suspending"), state("Suspended"), result("InProgress"), result("Succeeded"), state("Active")
    )
    back_up(session)
    assert session.sent == ["suspend", "backup", "resume"]


@pytest.mark.parametrize(
    ("responses", "sent"),
    [
        ([state("SuspendedFailed")], ["suspend"]),
        ([state("Suspended"), result("Failed")], ["suspend", "backup"]),
        ([state("Suspended"), result("Succeeded"), state("ResumeFailed")], ["suspend", "backup", "resume"]),
    ],
)
def test_a_failure_ends_the_script(responses, sent):
    session = Session(*responses)
    with pytest.raises(RuntimeError, match=r"wait for \w+ failed: the state is \w*Failed"):
        back_up(session)
    assert session.sent == sent


def test_a_wait_has_a_limit(monkeypatch):
    monkeypatch.setattr(bare_script, "WAIT_SECONDS", 0)
    with pytest.raises(RuntimeError, match="still Suspending"):
        back_up(Session(state("Suspending")))


GONE = 404
SERVICE_URL = "https://127.0.0.1/~/biztalk/contoso"
BACKED_UP = (state("Suspended"), result("Succeeded"))


def restore(session):
    bare_script.restore(session, SERVICE_URL, "a connection string", "the-safety-backup", "the-backup")


def test_a_restore_is_requested_until_the_name_is_free():
    session = Session(*BACKED_UP, state("Deleting"), GONE, state("Restoring"), state("Suspended"), state("Active"))
    session.puts = [409, 409, 202]
    restore(session)
    resource = "https://127.0.0.1/biztalk/contoso"
    requested = [f"restore {resource}"] * 3
    assert session.sent == ["suspend", "backup", f"delete {resource}", *requested, "resume"]
    assert session.headers["x-ms-client-request-id"]


def test_a_restore_that_fails_is_not_resumed():
    session = Session(*BACKED_UP, GONE, state("RestoreFailed"))
    session.puts = [202]
    with pytest.raises(RuntimeError, match="RestoreFailed"):
        restore(session)
    assert "resume" not in session.sent


def test_a_restore_that_is_refused_ends_the_script():
    session = Session(*BACKED_UP, GONE)
    session.puts = [400]
    with pytest.raises(requests.HTTPError):
        restore(session)
