"""The threshold of each class with the best F-beta, exactly: one sort a class, and sums along it."""

from __future__ import annotations

import numpy as np

from bench.protocol import POSITIVE, UNKNOWN
from bench.ranking import check_scores

_MANY = 1024  # images; below, importing what is compiled costs more than it gives


def best_thresholds(scores: np.ndarray, labels: np.ndarray, beta: float = 2.0) -> np.ndarray:
    """Per class the observed score t with the best F = (1 + β²)TP / ((1 + β²)TP + β²FN + FP) of `score >= t` (JD, Sec. III-B, β = 2).

    scores: float (N, C). labels: int8 (N, C) of 1, 0 and -1; images with an unknown label take no part in that class. Every observed
    score is tried, in O(N log N) a class; of equal F the higher t is taken, which predicts less. Returns (C,) in the dtype of scores,
    so that comparing loses nothing. Constant scores give that constant: all positive.

    A class without a known positive above -inf falls back to its prior, zero as far as anybody can tell: t = +inf predicts it never.
    Raises ValueError if the shapes differ, a score is NaN or beta is not positive."""
    lowest = check_scores(scores, labels)
    if not beta > 0:
        raise ValueError(f"beta is {beta}, expected more than 0")
    columns, marks = np.ascontiguousarray(scores.T), np.ascontiguousarray(labels.T)
    best = _best_compiled if scores.dtype == np.float32 and lowest >= 0 and len(scores) >= _MANY else _best
    found = [best(*_known(column, mark), beta * beta) for column, mark in zip(columns, marks, strict=True)]
    return np.array(found, dtype=scores.dtype)


def _known(column: np.ndarray, mark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of images whose label is known, and whether it is positive."""
    if mark.min(initial=0) == UNKNOWN:
        known = mark != UNKNOWN
        column, mark = column[known], mark[known]
    return column, mark == POSITIVE


def _best(column: np.ndarray, positive: np.ndarray, square: float) -> float:
    """The threshold of one class. square: β²."""
    candidates, predicted = _curve(column, positive)
    # TP + FN are all positives, hence F = (1 + β²)TP / (β²(TP + FN) + TP + FP). Quotients of integers: equal F are equal numbers.
    # A threshold takes all equal scores: the first of them counts them all, and has the largest F of them.
    f = (1 + square) * np.arange(len(candidates), 0, -1) / (square * len(candidates) + predicted)
    f[: np.searchsorted(candidates, -np.inf, side="right")] = 0.0  # never predicted
    best = len(f) - 1 - int(f[::-1].argmax()) if len(f) else -1  # the last of equals
    return float(candidates[best]) if len(f) and f[best] > 0 else np.inf


def _best_compiled(column: np.ndarray, positive: np.ndarray, square: float) -> float:
    """As _best, several times as fast, for float32 that is not negative, such as probabilities, whose bits order like their values."""
    from bench.threshold_kernel import best_threshold

    return float(best_threshold((column + np.float32(0)).view(np.uint32), positive, square))  # -0 becomes +0


def _curve(column: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positives' scores, ascending, and how many images score as high or higher (right for the first of equal ones). No other score
    can be best: just below a positive's, only negatives are added."""
    candidates = np.sort(column[positive])
    return candidates, len(column) - np.searchsorted(np.sort(column), candidates)
