"""mCE and its relatives, with numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, rankdata

from bench.robustness import (
    MissingConditionError,
    corruption_errors,
    mean_corruption_error,
    mean_drops,
    rank_agreement,
    rank_changes,
    relative_corruption_errors,
    relative_drops,
    relative_mean_corruption_error,
)

REFERENCE = {("fog", 1): 0.4, ("fog", 2): 0.6, ("snow", 1): 0.5, ("snow", 2): 0.7}
REFERENCE_CLEAN = 0.3
OURS = {("fog", 1): 0.2, ("fog", 2): 0.3, ("snow", 1): 0.3, ("snow", 2): 0.6}
OURS_CLEAN = 0.1


def test_corruption_errors_by_hand():
    """fog: .5 / 1.0; snow: .9 / 1.2."""
    found = corruption_errors(OURS, REFERENCE)
    assert found == pytest.approx({"fog": 0.5, "snow": 0.75})
    assert mean_corruption_error(OURS, REFERENCE) == pytest.approx(0.625)
    assert mean_corruption_error(OURS, REFERENCE, ["snow"]) == pytest.approx(0.75)


def test_a_sum_over_severities_is_no_mean_of_quotients():
    """The quotients are .1 and .9, and their mean is .5; the sums' quotient is .28 / .4."""
    assert corruption_errors({("fog", 1): 0.01, ("fog", 2): 0.27}, {("fog", 1): 0.1, ("fog", 2): 0.3}) == pytest.approx({"fog": 0.7})


def test_relative_errors_by_hand():
    """fog: (.1 + .2) / (.1 + .3); snow: (.2 + .5) / (.2 + .4)."""
    found = relative_corruption_errors(OURS, OURS_CLEAN, REFERENCE, REFERENCE_CLEAN)
    assert found == pytest.approx({"fog": 0.75, "snow": 7 / 6})
    assert relative_mean_corruption_error(OURS, OURS_CLEAN, REFERENCE, REFERENCE_CLEAN) == pytest.approx((0.75 + 7 / 6) / 2)


def test_drops_by_hand():
    assert mean_drops(OURS, OURS_CLEAN) == pytest.approx({1: 0.15, 2: 0.35})
    assert relative_drops(OURS, OURS_CLEAN) == pytest.approx({1: 0.15 / 0.9, 2: 0.35 / 0.9})


def test_rank_changes_by_hand():
    """Clean: a, b, c. At severity 1 c passes b; at 2 a and c are equal behind b."""
    errors = {
        "a": {("fog", 1): 0.2, ("fog", 2): 0.6, ("snow", 1): 0.2, ("snow", 2): 0.8},
        "b": {("fog", 1): 0.4, ("fog", 2): 0.5, ("snow", 1): 0.5, ("snow", 2): 0.5},
        "c": {("fog", 1): 0.3, ("fog", 2): 0.7, ("snow", 1): 0.3, ("snow", 2): 0.7},
    }
    clean = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert rank_changes(errors, clean) == {1: {"a": 0.0, "b": 1.0, "c": -1.0}, 2: {"a": 1.5, "b": -1.0, "c": -0.5}}
    agreement = rank_agreement(errors, clean)
    assert agreement[1] == pytest.approx(1 / 3)  # one of three pairs turned
    assert agreement[2] == pytest.approx((1 - 1) / math.sqrt(3 * 2))  # a-b turned, b-c kept, a-c tied


def test_the_reference_has_one():
    assert mean_corruption_error(REFERENCE, REFERENCE) == 1
    assert relative_mean_corruption_error(REFERENCE, REFERENCE_CLEAN, REFERENCE, REFERENCE_CLEAN) == 1


def test_undefined_is_nan():
    none = dict.fromkeys(REFERENCE, 0.0)
    assert math.isnan(mean_corruption_error(OURS, none))
    better = {**REFERENCE, ("fog", 1): 0.1, ("fog", 2): 0.2}  # the reference gains by fog
    found = relative_corruption_errors(OURS, OURS_CLEAN, better, REFERENCE_CLEAN)
    assert math.isnan(found["fog"])
    assert found["snow"] == pytest.approx(7 / 6)
    assert math.isnan(relative_mean_corruption_error(OURS, OURS_CLEAN, better, REFERENCE_CLEAN))
    assert all(math.isnan(value) for value in relative_drops(OURS, 1.0).values())
    assert math.isnan(rank_agreement({"a": OURS, "b": OURS}, {"a": 0.1, "b": 0.2})[1])


@pytest.mark.parametrize("missing", sorted(REFERENCE))
def test_a_missing_condition_is_refused(missing):
    fewer = {condition: value for condition, value in OURS.items() if condition != missing}
    message = rf"{missing[0]} at severity {missing[1]}: the (first|second) of two methods has no error there"
    with pytest.raises(MissingConditionError, match=message.replace("(first|second)", "first")):
        mean_corruption_error(fewer, REFERENCE)
    with pytest.raises(MissingConditionError, match=message.replace("(first|second)", "second")):
        relative_mean_corruption_error(REFERENCE, 0.3, fewer, 0.1)
    with pytest.raises(MissingConditionError, match=message):
        rank_changes({"a": OURS, "b": fewer}, {"a": 0.1, "b": 0.2})


def test_a_missing_corruption_or_method_is_refused():
    with pytest.raises(MissingConditionError, match="no errors under frost; there are fog, snow"):
        mean_corruption_error(OURS, REFERENCE, ["fog", "frost"])
    with pytest.raises(MissingConditionError, match="b: no clean error"):
        rank_changes({"a": OURS, "b": OURS}, {"a": 0.1})
    with pytest.raises(MissingConditionError, match="b: no errors under corruptions"):
        rank_agreement({"a": OURS}, {"a": 0.1, "b": 0.2})


TABLE = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=8)


@given(TABLE)
def test_ranks_and_agreement_equal_scipys(rows):
    """Few values, so that there are many ties."""
    clean = {str(index): row[0] / 5 for index, row in enumerate(rows)}
    errors = {str(index): {("fog", 1): row[1] / 5} for index, row in enumerate(rows)}
    before, after = rankdata([row[0] for row in rows]), rankdata([row[1] for row in rows])
    assert list(rank_changes(errors, clean)[1].values()) == (after - before).tolist()
    expected = kendalltau(*zip(*rows, strict=True)).statistic
    assert rank_agreement(errors, clean)[1] == pytest.approx(expected, nan_ok=True)
