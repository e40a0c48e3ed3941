"""A method's own thresholds are those that the harness finds."""

import numpy as np
import pytest

from bench.thresholds import best_thresholds
from methods.parts.thresholds import f_beta_thresholds


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_as_the_harness(seed, beta):
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-20, 20, (60, 7)) / 8).astype(np.float32)  # with ties
    labels = rng.integers(-1, 2, scores.shape).astype(np.int8)
    labels[:, 3] = rng.integers(-1, 1, 60)  # no positive
    found = f_beta_thresholds(scores, labels, beta)
    assert found.dtype == scores.dtype
    np.testing.assert_array_equal(found, best_thresholds(scores, labels, beta))
    assert found[3] == np.inf


def test_errors():
    labels = np.zeros((2, 3), dtype=np.int8)
    with pytest.raises(ValueError, match=r"scores \(2, 2\) with 0 NaN and labels \(2, 3\); expected equal shapes, no NaN"):
        f_beta_thresholds(np.zeros((2, 2)), labels)
    with pytest.raises(ValueError, match="with 6 NaN"):
        f_beta_thresholds(np.full((2, 3), np.nan), labels)
