"""Intervals and comparisons from per-image counts, by bootstrap over images and seeds.

A method's figures come as one mapping a seed, the arrays of a Summary: hits, num_predictions (N, T, K) and num_positives (N, T)
over the same N test images. A resample draws images with replacement, the same for every method and every seed, so that two
methods are compared on the same images; it also draws seeds with replacement where there are several."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bench.metrics import KS

Arrays = Mapping[str, np.ndarray]
NUM_RESAMPLES = 1000
_KINDS = ("recall", "f1", "accuracy")


class Interval(NamedTuple):
    """A figure and its interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """a - b with its interval and two-sided p."""

    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Replicates:
    """A metric of a method: its value (the mean over seeds), and that of each resample (R,). num_images: those it rests on, 0 for a
    figure that varies with the seed alone; num_seeds: how many of them, where that matters."""

    value: float
    values: np.ndarray
    num_images: int
    num_seeds: int = 0

    def interval(self, confidence: float = 0.95) -> Interval:
        """The percentile interval. Raises ValueError for a confidence outside (0, 1)."""
        low, high = self.percentiles(confidence)
        return Interval(self.value, max(low, 0.0), min(high, 1.0))

    def percentiles(self, confidence: float = 0.95) -> tuple[float, float]:
        """The ends of the percentile interval, for a figure that need not lie in [0, 1]."""
        return _percentiles(self.values, confidence)

    def negative(self) -> Replicates:
        """The same with its sign turned, so that of a figure of which less is better more is."""
        return Replicates(-self.value, -self.values, self.num_images, self.num_seeds)


@dataclass(frozen=True)
class Resamples:
    """Weighted totals of a method's counts: the first of the last axis is the sample itself, the others are resamples.

    hits, num_predictions, num_hit (images with a hit): (S, T, K, 1 + R). num_positives, num_known (images with a positive):
    (S, T, 1 + R). seeds: (1 + R, S), the weights of the seeds, each row sums to 1."""

    hits: np.ndarray
    num_predictions: np.ndarray
    num_hit: np.ndarray
    num_positives: np.ndarray
    num_known: np.ndarray
    seeds: np.ndarray
    num_images: int
    ks: tuple[int, ...]

    def metric(self, name: str, types: Sequence[int] | None = None) -> Replicates:
        """`recall@k`, `f1@k` or `accuracy@k` pooled over the types at the given places of the schema; None: all.

        Accuracy is meant for exclusive types. The value is NaN without positives. Raises ValueError for another metric or k."""
        values = self.metrics(name, [range(self.hits.shape[1]) if types is None else types])[0]
        return Replicates(float(values[0]), values[1:], self.num_images)

    def metrics(self, name: str, pools: Sequence[Sequence[int]]) -> np.ndarray:
        """float64 (P, 1 + R): the same metric over each of several pools of types, over all images and over each resample."""
        kind, column = _parse(name, self.ks)
        by_type = {
            "hits": self.hits[:, :, column],
            "num_predictions": self.num_predictions[:, :, column],
            "num_hit": self.num_hit[:, :, column],
            "num_positives": self.num_positives,
            "num_known": self.num_known,
        }

        def pooled(count: str) -> np.ndarray:
            values = by_type[count]
            return np.stack([values[:, pool[0]] if len(pool) == 1 else values[:, list(pool)].sum(axis=1) for pool in pools])

        top, bottom = _fraction(kind, pooled)  # (P, S, 1 + R)
        present = bottom if kind == "recall" else pooled("num_positives")
        found: np.ndarray = (top / np.where(present > 0, bottom, np.nan) * self.seeds.T).sum(axis=1)
        return found


