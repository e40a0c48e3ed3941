"""Figures as the page keeps them: two bytes each, and still rounded to what the other files of a report say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.report.page_codec import MISSING, quantise, quantise_intervals

STEP = 1e-4
SHARES = st.one_of(
    st.floats(0, 1), st.integers(0, 2000).map(lambda number: number / 2000), st.integers(0, 64).map(lambda number: number / 64)
)


def shown(steps):
    """What the page's script makes of whole steps, none of which may be tied."""
    return [f"{100 * (step * STEP):.1f}" for step in steps]


@given(arrays(np.float64, 40, elements=SHARES))
def test_a_kept_figure_is_shown_as_the_figure_is(values):
    kept = quantise(values, STEP)
    assert not (kept % 10 == 5).any()
    assert shown(kept.tolist()) == [f"{100 * value:.1f}" for value in values]
    assert np.abs(kept * STEP - values).max() < 1.6e-4
    order = np.argsort(values, kind="stable")
    assert (np.diff(kept[order].astype(int)) >= 0).all()


@given(arrays(np.float64, (40, 2), elements=SHARES))
def test_half_an_interval_is_shown_as_it_is(ends):
    low, high = ends.min(1), ends.max(1)
    possible = ~np.isclose(np.stack([low, high, (high - low) / 2]) * 1000 % 1, 0.5).all(0)
    low, high = low[possible], high[possible]
    first, last = quantise_intervals(low, high, STEP)
    assert shown(first.tolist()) == [f"{100 * value:.1f}" for value in low]
    assert shown(last.tolist()) == [f"{100 * value:.1f}" for value in high]
    halves = (last.astype(float) - first) / 2
    assert shown(halves.tolist()) == [f"{50 * (b - a):.1f}" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    assert np.abs(first * STEP - low).max(initial=0) < 6e-4
    assert np.abs(last * STEP - high).max(initial=0) < 6e-4


@pytest.mark.parametrize("step", [1e-3, 0.01, np.array([[1e-3, 1.0]])])
def test_coarser_steps_are_the_nearest(step):
    values = np.array([[0.0, 12.0], [3.14159, 7.5]])
    np.testing.assert_array_equal(quantise(values, step), np.rint(values / step))
    np.testing.assert_array_equal(quantise_intervals(values, values + 1, step), [np.rint(values / step), np.rint((values + 1) / step)])


def test_no_figure_stays_none():
    values = np.array([[np.nan, 0.5, np.inf], [0.2, np.nan, 9.0]])
    np.testing.assert_array_equal(quantise(values, STEP) == MISSING, ~np.isfinite(values))
    low, high = quantise_intervals(values, np.full((2, 3), 0.75), STEP)
    np.testing.assert_array_equal(low == MISSING, ~np.isfinite(values))
    assert not (high == MISSING).any()
    assert quantise(np.array([9.0]), STEP) == MISSING - 1
