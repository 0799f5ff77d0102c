"""The first control numbers after a restore: which show that numbers come again, and how the wait for them ends."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from biztalk_services.flows.first_numbers import Counter, FirstLook
from biztalk_services.flows.waits import Failed, FirstNumbersWait, NumbersUnknownError, Succeeded
from biztalk_services.model.control_numbers import ControlNumberUse, UseReport
from biztalk_services.model.steps import CONFIRMED, NOT_CONFIRMED, UNKNOWN, FirstNumbers
from hypothesis import assume, given
from hypothesis import strategies as st

AGREEMENT, KIND = "Northwind X12 send", "interchange"
SERVICE = "contoso-west/orders"
NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
RAISED = Counter(AGREEMENT, KIND, backup=1300, latest=1318, next=1419)
STARTED_OVER = Counter(AGREEMENT, KIND, backup=990, latest=5, next=106)
LATER = "Look later."


def use(*numbers: int, agreement: str = AGREEMENT) -> ControlNumberUse:
    return ControlNumberUse(agreement, KIND, max(numbers), numbers[-1], len(numbers)) if numbers else used()


def used(highest: int | None = None, latest: int | None = None, count: int = 0) -> ControlNumberUse:
    return ControlNumberUse(AGREEMENT, KIND, highest, latest, count)


def report(*uses: ControlNumberUse, problem: str | None = None) -> UseReport:
    return UseReport(
        uses=tuple(each for each in uses if each.used), source="database", problem=problem, since=NOW, checked_at=NOW
    )


# --- one counter -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "given_out"),
    [
        (RAISED, use()),
        (RAISED, use(1419)),
        (RAISED, use(*range(1419, 1450))),
        (RAISED, use(1500, 1501)),
        (RAISED, use(1419, 1420, 100, 101)),
        (RAISED, used(1420, None, 2)),
        (RAISED, used(None, None, 2)),
        (STARTED_OVER, use(106, 107)),
        (Counter(AGREEMENT, KIND, None, None, None), use(3, 4)),
        (Counter(AGREEMENT, KIND, None, 18, 119), use(119, 120)),
        (Counter(AGREEMENT, KIND, 990, 40, 30), use(30, 31)),
    ],
    ids=[
        "none", "one", "many", "beyond", "starts over", "highest only", "neither", "started over before", "unknown",
        "first ones", "accepted again",
    ],
)  # fmt: skip
def test_nothing_is_wrong(counter, given_out):
    assert counter.alarm(given_out) is None


@pytest.mark.parametrize(
    ("counter", "given_out", "sentence"),
    [
        (RAISED, use(1301), "has given out 1301 again: 1301 to 1318 were used since the backup."),
        (RAISED, use(1301, 1302), "has given out 1301 to 1302 again: 1301 to 1318 were used since the backup."),
        (RAISED, use(*range(1310, 1330)), "has given out 1310 to 1318 again: 1301 to 1318 were used since"),
        (RAISED, use(1319), "has given out 1319, and 1419 was to be the first one."),
        (RAISED, used(1310, None, 2), "has given out 1310 again"),
        (RAISED, used(None, 1310, 2), "has given out 1310 again"),
        (
            STARTED_OVER,
            use(991, 992),
            "has given out 991 to 992 again: those from 991 on, those up to 5 were used since",
        ),
        (STARTED_OVER, use(3, 4), "has given out 3 to 4 again"),
        (
            Counter(AGREEMENT, KIND, None, 18, 119),
            use(1, 2),
            "has given out 1 to 2 again: those up to 18 were used since",
        ),
        (Counter(AGREEMENT, KIND, 4, 30, 997), use(997, 998, 999, 1, 2, 3, 4, 5), "has given out 5 again: 5 to 30"),
        (STARTED_OVER, use(998, 999, 1, 2), "has given out 2, 999 again"),
    ],
)
def test_something_is_wrong(counter, given_out, sentence):
    alarm = counter.alarm(given_out)
    assert alarm.startswith(f"{AGREEMENT} (interchange) {sentence}")


def numbers_after(last: int, count: int, lower: int, size: int) -> list[int]:
    """With start over, as a service gives them out."""
    return [lower + (last + 1 - lower + step) % size for step in range(count)]


@given(
    lower=st.integers(1, 20),
    size=st.integers(3, 60),
    last=st.integers(0, 59),
    count=st.integers(1, 40),
    margin=st.integers(0, 10),
    given_out=st.integers(1, 40),
)
def test_it_alarms_exactly_where_a_used_number_comes_again(lower, size, last, count, margin, given_out):
    """Also where ranges start over: before the restore, behind it, or both."""
    assume(last < size and count + margin + given_out < size)
    used_since = numbers_after(lower + last, count, lower, size)
    first = numbers_after(used_since[-1], margin + 1, lower, size)[-1]
    counter = Counter(AGREEMENT, KIND, lower + last, used_since[-1], first)
    after = numbers_after(first - 1, given_out, lower, size)
    assert not set(after) & set(used_since)
    assert counter.alarm(use(*after)) is None
    wrong = numbers_after(lower + last, given_out, lower, size)
    looks = [use(*wrong[: number + 1]) for number in range(given_out)]
    assert counter.alarm(looks[0])
    assert all(counter.alarm(each) for each in looks if counter.is_told(each))


# --- all of them -----------------------------------------------------------------------------------------------------

COUNTERS = [RAISED, Counter("Fabrikam", KIND, 10, 12, 113)]


def look(*uses: ControlNumberUse, count: int = 2) -> FirstLook:
    return FirstLook.at(COUNTERS, report(*uses), count)


def test_all_are_confirmed():
    found = look(use(1419, 1420), use(113, 114, agreement="fabrikam "))
    assert (found.alarms, found.open) == ((), ())
    assert found.sentence(2, LATER) == (
        "None of the first control numbers was used before: Northwind X12 send (interchange) 1419 to 1420; "
        "Fabrikam (interchange) 113 to 114."
    )


def test_some_are_confirmed():
    assert look(use(1419)).sentence(2, LATER) == (
        "None of the first control numbers was used before: Northwind X12 send (interchange) 1419. Not confirmed, "
        "because fewer than 2 are certain: Northwind X12 send (interchange) 1; Fabrikam (interchange) 0. Look later."
    )


def test_a_counter_that_was_quiet_since_the_backup_is_looked_at_and_not_waited_for():
    quiet = Counter("Fabrikam", KIND, backup=70, latest=None, next=171)
    look = FirstLook.at([RAISED, quiet], report(use(1419, 1420)), 2)
    assert look.open == ()
    again = use(150, agreement="Fabrikam")
    assert "171 was to be the first one" in FirstLook.at([RAISED, quiet], report(use(1419, 1420), again), 2).alarms[0]


def test_none_came():
    assert look().sentence(2, LATER) == "No control number was given out; nothing is confirmed. Look later."


def test_numbers_that_started_over_meanwhile_are_not_confirmed():
    """Those before the start over may be of a whole round before."""
    assert look(use(1419, 1, 2)).open[0] == f"{AGREEMENT} (interchange) 3"


def test_numbers_that_are_not_told_are_not_confirmed():
    assert look(used(None, None, 20)).open == (f"{AGREEMENT} (interchange) 20", "Fabrikam (interchange) 0")


def test_a_long_list_is_cut_off():
    many = [Counter(f"Partner {number}", KIND, 1, 2, 103) for number in range(20)]
    sentence = FirstLook.at(many, report(), 1).open
    assert len(sentence) == 20
    twice = FirstLook.at(many, report(*[use(2, agreement=each.agreement) for each in many]), 1).alarm(SERVICE)
    assert "Partner 11 " in twice
    assert "Partner 12 " not in twice
    assert "and 8 more" in twice


# --- the wait --------------------------------------------------------------------------------------------------------


class Place:
    """Where the wait looks, and what it sees."""

    log = logging.getLogger(__name__)
    ref = SimpleNamespace(name="orders")

    def __init__(self, *reports: UseReport) -> None:
        self.reports = list(reports)
        self.asked: list[tuple[str, datetime]] = []
        self.driver = self

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        self.asked.append((name, since))
        return self.reports.pop(0)


def wait() -> FirstNumbersWait:
    return FirstNumbersWait(SERVICE, [each.to_dict() for each in COUNTERS], NOW.isoformat(), 2, LATER)


def result(ending: Any) -> FirstNumbers:
    assert isinstance(ending, Succeeded)
    return FirstNumbers.from_xcom(ending.value)


def test_it_ends_when_each_counter_has_given_out_enough():
    place = Place(report(), report(use(1419)), report(use(1419, 1420), use(113, 114, agreement="Fabrikam")))
    looking = wait()
    assert [looking.poll(place), looking.poll(place)] == [None, None]
    assert result(looking.poll(place)).result == CONFIRMED
    assert place.asked == [("orders", NOW)] * 3


def test_while_it_waits_it_does_not_sound_as_if_it_had_ended(caplog):
    caplog.set_level(logging.INFO)
    wait().poll(Place(report()))
    assert caplog.messages == ["No control number was given out; nothing is confirmed. The look goes on."]


def test_a_number_that_comes_again_fails_it_at_once():
    ending = wait().poll(Place(report(use(1301))))
    assert isinstance(ending, Failed)
    assert ending.message.startswith(
        f"Control numbers come twice from service {SERVICE}: {AGREEMENT} (interchange) has given out 1301 again: 1301 "
        "to 1318 were used since the backup. Suspend the service at once, tell the partners which numbers came twice"
    )


def test_at_its_deadline_it_says_what_is_not_confirmed():
    looking = wait()
    looking.poll(Place(report(use(1419))))
    found = result(looking.on_timeout("2026"))
    assert found.result == NOT_CONFIRMED
    assert "Fabrikam (interchange) 0" in found.sentence


def test_what_is_unknown_is_an_error_and_never_none():
    looking = wait()
    looking.poll(Place(report(use(1419))))
    with pytest.raises(NumbersUnknownError, match="are unknown; at least 1: It is locked") as caught:
        looking.poll(Place(report(use(1301), problem="It is locked.")))
    assert caught.value.advice == "retry"
    found = result(looking.on_poll_errors(caught.value))
    assert found.result == UNKNOWN
    assert "It is locked" in found.sentence
    assert "Before that: None of the first control numbers was used before" in found.sentence