def bootstrap_weights(num_images: int, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> np.ndarray:
    """float32 (R, N): how often each image is drawn when N are drawn with replacement. The same array for the same arguments."""
    return _weights(num_images, num_resamples, seed)


def resample(seeds: Sequence[Arrays], *, ks: Sequence[int] = KS, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> Resamples:
    """All totals of one method, from the arrays of one or more seeds: one matrix product for every type, metric and k.

    Raises ValueError if there is no seed, no image, or the seeds differ in shape."""
    num_images, num_types, num_ks = _shape(seeds, ks)
    counts, places = _distinct([_columns(arrays) for arrays in seeds])
    totals = np.ascontiguousarray(_totals(counts, num_resamples, seed).T)[places]  # (S, 3 T K + 2 T, 1 + R)
    wide = num_types * num_ks
    by_k = totals[:, : 3 * wide].reshape(len(seeds), 3, num_types, num_ks, -1)
    by_type = totals[:, 3 * wide :].reshape(len(seeds), 2, num_types, -1)
    return Resamples(
        hits=by_k[:, 0],
        num_predictions=by_k[:, 1],
        num_hit=by_k[:, 2],
        num_positives=by_type[:, 0],
        num_known=by_type[:, 1],
        seeds=_seed_weights(len(seeds), num_resamples, seed),
        num_images=num_images,
        ks=tuple(ks),
    )


def replicates(
    seeds: Sequence[Arrays],
    metric: str,
    types: Sequence[int] | None = None,
    *,
    ks: Sequence[int] = KS,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Replicates:
    """resample(seeds).metric(metric, types) for a single metric, several times as fast."""
    kind, column = _parse(metric, ks)
    num_images, _, _ = _shape(seeds, ks)
    chosen, columns = slice(None) if types is None else list(types), []
    for arrays in seeds:
        hits, positives = arrays["hits"][:, chosen, column], arrays["num_positives"][:, chosen]
        counts = {
            "hits": hits,
            "num_predictions": arrays["num_predictions"][:, chosen, column],
            "num_hit": hits > 0,
            "num_positives": positives,
            "num_known": positives > 0,
        }
        summed = {name: count.sum(axis=1, dtype=np.float32) for name, count in counts.items()}
        columns += [*_fraction(kind, summed.__getitem__), summed["num_positives"]]
    top, bottom, known = np.moveaxis(_totals(np.stack(columns, axis=1), num_resamples, seed).reshape(1 + num_resamples, -1, 3), 2, 0)
    return _replicates(top, bottom, known, _seed_weights(len(seeds), num_resamples, seed), num_images)


def metric_interval(
    seeds: Sequence[Arrays],
    metric: str,
    types: Sequence[int] | None = None,
    *,
    ks: Sequence[int] = KS,
    confidence: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """The mean over seeds of one metric and its percentile interval."""
    return replicates(seeds, metric, types, ks=ks, num_resamples=num_resamples).interval(confidence)


def paired_difference(a: Replicates, b: Replicates, confidence: float = 0.95) -> Difference:
    """a - b on the same images, from replicates over the same resamples.

    The interval is the percentile one; p is that of a normal law with the bootstrap's standard error, which unlike a share of
    resamples has no floor and so survives Holm's correction. Where every resample gives the same non-zero difference, p is the
    sign test's 2^(1 - N). Raises ValueError if the images or resamples differ in number."""
    p_value = float(paired_p_values(a, [b])[0])
    return Difference(a.value - b.value, *_percentiles(a.values - b.values, confidence), p_value)


def paired_p_values(a: Replicates, others: Sequence[Replicates]) -> np.ndarray:
    """The p of paired_difference(a, b) for each b, without the intervals. NaN where neither images nor seeds vary: a single seed of a
    figure that has nothing of its images says nothing. A figure that varies with its seeds alone has a paired t test over them.
    Raises as paired_difference."""
    for b in others:
        if a.num_images != b.num_images or a.values.shape != b.values.shape:
            raise ValueError(f"{a.num_images} and {b.num_images} images: a paired comparison needs the same images and resamples")
    values = a.values - np.array([b.values for b in others]).reshape(len(others), len(a.values))
    return np.array([_p_value(a.value - b.value, error, a) for b, error in zip(others, _errors(values), strict=True)])


def p_against(effect: Replicates, bound: float) -> float:
    """Two-sided p of an effect against a value that it should not have, by the same law as that of a difference against zero."""
    error = float(_errors(effect.values[None])[0])
    return _p_value(effect.value - bound, error, effect)


def _errors(values: np.ndarray) -> np.ndarray:
    """(M, R) -> (M,): standard deviations of what is finite, NaN of fewer than two."""
    if not np.isfinite(values).all():
        return np.array([found.std(ddof=1) if len(found := row[np.isfinite(row)]) > 1 else np.nan for row in values])
    errors: np.ndarray = values.std(axis=1, ddof=1)
    return errors


def _p_value(difference: float, error: float, of: Replicates) -> float:
    if difference == 0:
        return 1.0
    if of.num_images == 0:
        return _t_test(difference, error, of.num_seeds)
    if error <= 1e-12 * abs(difference):
        return 2.0 ** (1 - min(of.num_images, 1000))
    return math.erfc(abs(difference) / (error * math.sqrt(2)))


def _t_test(difference: float, error: float, num_seeds: int) -> float:
    """Two-sided, with the bootstrap's error, which is that of a mean over so many seeds."""
    if num_seeds < 2 or not error > 1e-12 * abs(difference):
        return math.nan
    from scipy.special import stdtr

    return float(2 * stdtr(num_seeds - 1, -abs(difference) / error))


def combine_seeds(seeds: Sequence[np.ndarray], num_images: int, *, seed: int = 0) -> Replicates:
    """One figure from what each seed has for it, (1 + R,) each: over all images, then over each resample of them.

    num_images: those that were resampled, 0 for a figure that varies with the seed alone."""
    values = np.stack(seeds, axis=1)  # (1 + R, S)
    weighted = (values * _seed_weights(values.shape[1], len(values) - 1, seed)).sum(axis=1)
    return Replicates(float(weighted[0]), weighted[1:], num_images, len(seeds))


def mean_replicates(parts: Sequence[Replicates]) -> Replicates:
    """The plain mean of several figures over the same resamples. Raises ValueError where their resamples differ in number."""
    if len({part.values.shape for part in parts}) != 1:
        raise ValueError(f"{len(parts)} figures: expected at least one, and the same resamples of each")
    values = np.mean([part.values for part in parts], axis=0)
    num_seeds = min(part.num_seeds for part in parts)  # of a t test, so that the fewest count
    return Replicates(float(np.mean([part.value for part in parts])), values, parts[0].num_images, num_seeds)


def percentile_intervals(figures: Sequence[Replicates], confidence: float = 0.95) -> np.ndarray:
    """(M, 2): the percentile intervals of many figures in one go, NaN for one without defined resamples."""
    ends = np.full((len(figures), 2), np.nan)
    if not figures:
        return ends
    values = np.array([figure.values for figure in figures])
    whole = np.isfinite(values).all(axis=1)
    if whole.any():
        ends[whole] = np.quantile(values[whole], [(1 - confidence) / 2, (1 + confidence) / 2], axis=1).T
    for place in np.flatnonzero(~whole):
        ends[place] = _percentiles(values[place], confidence)
    return ends


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p values, in the order given: the i-th smallest of m (from 0) becomes the running maximum of
    (m - i) p, at most 1."""
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)), 1)
    return adjusted


def tied_with_best(methods: Mapping[str, Replicates], alpha: float = 0.05) -> set[str]:
    """The best method and all that cannot be told from it: Holm-adjusted p of the paired difference >= alpha. Methods whose value
    is NaN take no part."""
    defined = {name: replicates for name, replicates in methods.items() if not math.isnan(replicates.value)}
    if not defined:
        return set()
    best = max(defined, key=lambda name: defined[name].value)
    others = [name for name in defined if name != best]
    adjusted = holm(paired_p_values(defined[best], [defined[name] for name in others]))
    return {best, *(name for name, p_value in zip(others, adjusted, strict=True) if p_value >= alpha)}


def _parse(metric: str, ks: Sequence[int]) -> tuple[str, int]:
    """`recall@3` -> recall, place of 3 in ks."""
    kind, _, k = metric.partition("@")
    if kind not in _KINDS or k not in map(str, ks):
        choices = ", ".join(f"{kind}@{k}" for kind in _KINDS for k in ks)
        raise ValueError(f"no per-image counts for metric {metric!r}; there are {choices}")
    return kind, list(map(str, ks)).index(k)


def _shape(seeds: Sequence[Arrays], ks: Sequence[int]) -> tuple[int, ...]:
    shapes = {arrays["hits"].shape for arrays in seeds}
    if len(shapes) != 1 or 0 in (shape := shapes.pop()):
        raise ValueError(f"arrays of {len(seeds)} seeds: expected one or more, over the same images, types and ks")
    if shape[2] != len(ks):
        raise ValueError(f"hits {shape}: expected {len(ks)} values of k: {', '.join(map(str, ks))}")
    return tuple(shape)


def _fraction(kind: str, count: Callable[[str], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of a metric; linear, so of images as well as of totals. count: hits, num_predictions, num_hit,
    num_positives and num_known, by name."""
    if kind == "accuracy":
        return count("num_hit"), count("num_known")
    if kind == "recall":
        return count("hits"), count("num_positives")
    return 2 * count("hits"), count("num_positives") + count("num_predictions")


def _replicates(top: np.ndarray, bottom: np.ndarray, num_positives: np.ndarray, seeds: np.ndarray, num_images: int) -> Replicates:
    """All (1 + R, S)."""
    values = (top / np.where(num_positives > 0, bottom, np.nan) * seeds).sum(axis=1)
    return Replicates(float(values[0]), values[1:], num_images)


def _totals(counts: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """(N, M) counts of images -> float64 (1 + R, M): their sum, and their weighted sums."""
    weighted = _weights(len(counts), num_resamples, seed) @ counts
    return np.concatenate([counts.sum(axis=0, dtype=np.float64)[None], weighted])


@lru_cache(maxsize=4)  # one entry is 160 MB at 40,000 images
def _weights(num_images: int, num_resamples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, num_images, num_resamples])
    weights = np.empty((num_resamples, num_images), dtype=np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(num_images, size=num_images), minlength=num_images)
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=32)
def _seed_weights(num_seeds: int, num_resamples: int, seed: int) -> np.ndarray:
    """float64 (1 + R, S): the first row is even. Deviations from even are stretched by √(S / (S - 1)), since a bootstrap over S
    seeds has only (S - 1) / S of their variance, which matters at three."""
    even = np.full((1 + num_resamples, num_seeds), 1 / num_seeds)
    if num_seeds > 1:
        rng = np.random.default_rng([seed, num_seeds, num_resamples, 1])
        drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num_resamples) / num_seeds
        even[1:] += (drawn - even[1:]) * math.sqrt(num_seeds / (num_seeds - 1))
    even.flags.writeable = False
    return even


def _columns(arrays: Arrays) -> np.ndarray:
    """float32 (3 T K + 2 T, N): hits, predictions, whether hit; positives, whether any. Their sums are exact up to 2^24."""
    hits, num_positives = arrays["hits"], arrays["num_positives"]
    parts = [hits, arrays["num_predictions"], hits > 0, num_positives, num_positives > 0]
    return np.concatenate([part.reshape(len(hits), -1) for part in parts], axis=1).T.astype(np.float32, order="C")


def _distinct(seeds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(M, N) a seed -> float32 (N, D), the counts that differ, and (S, M), which of them each is. What the labels alone decide is the same
    for every seed, and exclusive types hit once or not at all, so that D is a third of S M."""
    places: dict[bytes, int] = {}
    kept: list[np.ndarray] = []
    found: list[int] = []
    for column in (column for columns in seeds for column in columns):
        place = places.setdefault(column.tobytes(), len(kept))
        if place == len(kept):
            kept.append(column)
        found.append(place)
    return np.stack(kept, axis=1), np.array(found).reshape(len(seeds), -1)


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: expected a number between 0 and 1")
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
