"""Ranks, areas and fronts against SciPy, printed tables and hand-computed cases."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.comparisons import area_under_curve, complete_blocks, critical_difference, friedman, pareto_front, rank_methods
from bench.statistics import Replicates


def table(seed, methods=4, blocks=9, levels=1000):
    return np.random.default_rng(seed).integers(levels, size=(methods, blocks)).astype(float) + np.arange(methods)[:, None] * levels / 8


@pytest.mark.parametrize("levels", [1000, 4])  # without ties and with many
@pytest.mark.parametrize("seed", range(4))
def test_friedman_against_scipy(seed, levels):
    values = table(seed, levels=levels)
    assert friedman(values) == pytest.approx(scipy.stats.friedmanchisquare(*values).pvalue)


def test_ranks_against_scipy():
    values = table(0, levels=5)
    found = rank_methods({f"m{place}": list(row) for place, row in enumerate(values)})
    expected = scipy.stats.rankdata(-values, axis=0).mean(axis=1)
    assert dict(zip(found.names, found.mean_ranks, strict=True)) == pytest.approx(
        {f"m{place}": rank for place, rank in enumerate(expected)}
    )
    assert list(found.mean_ranks) == sorted(found.mean_ranks)


@pytest.mark.parametrize(("methods", "quantile"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_in_print(methods, quantile):
    """Demšar (2006), Table 5: q at .05."""
    assert critical_difference(methods, 10) == pytest.approx(quantile * np.sqrt(methods * (methods + 1) / 60), abs=2e-3)


def test_groups_hold_what_cannot_be_told_apart():
    scores = {"a": [9] * 30, "b": [8, 7] * 15, "c": [7, 8] * 15, "d": [1] * 30}
    found = rank_methods(scores)
    assert found.names == ("a", "b", "c", "d")
    assert found.mean_ranks == (1, 2.5, 2.5, 4)
    assert found.groups == ((1, 2),)
    assert rank_methods({name: [1.0] * 5 for name in "abc"}).groups == ((0, 2),)
    assert rank_methods({name: [1.0] * 5 for name in "abc"}).p_value == 1


def test_too_little_to_rank_is_refused():
    with pytest.raises(ValueError, match="2 methods: expected three or more"):
        rank_methods({"a": [1, 2], "b": [2, 1]})
    with pytest.raises(ValueError, match="the same two blocks or more"):
        rank_methods({"a": [1], "b": [2], "c": [3]})


def test_the_largest_table_without_a_gap_is_ranked():
    figures = {"a": dict.fromkeys("xyz", 1.0), "b": dict.fromkeys("xyz", 1.0), "c": dict.fromkeys("xy", 1.0), "d": {"x": 1.0}}
    assert complete_blocks(figures) == (["a", "b", "c"], ["x", "y"])
    assert complete_blocks({}) == ([], [])


def test_the_largest_table_of_so_many_blocks_or_more():
    figures = {"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0, "y": 2.0}, **{f"row{place}": {"x": 1.0} for place in range(9)}}
    assert complete_blocks(figures)[1] == ["x"]
    assert complete_blocks(figures, least=2) == (["a", "b"], ["x", "y"])
    assert complete_blocks(figures, least=3) == ([], [])


def point(value, spread=0.0, seed=0):
    return Replicates(value, value + spread * np.random.default_rng(seed).normal(size=1000), 100)


def test_the_area_under_a_label_curve_by_hand():
    curve = {0.25: point(0.2), 0.5: point(0.4), 1.0: point(0.5)}
    assert area_under_curve(curve).value == pytest.approx((0.3 + 0.45) / 2)  # two doublings, one trapezoid each
    assert area_under_curve({0.25: point(0.2), 1.0: point(0.4)}).value == pytest.approx(0.3)
    assert area_under_curve({0.1: point(0.7), 0.3: point(0.7), 1.0: point(0.7)}).value == pytest.approx(0.7)
    with pytest.raises(ValueError, match="1 label fractions"):
        area_under_curve({1.0: point(0.5)})


def test_the_area_has_the_error_of_its_weighted_points():
    curve = {0.25: point(0.2, 0.01, 1), 0.5: point(0.4, 0.02, 2), 1.0: point(0.5, 0.03, 3)}
    expected = np.sqrt((0.25 * 0.01) ** 2 + (0.5 * 0.02) ** 2 + (0.25 * 0.03) ** 2)
    assert area_under_curve(curve).values.std() == pytest.approx(expected, rel=0.1)


def test_a_front_by_hand():
    points = {"slow": (9, 0.9), "fast": (1, 0.5), "beaten": (2, 0.5), "same": (1, 0.5), "middle": (3, 0.8), "worse": (10, 0.9)}
    assert pareto_front(points) == ["fast", "same", "middle", "slow"]


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1))
def test_nobody_on_a_front_is_beaten_and_everybody_else_is(points):
    named = {str(name): (float(cost), float(figure)) for name, (cost, figure) in points.items()}
    front = pareto_front(named)
    for name, (cost, figure) in named.items():
        beaten = any(c <= cost and f >= figure and (c < cost or f > figure) for c, f in named.values())
        assert (name not in front) == beaten
