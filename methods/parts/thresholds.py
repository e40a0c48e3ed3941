"""Decision thresholds for a method that decides while it predicts, such as a vote."""

from __future__ import annotations

import numpy as np


def f_beta_thresholds(scores: np.ndarray, labels: np.ndarray, beta: float = 2.0) -> np.ndarray:
    """Per class the observed score t with the best F-beta of `score >= t`; of equals the higher t (JD, Eq. 1).

    scores: float (N, C). labels: int8 (N, C) of 1, 0 and -1 (unknown, which takes no part). Returns (C,) in the dtype of scores; +inf,
    never, for a class without a known positive. The harness finds the same thresholds for scores that a method returns."""
    if scores.shape != labels.shape or np.isnan(scores).any():
        raise ValueError(
            f"scores {scores.shape} with {int(np.isnan(scores).sum())} NaN and labels {labels.shape}; expected equal shapes, no NaN"
        )
    found = np.full(scores.shape[1], np.inf, dtype=scores.dtype)
    square = beta * beta
    for index, (column, mark) in enumerate(zip(scores.T, labels.T, strict=True)):
        candidates = np.sort(column[mark == 1])
        predicted = (mark >= 0).sum() - np.searchsorted(np.sort(column[mark >= 0]), candidates)
        true_positives = len(candidates) - np.searchsorted(candidates, candidates)  # equal scores are taken together
        f = (1 + square) * true_positives / (square * len(candidates) + predicted)
        if len(f):
            found[index] = candidates[len(f) - 1 - f[::-1].argmax()]
    return found
