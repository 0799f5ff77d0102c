import pytest
from biztalk_emulator.business.control_numbers import check_range, draw, write
from biztalk_emulator.business.errors import ControlNumberRangeInvalid, ControlNumbersExhausted
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator_business.scenes import number_range, send_agreement, unhurried


def with_range(pattern, protocol="X12", kind="interchange"):
    return send_agreement(protocol=protocol, ControlNumbers={kind: pattern})


@pytest.mark.parametrize(
    ("protocol", "kind", "pattern", "value", "text"),
    [
        ("X12", "interchange", number_range(), 42, "000000042"),
        ("X12", "interchange", number_range(upper=99_999, prefix="77", suffix="9"), 42, "770000429"),
        ("X12", "group", number_range(), 42, "42"),
        ("X12", "transaction_set", number_range(), 42, "0042"),
        ("X12", "transaction_set", number_range(upper=9999, prefix="A", suffix="Z"), 42, "A42Z"),
        ("X12", "acknowledgement", number_range(), 42, "000000042"),
        ("EDIFACT", "interchange", number_range(upper=99, prefix="ABC", suffix="Z"), 42, "ABC42Z"),
    ],
)
def test_numbers_are_written_as_their_field_requires(protocol, kind, pattern, value, text):
    assert write(protocol, kind, pattern, value) == text


@pytest.mark.parametrize(
    ("protocol", "kind", "pattern", "rule"),
    [
        ("X12", "interchange", number_range(lower=0), "within 1 to"),
        ("X12", "interchange", number_range(lower=5, upper=4), "rising order"),
        ("X12", "group", number_range(upper=1_000_000_000), "within 1 to"),
        ("X12", "interchange", number_range(upper=99_999_999, prefix="12"), "9 characters of ISA13"),
        ("X12", "interchange", number_range(upper=9, prefix="A"), "digits only"),
        ("EDIFACT", "group", number_range(upper=999_999, prefix="ABCDE", suffix="FGHI"), "14 characters"),
        ("EDIFACT", "interchange", number_range(upper=9, prefix="ABCDEFGHIJ"), "longer than 9"),
        ("EDIFACT", "interchange", number_range(upper=9, prefix="A+B"), "letters and digits"),
    ],
)
def test_ranges_that_the_standard_cannot_carry_are_refused(protocol, kind, pattern, rule):
    with pytest.raises(ControlNumberRangeInvalid, match=rule):
        check_range(protocol, kind, pattern)


def test_a_range_starts_at_its_lower_bound_and_counts_up():
    agreement, generated = with_range(number_range(lower=100)), []
    assert [draw(generated, agreement, "interchange").value for _ in range(3)] == [100, 101, 102]
    assert generated == [{"Agreement": "orders", "Kind": "interchange", "Last": 102}]


def test_a_range_without_rollover_ends_with_a_sentence_on_what_to_do():
    agreement, generated = with_range(number_range(upper=2)), []
    draw(generated, agreement, "interchange")
    draw(generated, agreement, "interchange")
    with pytest.raises(ControlNumbersExhausted, match=r"last interchange control number \(2\).*Raise the upper bound"):
        draw(generated, agreement, "interchange")
    assert generated[0]["Last"] == 2


def test_a_range_with_rollover_goes_on_at_the_lower_bound():
    agreement, generated = with_range(number_range(lower=8, upper=9, rollover=True)), []
    assert [draw(generated, agreement, "interchange").value for _ in range(5)] == [8, 9, 8, 9, 8]


def test_a_raised_lower_bound_is_where_the_next_number_comes_from():
    generated = [{"Agreement": "orders", "Kind": "interchange", "Last": 7}]
    assert draw(generated, with_range(number_range(lower=500)), "interchange").value == 500


def test_kinds_and_agreements_count_for_themselves():
    generated = []
    one, other = send_agreement("one"), send_agreement("other")
    assert draw(generated, one, "group").value == draw(generated, one, "interchange").value == 1
    assert draw(generated, other, "group").value == 1
    assert draw(generated, one, "group").value == 2


def test_an_agreement_without_the_range_is_refused():
    with pytest.raises(ControlNumberRangeInvalid, match="has no group control number range"):
        draw([], with_range(number_range()), "group")


@unhurried
@given(lower=st.integers(1, 50), width=st.integers(0, 20), draws=st.integers(1, 60), rollover=st.booleans())
def test_a_number_repeats_only_after_all_others_of_its_range_were_used(lower, width, draws, rollover):
    agreement = with_range(number_range(lower=lower, upper=lower + width, rollover=rollover))
    generated, drawn = [], []
    for _ in range(draws):
        try:
            drawn.append(draw(generated, agreement, "interchange").value)
        except ControlNumbersExhausted:
            assert not rollover
            assert drawn == list(range(lower, lower + width + 1))
            return
    assert drawn == [lower + index % (width + 1) for index in range(draws)]


@unhurried
@given(
    kind=st.sampled_from(["interchange", "group", "transaction_set"]),
    protocol=st.sampled_from(["X12", "EDIFACT"]),
    prefix=st.text("0123456789", max_size=3),
    suffix=st.text("0123456789", max_size=2),
    values=st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
)
def test_different_numbers_are_never_written_alike(kind, protocol, prefix, suffix, values):
    pattern = number_range(upper=9999, prefix=prefix, suffix=suffix)
    check_range(protocol, kind, pattern)
    one, other = (write(protocol, kind, pattern, value) for value in values)
    assert (one == other) == (values[0] == values[1])
    assert len(one) <= {"X12": 9, "EDIFACT": 14}[protocol]
