"""`make restore` from the traffic to its exit code, with responses as of Airflow and the emulator."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from stack.errors import StackError
from stack.restore import SERVICE, run_restore

ROW = {"agreement": "Northwind X12 send", "kind": "interchange", "backup": None, "highest": 1318, "next": 1419}
TWICE = {"agreement": "Northwind X12 send", "kind": "interchange", "number": "000001318", "times": 2}
REPORT = {
    "backup": "account/contosoorders-20261125-020000",
    "service": "contoso-west-us/contosoorders",
    "differences": [],
    "numbers": [ROW],
    "first_numbers": {"result": "confirmed", "sentence": "None of the first control numbers was used before: 1419."},
    "approved_by": "ada",
    "reason": "Nothing failed.",
}
AGREEMENTS = [
    {"Name": "Northwind X12 send", "Protocol": "X12", "Batches": []},
    {"Name": "Fabrikam X12 send", "Protocol": "X12", "Batches": [{"Name": "by ten"}]},
    {"Name": "Fabrikam AS2 send", "Protocol": "AS2"},
]


def instance(task_id: str, state: str) -> dict:
    return {
        "task_id": task_id,
        "map_index": -1,
        "state": state,
        "start_date": None,
        "rendered_map_index": None,
        "try_number": 1,
    }


class Airflow:
    """Runs the restore within a few polls, in which it waits for a person."""

    url = "http://127.0.0.1:1"

    def __init__(self, report: dict, state: str = "success", paused: bool = False, look: str = "deferred") -> None:
        self.report, self.state, self.paused, self.look = report, state, paused, look
        self.approved: list[str] = []
        self.forms: list[dict] = []
        self._polls = iter(["running"] * 4 + [state])

    def wait_for_dag(self, dag_id: str) -> None: ...

    def get(self, path: str) -> dict:
        return {"is_paused": self.paused}

    def trigger(self, dag_id: str, form: dict) -> str:
        self.forms.append(form)
        return "run-1"

    def run(self, dag_id: str, run_id: str) -> dict:
        return {"state": next(self._polls)}

    def healthy(self) -> bool:
        return True

    def task_instances(self, dag_id: str, run_id: str) -> list[dict]:
        waits = "success" if self.approved else "awaiting_input"
        return [
            instance("approval", waits),
            instance("first_numbers", self.look),
            instance("report", "failed" if self.state == "failed" else "success"),
        ]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value"):
        return "## The plan\n\nof this restore" if key == "document" else self.report

    def approve(self, dag_id: str, run_id: str, task_id: str) -> None:
        self.approved.append(task_id)


class Emulator:
    def __init__(self, states: list[str], duplicates: list[list[dict]]) -> None:
        self._states, self._duplicates = iter(states), iter(duplicates)
        self.sent: list[tuple[str, int]] = []

    def services(self) -> list[dict]:
        return [{"name": SERVICE, "state": next(self._states)}]

    def service(self, name: str) -> dict:
        return {"content": {"agreements": AGREEMENTS}}

    def send(self, service: str, agreement: str, messages: int) -> None:
        self.sent.append((agreement, messages))

    def send_interchanges(self, service: str, count: int) -> int:
        self.sent.append(("each", count))
        return count

    def duplicates(self, service: str) -> list[dict]:
        return next(self._duplicates)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("stack.watch.POLL_SECONDS", 0)


def restored(report=None, states=("Active", "Active"), duplicates=((), ()), **airflow) -> tuple[int, SimpleNamespace]:
    stack = SimpleNamespace(
        airflow=Airflow(report or REPORT, **airflow),
        emulator=Emulator(list(states), [list(each) for each in duplicates]),
    )
    return run_restore(stack), stack


def test_a_good_run_shows_and_approves_the_plan_and_exits_0(capsys):
    code, stack = restored()
    output = capsys.readouterr().out
    assert code == 0
    assert stack.airflow.approved == ["approval"]
    assert stack.airflow.forms[0]["existing_service_policy"] == "replace"
    assert output.index("of this restore") < output.index("Approving this plan")
    assert "none" in output
    assert "1419" in output
    assert "First control numbers: confirmed." in output
    assert "Approved by ada." in output


@pytest.mark.parametrize("look", ["deferred", "skipped"])
def test_traffic_before_and_after_the_restore(look, capsys):
    """Before it, through agreements without batches; after it, through each: while the run looks, or then."""
    _, stack = restored(look=look)
    assert stack.emulator.sent == [("Northwind X12 send", 3), ("each", 20)]
    assert "has passed on 20 interchanges" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"state": "failed", "report": REPORT | {"reason": "The name is not free."}}, "The name is not free."),
        ({"report": REPORT | {"differences": ["Partner Fabrikam was removed."]}}, "Partner Fabrikam was removed."),
        ({"report": REPORT | {"numbers": []}}, "No control number was advanced"),
        ({"states": ("Active", "Suspended")}, "is Suspended by the emulator's record"),
        (
            {"duplicates": ((), (TWICE,))},
            "A partner got a control number twice: Northwind X12 send interchange 000001318.",
        ),
    ],
    ids=["failed", "different", "not advanced", "suspended", "twice"],
)
def test_a_shortcoming_is_printed_and_ends_with_one(how, sentence, capsys):
    code, _ = restored(**how)
    assert code == 1
    assert sentence in " ".join(capsys.readouterr().out.split())


def test_numbers_received_twice_before_are_no_shortcoming():
    assert restored(duplicates=((TWICE,), (TWICE,)))[0] == 0


def test_a_service_that_is_not_active_is_refused_at_once():
    with pytest.raises(StackError, match="contosoorders is Suspended"):
        restored(states=("Suspended",))


def test_a_paused_dag_is_refused():
    with pytest.raises(StackError, match="biztalk_restore is paused"):
        restored(paused=True)
