"""Resamples of metrics that are no quotient of counts at k: means over images, and F-beta of decisions.

The same resamples of images and seeds as in bench.statistics, so that a difference of two methods is one in pairs here too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.statistics import NUM_RESAMPLES, Replicates, bootstrap_weights, combine_seeds


def image_mean(seeds: Sequence[np.ndarray], *, num_resamples: int = NUM_RESAMPLES) -> Replicates:
    """The mean of what each image has, such as its cross-entropy: float (N, T) a seed, NaN where an image has nothing.

    The mean is over all pairs of image and type that have a value. Raises ValueError unless all seeds have the same shape."""
    num_images = _num_images([values.shape for values in seeds])
    found = []
    for values in seeds:
        known = np.isfinite(values)
        counts = np.stack([np.where(known, values, 0).sum(axis=1), known.sum(axis=1)], axis=1).astype(np.float32)
        top, bottom = _totals(counts, num_resamples).T
        found.append(_quotient(top, bottom))
    return combine_seeds(found, num_images)


@dataclass(frozen=True)
class ClassScores:
    """F-beta of every class over all images, and over each resample of them: what a mean over any classes is made of.

    f: (1 + R, C) a seed, 0 where a class is not defined; defined: bool (1 + R, C), whether an image there carries the class."""

    f: tuple[np.ndarray, ...]
    defined: np.ndarray
    num_images: int

    def mean(self, classes: Sequence[int]) -> Replicates:
        """Over those of some classes that are defined in each resample."""
        number = self.defined[:, classes].sum(axis=1)
        return combine_seeds([_quotient(f[:, classes].sum(axis=1), number) for f in self.f], self.num_images)


def class_f_beta(
    seeds: Sequence[np.ndarray], positives: np.ndarray, beta: float = 2.0, *, num_resamples: int = NUM_RESAMPLES
) -> ClassScores:
    """(1 + β²)TP / (β²(TP + FN) + TP + FP) of each class. seeds: decisions among known labels, bool (N, C) each. positives: bool (N, C).

    Raises ValueError unless all have the same shape."""
    num_images = _num_images([positives.shape, *(decided.shape for decided in seeds)])
    square, there = beta * beta, _totals(positives.astype(np.float32), num_resamples)
    found = []
    for decided in seeds:
        hit, tried = (_totals(flags.astype(np.float32), num_resamples) for flags in (decided & positives, decided))
        found.append(np.where(there > 0, _quotient((1 + square) * hit, square * there + tried), 0))
    return ClassScores(tuple(found), there > 0, num_images)


def macro_f_beta(
    seeds: Sequence[np.ndarray], positives: np.ndarray, beta: float = 2.0, *, num_resamples: int = NUM_RESAMPLES
) -> Replicates:
    """The mean of class_f_beta over all classes. A class counts in a resample that holds one of its positives, so that an absent class
    is not a zero. Raises as class_f_beta."""
    return class_f_beta(seeds, positives, beta, num_resamples=num_resamples).mean(range(positives.shape[1]))


def unpack_decisions(packed: np.ndarray, num_classes: int) -> np.ndarray:
    """bool (N, C) of what bench.metrics packs, eight classes a byte."""
    return np.unpackbits(packed, axis=1, count=num_classes).astype(bool)


def _num_images(shapes: Sequence[tuple[int, ...]]) -> int:
    if len(set(shapes)) != 1 or 0 in shapes[0]:
        raise ValueError(f"arrays {', '.join(map(str, shapes)) or 'of no seed'}: expected one or more, of the same images and classes")
    return shapes[0][0]


def _totals(counts: np.ndarray, num_resamples: int) -> np.ndarray:
    """(N, M) of images -> float64 (1 + R, M): their sum, and their weighted sums."""
    weighted = bootstrap_weights(len(counts), num_resamples) @ counts
    return np.concatenate([counts.sum(axis=0, dtype=np.float64)[None], weighted])


def _quotient(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """NaN over nothing."""
    found: np.ndarray = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return found
