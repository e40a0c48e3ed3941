"""F2 thresholds of 11,000 images and 13 labels against what a user would call: scikit-learn."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import fbeta_score, precision_recall_curve

from bench.thresholds import best_thresholds

COUNTS = np.array([104, 4292, 49893, 262, 18722, 8882, 197, 1356, 49389, 7094, 3712, 1249, 361]) / 54_908  # JD's label frequencies
NUM_IMAGES = 11_000
TRIES = 40  # thresholds that the brute force tries in earnest


@pytest.fixture(scope="module")
def drawn():
    """Probabilities that tell positives from negatives somewhat, as float32."""
    rng = np.random.default_rng(0)
    labels = (rng.random((NUM_IMAGES, len(COUNTS))) < COUNTS).astype(np.int8)
    logits = rng.normal(size=labels.shape) + 1.5 * labels - 1.0
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels


def by_curve(scores, labels):
    found = []
    for column, mark in zip(scores.T, labels.T, strict=True):
        precision, recall, thresholds = precision_recall_curve(mark, column)
        f2 = 5 * precision * recall / np.maximum(4 * precision + recall, 1e-300)
        found.append(thresholds[f2[:-1].argmax()])
    return np.array(found, dtype=np.float32)


def seconds(function, *arguments):
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def test_thresholds_against_the_precision_recall_curve(drawn, record_ratio):
    """Interleaved; the fastest round of each counts."""
    np.testing.assert_array_equal(best_thresholds(*drawn), by_curve(*drawn))
    rounds = [(seconds(best_thresholds, *drawn), seconds(by_curve, *drawn)) for _ in range(25)]
    ours, theirs = (min(column) for column in zip(*rounds, strict=True))
    print(f"F2 thresholds: {1000 * ours:.2f} ms, precision_recall_curve {1000 * theirs:.1f} ms, {theirs / ours:.1f}x")
    record_ratio("thresholds/curve", theirs / ours)
    assert theirs >= 12 * ours


def test_thresholds_against_fbeta_at_each_score(drawn, record_ratio):
    """One fbeta_score per observed score and label would take minutes: some are timed and the rest extrapolated."""
    scores, labels = drawn
    for c in (0, 2):  # a rare label and a frequent one
        tries = np.unique(scores[:, c])[:: NUM_IMAGES // TRIES]
        reached = [fbeta_score(labels[:, c], scores[:, c] >= t, beta=2) for t in tries]
        chosen = best_thresholds(scores[:, [c]], labels[:, [c]])
        assert fbeta_score(labels[:, c], scores[:, c] >= chosen[0], beta=2) >= max(reached)
    one = min(seconds(lambda t: fbeta_score(labels[:, 2], scores[:, 2] >= t, beta=2), t) for t in scores[:TRIES, 2])
    theirs = one * sum(len(np.unique(column)) for column in scores.T)
    ours = min(seconds(best_thresholds, *drawn) for _ in range(25))
    print(f"F2 thresholds: {1000 * ours:.2f} ms, fbeta_score at each score {theirs:.0f} s (extrapolated), {theirs / ours:.0f}x")
    record_ratio("thresholds/fbeta", theirs / ours)
    assert theirs >= 50_000 * ours
