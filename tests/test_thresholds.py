"""The best threshold of each class, against trying every observed score."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench import classwise, metrics, thresholds
from bench.thresholds import best_thresholds


def brute_force(column: np.ndarray, marks: np.ndarray, beta: int) -> float:
    """Every observed score in exact arithmetic, from the highest down; a lower one must be truly better."""
    best, chosen = Fraction(0), math.inf
    observed = sorted({float(score) for score, mark in zip(column, marks, strict=True) if mark != -1 and score > -np.inf}, reverse=True)
    for threshold in observed:
        taken = column >= threshold
        hits, alarms = int((taken & (marks == 1)).sum()), int((taken & (marks == 0)).sum())
        if hits:
            f = Fraction((1 + beta**2) * hits, (1 + beta**2) * hits + beta**2 * (int((marks == 1).sum()) - hits) + alarms)
            best, chosen = max((best, chosen), (f, threshold), key=lambda pair: pair[0])
    return chosen


@st.composite
def cases(draw) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct scores, so that ties are common: probabilities or logits, in single or double precision."""
    shape = draw(st.integers(0, 14)), draw(st.integers(1, 4))
    ranges = {"probabilities": (0.0, 1.0), "logits": (-2.0, 2.0)}
    low, high = ranges[draw(st.sampled_from(sorted(ranges)))]
    values = st.one_of(st.sampled_from([low, high, -0.0, 0.0, 0.25, 0.3]), st.floats(low, high, width=32))
    values = st.one_of(values, st.just(-np.inf)) if low < 0 else values
    scores = draw(arrays(draw(st.sampled_from([np.float32, np.float64])), shape, elements=values))
    return scores, draw(arrays(np.int8, shape, elements=st.sampled_from([1, 0, -1])))


@given(cases(), st.integers(1, 3))
def test_against_brute_force(case, beta):
    scores, labels = case
    found = best_thresholds(scores, labels, beta)
    assert found.dtype == scores.dtype
    assert found.tolist() == [brute_force(scores[:, c], labels[:, c], beta) for c in range(scores.shape[1])]


@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_many_images_in_both_ways_of_sorting(shift):
    """Probabilities take the packed sort, shifted ones the plain sort."""
    rng = np.random.default_rng(0)
    scores = (rng.integers(0, 400, (3000, 5)) / 400 + shift).astype(np.float32)
    labels = rng.integers(-1, 2, scores.shape).astype(np.int8)
    found = best_thresholds(scores, labels)
    assert found.tolist() == [brute_force(scores[:, c], labels[:, c], 2) for c in range(5)]


def test_by_hand():
    """F2 at the thresholds .9, .8 and .5: 5/9, 10/11 and 10/12."""
    scores = np.array([[0.9], [0.8], [0.8], [0.5]], dtype=np.float32)
    labels = np.array([[1], [1], [0], [0]], dtype=np.int8)
    assert best_thresholds(scores, labels).tolist() == [np.float32(0.8)]


def test_of_equal_f_the_higher_threshold():
    """At .9 and .5: F1 2/3 and 4/6, F2 5/9 and 10/12."""
    scores = np.array([[0.9], [0.5], [0.5], [0.5]])
    labels = np.array([[1], [1], [0], [0]], dtype=np.int8)
    assert best_thresholds(scores, labels, beta=1.0).tolist() == [0.9]
    assert best_thresholds(scores, labels, beta=2.0).tolist() == [0.5]


def test_constant_scores_predict_all():
    scores, labels = np.full((6, 2), 0.25, dtype=np.float32), np.array([[1, 0]] + [[0, 1]] * 5, dtype=np.int8)
    found = best_thresholds(scores, labels)
    assert found.tolist() == [0.25, 0.25]
    assert classwise.decide(scores, found).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [-1, -1, -1], [-1, 0, -1]])
def test_without_positives_the_class_is_never_predicted(labels):
    scores = np.array([[0.1], [0.9], [0.5]], dtype=np.float32)
    found = best_thresholds(scores, np.array(labels, dtype=np.int8)[:, None])
    assert found.tolist() == [math.inf]
    assert not classwise.decide(scores, found).any()


def test_without_images_nothing_is_predicted():
    assert best_thresholds(np.zeros((0, 2), dtype=np.float32), np.zeros((0, 2), dtype=np.int8)).tolist() == [math.inf] * 2


def test_positives_at_minus_infinity_do_not_count_as_found():
    scores = np.array([[-np.inf], [0.2], [0.1]], dtype=np.float32)
    assert best_thresholds(scores, np.array([[1], [0], [0]], dtype=np.int8)).tolist() == [math.inf]
    assert best_thresholds(scores, np.array([[1], [0], [1]], dtype=np.int8)).tolist() == [np.float32(0.1)]


def test_unknown_labels_take_no_part():
    scores = np.array([[0.9], [0.7], [0.6], [0.2]], dtype=np.float32)
    labels = np.array([[-1], [1], [-1], [0]], dtype=np.int8)
    assert best_thresholds(scores, labels).tolist() == best_thresholds(scores[[1, 3]], labels[[1, 3]]).tolist() == [np.float32(0.7)]


def test_the_chosen_score_is_reached_after_a_round_trip():
    """The threshold is the observed number itself, not one near it."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(200, 3)).astype(np.float32)
    labels = (rng.random((200, 3)) < 0.3).astype(np.int8)
    assert all(found in scores[labels[:, c] == 1, c] for c, found in enumerate(best_thresholds(scores, labels)))


def test_errors():
    labels = np.zeros((2, 3), dtype=np.int8)
    with pytest.raises(ValueError, match="1 of 6 scores are NaN"):
        best_thresholds(np.array([[0, np.nan, 0], [0, 0, 0]], dtype=np.float32), labels)
    with pytest.raises(ValueError, match=r"scores \(2, 2\) and labels \(2, 3\)"):
        best_thresholds(np.zeros((2, 2)), labels)
    with pytest.raises(ValueError, match="beta is 0, expected more than 0"):
        best_thresholds(np.zeros((2, 3)), labels, 0)


def test_metrics_hand_on_the_same_function():
    assert metrics.best_thresholds is classwise.best_thresholds is best_thresholds


@pytest.mark.parametrize("digits", [1, 3, 7])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_many_images_have_the_same_thresholds_compiled(digits, beta):
    """Rounded scores are full of ties; zeros of both signs, unknown labels, a class without a positive and constant scores are there."""
    rng = np.random.default_rng(digits)
    labels = rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(3000, 6)).astype(np.int8)
    scores = (rng.random((3000, 6)) ** 2 + 0.1 * (labels == 1)).round(digits).astype(np.float32)
    scores[::7, 0] = -0.0
    scores[:, 1] = 0.5
    labels[:, 2] = np.minimum(labels[:, 2], 0)
    scores[::5, 3] = np.inf
    square = beta * beta
    expected = [thresholds._best(*thresholds._known(scores[:, c], labels[:, c]), square) for c in range(6)]
    found = best_thresholds(scores, labels, beta)
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))
    assert found[2] == np.inf
