"""The queries of docs/edi.md on real servers by real drivers, for each type of column that it names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.tracking.queries import problem_of_control_number_query, problem_of_drain_query
from biztalk_services.model.control_numbers import EVER, ControlNumberUse

from tests.databases.conftest import Database
from tests.databases.documented import CHAPTERS, DOCUMENT, documented
from tests.databases.tables import COUNTS, MESSAGES, MOMENTS, NUMBERS, PREFIXED, SINCE, Number, statements
from tests.databases.ways import WAYS

COLUMNS = [
    pytest.param(way, kind, column, id=f"{way.name}-{column.declared}-{column.written.__name__.strip('_')}")
    for way in WAYS
    for kind, columns in MOMENTS[way.database].items()
    for column in columns
]


def expected(numbers: list[Number], since: datetime) -> dict[tuple[str, str], ControlNumberUse]:
    """What a right answer says, by agreement and kind."""
    seen: dict[tuple[str, str], ControlNumberUse] = {}
    for agreement, kind, number, at, service in numbers:
        if service == "ContosoOrders" and at >= since:
            before = seen.get((agreement, kind), ControlNumberUse(agreement, kind))
            highest = max(number, before.highest or 0)
            seen[agreement, kind] = ControlNumberUse(agreement, kind, highest, number, before.used + 1, at)
    return seen


@pytest.mark.parametrize(("way", "kind", "column"), COLUMNS, indirect=["way"])
class TestEachTypeOfColumn:
    @pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS)
    def test_control_numbers(self, database: Database, kind, column, count):
        database.run(*statements(column, count))
        tracking = database.tracking(control_number_query=database.documented.numbers_for(kind))

        report = tracking.control_numbers_since(SINCE)

        assert report.problem is None
        assert {(use.agreement, use.kind): use for use in report.uses} == expected(NUMBERS, SINCE)
        assert {(use.agreement, use.kind): use for use in report.ever} == expected(NUMBERS, EVER)

    def test_batches(self, database: Database, kind, column):
        database.run(*statements(column, COUNTS["bigint"]))

        status = database.tracking(drain_query=database.documented.drain_for(kind)).drain_status()

        assert status.answer == "active"
        assert [(each.agreement, each.batch, each.messages, each.oldest) for each in status.batches] == [
            ("ContosoRetail", "Hourly", 2, MESSAGES[0].at),
            ("NorthwindEDI", "50% off", 1, None),
        ]

    def test_nothing_in_the_tables(self, database: Database, kind, column):
        database.run(*statements(column, COUNTS["bigint"]), "DELETE FROM batch_messages", "DELETE FROM sent_numbers")
        documented = database.documented
        tracking = database.tracking(documented.drain_for(kind), documented.numbers_for(kind))

        report = tracking.control_numbers_since(SINCE)

        assert (report.uses, report.ever, report.problem) == ((), (), None)
        assert tracking.drain_status().answer == "empty"

    def test_a_number_without_its_time_counts(self, database: Database, kind, column):
        database.run(*statements(column, COUNTS["text"]), "UPDATE sent_numbers SET logged_at = NULL WHERE id = 3")

        tracking = database.tracking(control_number_query=database.documented.numbers_for(kind))
        use = tracking.control_numbers_since(SINCE).use_of("ContosoRetail", "interchange")

        assert use.used == 8


LOCAL = [
    pytest.param(way, kind, column, id=way.name)
    for way in WAYS
    for kind, (column, *_) in MOMENTS[way.database].items()
    if "local time" in kind
]


@pytest.mark.parametrize(("way", "kind", "column"), LOCAL, indirect=["way"])
@pytest.mark.parametrize(
    ("since", "at"),
    [
        pytest.param(datetime(2024, 11, 3, 7, 10, tzinfo=UTC), datetime(2024, 11, 3, 7, 30, tzinfo=UTC), id="autumn"),
        pytest.param(datetime(2024, 3, 10, 7, 10, tzinfo=UTC), datetime(2024, 3, 10, 7, 30, tzinfo=UTC), id="spring"),
        pytest.param(datetime(2024, 3, 10, 7, 50, tzinfo=UTC), datetime(2024, 3, 10, 8, 10, tzinfo=UTC), id="after it"),
    ],
)
def test_a_number_used_while_clocks_change_is_counted(database: Database, kind, column, since, at):
    numbers = [Number("A", "group", 7, since - timedelta(hours=3)), Number("A", "group", 8, at)]
    database.run(*statements(column, COUNTS["bigint"], numbers))

    report = database.tracking(control_number_query=database.documented.numbers_for(kind)).control_numbers_since(since)

    assert report.problem is None
    assert report.use_of("A", "group") == ControlNumberUse("A", "group", 8, 8, 1, at)


def test_numbers_with_a_prefix(database: Database):
    (column, *_), *_ = MOMENTS[database.way.database].values()
    database.run(
        *statements(column, COUNTS["padded"]),
        f"UPDATE sent_numbers SET control_number = {PREFIXED[database.way.database]}",
    )
    digits = "SUBSTRING(control_number, 4, 20)"
    assert f"`{digits}`" in DOCUMENT.read_text()
    sql = database.documented.numbers.replace("control_number", digits)

    report = database.tracking(control_number_query=sql).control_numbers_since(SINCE)

    assert {(use.agreement, use.kind): use for use in report.uses} == expected(NUMBERS, SINCE)


def test_the_default_queries(database: Database):
    """They are for the emulator's schema, wherever it is copied to."""
    numbers = [
        f"('{number}', {number}, '{at:%Y-%m-%dT%H:%M:%S.%f}Z', '{agreement}', '{kind}', {number}, 'generated')"
        for agreement, kind, number, at, service in NUMBERS
        if service != "other" and number < 2**31
    ]
    database.run(
        "DROP TABLE IF EXISTS batch_events",
        "DROP TABLE IF EXISTS control_number_events",
        "CREATE TABLE batch_events (occurred_at varchar(40), agreement varchar(80), event varchar(20), "
        "batch varchar(80), message_id varchar(40))",
        "CREATE TABLE control_number_events (event_id varchar(40), position int, occurred_at varchar(40), "
        "agreement varchar(80), kind varchar(20), number int, direction varchar(20))",
        "INSERT INTO batch_events VALUES ('2024-11-24T23:00:00.000000Z', 'A', 'entered', 'Hourly', 'm1'), "
        "('2024-11-24T23:00:00.000000Z', 'A', 'entered', 'Hourly', 'm2'), "
        "('2024-11-24T23:30:00.000000Z', 'A', 'released', 'Hourly', 'm2')",
        f"INSERT INTO control_number_events VALUES {', '.join(numbers)}",
    )

    report, status = database.tracking().control_numbers_since(SINCE), database.tracking().drain_status()

    assert report.problem is None
    use = report.use_of("ContosoRetail", "interchange")
    assert use == expected(NUMBERS, SINCE)["ContosoRetail", "interchange"]
    assert [(each.batch, each.messages) for each in status.batches] == [("Hourly", 1)]


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_rules_are_kept(name):
    documented_ones = documented(name)
    for kind in documented_ones.moments:
        assert problem_of_drain_query(documented_ones.drain_for(kind)) is None
        assert problem_of_control_number_query(documented_ones.numbers_for(kind)) is None


def test_the_driver_is_the_one_that_is_meant(database: Database):
    with pytest.raises(Exception, match="nowhere") as error:
        database.query("SELECT a FROM nowhere")
    assert type(error.value).__module__.startswith(database.way.module)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_documented_type_is_tried(way):
    assert list(MOMENTS[way.database]) == list(documented(way.database).moments)
