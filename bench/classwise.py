"""Metrics of each class on its own: average precision and F-beta; bench.thresholds finds the best threshold.

scores: float (N, C), higher is likelier. labels: int8 (N, C) of 1 (positive), 0 (negative) and -1 (unknown), which takes no part.
A figure that is undefined is NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE
from bench.ranking import check_scores
from bench.thresholds import best_thresholds as best_thresholds  # part of this module's face


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of AP = Σ (R_n - R_{n-1}) P_n over the distinct scores of the images with a known label.

    Classes without a known positive or without a known negative are left out: the one has no AP, the other always 1. A positive
    at -inf is never retrieved."""
    check_scores(scores, labels)
    return mean(average_precisions(scores, labels))


def decide(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """bool (N, C): scores >= thresholds (C,); a class at -inf is never predicted."""
    return (scores >= thresholds) & (scores > -np.inf)


def f_beta(labels: np.ndarray, decisions: np.ndarray, beta: float) -> float:
    """Mean over classes of (1 + β²)TP / ((1 + β²)TP + β²FN + FP), over the images with a known label (JD, β = 2). Classes without
    a known positive are left out. decisions: bool (N, C)."""
    return mean(f_betas(labels, decisions, beta))


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AP of each class (C,), NaN without a known positive or a known negative."""
    found = np.full(scores.shape[1], np.nan)
    for index, (positives, negatives) in enumerate(_known_scores(scores, labels)):
        if len(positives) and len(negatives):
            _, true_positives, false_positives = _curve(positives, negatives)
            gained = true_positives - np.append(true_positives[1:], 0)  # positives at this very score: ΔR, times G
            found[index] = (gained * true_positives / (true_positives + false_positives)).sum() / len(positives)
    return found


def f_betas(labels: np.ndarray, decisions: np.ndarray, beta: float) -> np.ndarray:
    """(C,), NaN without a known positive."""
    if labels.shape != decisions.shape:
        raise ValueError(f"labels {labels.shape} and decisions {decisions.shape} differ in shape")
    num_positives = (labels == POSITIVE).sum(axis=0)
    true_positives = ((labels == POSITIVE) & decisions).sum(axis=0)
    false_positives = ((labels == NEGATIVE) & decisions).sum(axis=0)
    square = beta * beta  # TP + FN = positives, hence the weight of TP beside β² of them
    bottom = square * num_positives + true_positives + false_positives
    return np.where(num_positives > 0, (1 + square) * true_positives / np.maximum(bottom, 1e-300), np.nan)


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean in float64 of what is not NaN; NaN of nothing."""
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if len(defined) else float("nan")


def _known_scores(scores: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Per class, the scores of its positives and of its negatives."""
    for column, label in zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(labels.T), strict=True):
        yield column[label == POSITIVE], column[label == NEGATIVE]


def _curve(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct scores of positives above -inf, ascending, and the positives and negatives at or above each of them. No other
    threshold matters: between two positives only false positives are added."""
    ordered = np.sort(positives[positives > -np.inf])
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    candidates = ordered[first]
    return candidates, len(ordered) - first, len(negatives) - np.searchsorted(np.sort(negatives), candidates)
