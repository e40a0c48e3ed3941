"""The best threshold of a class of many images, compiled: a radix sort, which needs no sorting instructions of the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_BITS = 11
_BUCKETS = 1 << _BITS
_MASK = np.uint32(_BUCKETS - 1)


def _compiled(function: Callable[..., float]) -> Any:
    """Kept on disk where numba finds a folder for it."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@_compiled
def best_threshold(bits: np.ndarray, positive: np.ndarray, square: float) -> float:
    """bits: uint32 (N,), of scores that are not negative, which order like these. positive: bool (N,). square: β².

    Returns the score with the best F-beta of `score >= t`, the higher one of equals; +inf where none is above 0."""
    num = len(bits)
    keys, other = np.empty(num, np.uint32), np.empty(num, np.uint32)
    counts = np.zeros((3, _BUCKETS), np.int64)
    num_positives = 0
    for i in range(num):  # the sign's bit makes room for the label: a positive gets the lower bit
        key = (bits[i] << np.uint32(1)) | np.uint32(not positive[i])
        num_positives += positive[i]
        keys[i] = key
        counts[0, key & _MASK] += 1
        counts[1, (key >> np.uint32(_BITS)) & _MASK] += 1
        counts[2, key >> np.uint32(2 * _BITS)] += 1
    for digit in range(3):
        start = 0
        for bucket in range(_BUCKETS):
            count = counts[digit, bucket]
            counts[digit, bucket] = start
            start += count
        shift = np.uint32(digit * _BITS)
        for i in range(num):
            bucket = (keys[i] >> shift) & _MASK
            other[counts[digit, bucket]] = keys[i]
            counts[digit, bucket] += 1
        keys, other = other, keys
    best, found, hit, place = 0.0, np.uint32(0), 0, num
    while place > 0:  # from the highest score down, equal scores together
        value, before = keys[place - 1] >> np.uint32(1), hit
        while place > 0 and keys[place - 1] >> np.uint32(1) == value:
            place -= 1
            hit += 1 - (keys[place] & np.uint32(1))
        if hit > before:  # below a positive's score, only negatives are added
            f = (1.0 + square) * hit / (square * num_positives + (num - place))
            if f > best:
                best, found = f, value
    if best == 0.0:
        return np.inf
    threshold: float = np.array([found], np.uint32).view(np.float32)[0]
    return threshold
