"""The threshold of each class with the best F-beta, exactly: one sort a class and a few sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.protocol import POSITIVE, UNKNOWN
from bench.ranking import check_scores

_Curve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


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
    curve = _packed if scores.dtype == np.float32 and lowest >= 0 else _plain
    found = [_best(column, mark, beta * beta, curve) for column, mark in zip(columns, marks, strict=True)]
    return np.array(found, dtype=scores.dtype)


def _best(column: np.ndarray, mark: np.ndarray, square: float, curve: _Curve) -> float:
    """The threshold of one class. square: β²."""
    if mark.min(initial=0) == UNKNOWN:
        known = mark != UNKNOWN
        column, mark = column[known], mark[known]
    candidates, predicted = curve(column, mark == POSITIVE)
    # TP + FN are all positives, hence F = (1 + β²)TP / (β²(TP + FN) + TP + FP). Quotients of integers: equal F are equal numbers.
    f = (1 + square) * np.arange(len(candidates), 0, -1) / (square * len(candidates) + predicted)
    f[1:][candidates[1:] == candidates[:-1]] = 0.0  # a threshold takes all equal scores or none
    f[: np.searchsorted(candidates, -np.inf, side="right")] = 0.0  # never predicted
    best = len(f) - 1 - int(f[::-1].argmax()) if len(f) else -1  # the last of equals
    return float(candidates[best]) if len(f) and f[best] > 0 else np.inf


def _plain(column: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positives' scores, ascending, and how many images score as high or higher (right for the first of equal ones). No other score
    can be best: just below a positive's, only negatives are added."""
    candidates = np.sort(column[positive])
    return candidates, len(column) - np.searchsorted(np.sort(column), candidates)


def _packed(column: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As _plain, in half the time, for float32 that is not negative, such as probabilities. Their bits order like their values and leave
    the sign's bit for the label, so that one sort of uint32 does for both, and the place of a positive says how many are above it. A
    positive gets the lower bit, to come first among equals."""
    keys = (column + np.float32(0)).view(np.uint32) << np.uint32(1)  # -0 becomes +0
    keys |= (~positive).view(np.uint8)
    keys.sort()
    places = np.flatnonzero(keys & np.uint32(1) == 0)
    return (keys[places] >> np.uint32(1)).view(np.float32), len(keys) - places
