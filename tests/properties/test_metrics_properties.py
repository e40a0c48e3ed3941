"""What must hold of the metrics whatever the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench import metrics

SCORES = st.one_of(st.integers(-4, 4).map(float), st.just(-np.inf))


@st.composite
def cases(draw, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Scores (integers, so that shifting them is exact) and labels, of up to 12 images and 9 classes."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    scores = draw(arrays(np.float64, shape, elements=SCORES))
    if not ties:
        seed = draw(st.integers(0, 2**32 - 1))
        order = np.random.default_rng(seed).permuted(np.tile(np.arange(float(shape[1])), (shape[0], 1)), axis=1)
        scores = np.where(scores == -np.inf, scores, order)
    return scores, draw(arrays(np.int8, shape, elements=st.sampled_from([1, 0, -1])))


def figures(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = {f"{function.__name__}@{k}": function(scores, labels, k) for k in (1, 2, 3, 5) for function in AT_K}
    return found | {
        "map": metrics.mean_average_precision(scores, labels),
        "f2": metrics.f_beta(labels, metrics.decide(scores, metrics.best_thresholds(scores, labels)), 2),
        "cross_entropy": float(np.nansum(metrics.cross_entropy(scores, labels).clip(max=1e6))),
    }


AT_K = (metrics.recall_at_k, metrics.f1_at_k, metrics.accuracy_at_k, metrics.macro_recall_at_k)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(case, random):
    scores, labels = case
    order = random.sample(range(len(scores)), len(scores))
    assert figures(scores[order], labels[order]) == pytest.approx(figures(scores, labels), rel=1e-6, nan_ok=True)


@given(cases(ties=False), st.randoms(use_true_random=False))
def test_the_order_of_classes_does_not_matter_without_ties(case, random):
    scores, labels = case
    order = random.sample(range(scores.shape[1]), scores.shape[1])
    assert figures(scores[:, order], labels[:, order]) == pytest.approx(figures(scores, labels), rel=1e-6, nan_ok=True)


@given(cases(), st.integers(-50, 50))
def test_shifting_all_scores_changes_nothing(case, shift):
    scores, labels = case
    assert figures(scores + shift, labels) == pytest.approx(figures(scores, labels), rel=1e-5, abs=1e-6, nan_ok=True)


@given(cases())
def test_recall_and_hits_grow_with_k_up_to_what_is_ranked(case):
    scores, labels = case
    hits = metrics.hits(scores, labels, range(1, 11))
    assert (np.diff(hits, axis=1) >= 0).all()
    assert (np.diff(hits, axis=1) <= 1).all()
    np.testing.assert_array_equal(hits[:, -1], ((labels == 1) & (scores > -np.inf)).sum(axis=1))


@given(cases())
def test_every_figure_lies_in_its_range(case):
    for name, value in figures(*case).items():
        assert np.isnan(value) or (value >= 0 and (value <= 1 + 1e-12 or name == "cross_entropy")), name


@given(cases())
def test_unknown_labels_of_a_class_are_as_absent_images(case):
    scores, labels = case
    for c in range(scores.shape[1]):
        known = labels[:, c] != -1
        if known.any():
            column = scores[known, c : c + 1], labels[known, c : c + 1]
            np.testing.assert_array_equal(metrics.best_thresholds(scores, labels)[c : c + 1], metrics.best_thresholds(*column))


@given(cases())
def test_no_threshold_beats_the_chosen_one(case):
    scores, labels = case
    chosen = metrics.best_thresholds(scores, labels)
    best = metrics.f_beta(labels, metrics.decide(scores, chosen), 2)
    for other in range(-5, 6):
        value = metrics.f_beta(labels, metrics.decide(scores, np.full(scores.shape[1], float(other))), 2)
        assert np.isnan(value) or value <= best + 1e-12
