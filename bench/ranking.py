"""Who is in the top k. Every figure @k comes from one count of larger scores for each positive; nothing is sorted.

Two rules hold everywhere: a tie goes to the class of lower index, and a class scored -inf is never ranked, so that a positive
at -inf is a miss at every k and a row predicts min(k, classes above -inf) classes. Classes with unknown labels are ranked like
any other; a prediction there counts as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.protocol import POSITIVE

UNRANKED = int(np.iinfo(np.int32).max)  # the rank of a positive at -inf: below every k
_BLOCK_VALUES = 1 << 19  # scores compared at a time: 2 MiB of float32, which stays in the cache


class Positives(NamedTuple):
    """The positives of a label matrix in row order. rows, classes: int64 (P,). ranks: int32 (P,), 0 is the top."""

    rows: np.ndarray
    classes: np.ndarray
    ranks: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """The counts of one attribute type. num_positives, num_ranked: int64 (N,), positives and classes above -inf of each image."""

    positives: Positives
    num_positives: np.ndarray
    num_ranked: np.ndarray
    num_classes: int

    def hits(self, k: int) -> np.ndarray:
        """int64 (N,): positives among the top k."""
        return np.bincount(self.positives.rows[self.positives.ranks < k], minlength=len(self.num_positives))

    def num_predictions(self, k: int) -> np.ndarray:
        """int64 (N,): classes that make up the top k."""
        return self.num_ranked.clip(max=k)

    def class_recalls(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """recall@k of each class (C,), NaN without positives, and its number of positives (C,)."""
        support = np.bincount(self.positives.classes, minlength=self.num_classes)
        found = np.bincount(self.positives.classes[self.positives.ranks < k], minlength=self.num_classes)
        return np.where(support > 0, found / np.maximum(support, 1), np.nan), support


def check_scores(scores: np.ndarray, labels: np.ndarray) -> float:
    """The lowest score, +inf of none. Raises ValueError unless both are (N, C) with C >= 1 and no score is NaN."""
    if scores.ndim != 2 or scores.shape != labels.shape or scores.shape[1] == 0:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape}: expected the same (images, classes) with at least one class")
    lowest = float(scores.min(initial=np.inf))
    if np.isnan(lowest):  # the minimum of anything with a NaN is NaN
        raise ValueError(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN")
    return lowest


def positive_ranks(scores: np.ndarray, labels: np.ndarray) -> Positives:
    """For each positive, how many classes of its row come before it: those that score higher, and equal ones of lower index.

    scores: float (N, C). labels: int8 (N, C) of 1, 0 and -1. A positive at -inf has the rank UNRANKED. Raises ValueError if the
    shapes differ or a score is NaN or +inf, which is what an overflow leaves and would tie with every other one."""
    return rank(scores, labels).positives


def rank(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """positive_ranks, and the counts per image that the figures @k need beside them."""
    lowest = check_scores(scores, labels)
    if scores.max(initial=-np.inf) == np.inf:
        raise ValueError(f"{int((scores == np.inf).sum())} of {scores.size} scores are +inf")
    positives = _positive_ranks(scores, labels)
    num_images, num_classes = scores.shape
    num_ranked = np.count_nonzero(scores > -np.inf, axis=1) if lowest == -np.inf else np.full(num_images, num_classes)
    return Ranking(positives, np.bincount(positives.rows, minlength=num_images), num_ranked, num_classes)


def hits(scores: np.ndarray, labels: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """int64 (N, K): how many positives of an image are among its k best classes."""
    ranking = rank(scores, labels)
    return np.stack([ranking.hits(k) for k in ks], axis=1)


def recall(rankings: Sequence[Ranking], k: int) -> float:
    """TP_k / G, micro: both summed over images and over the given types (MTSS, App. C; Liu & Lu). NaN without positives."""
    num_positives = sum(len(ranking.positives.ranks) for ranking in rankings)
    return _true_positives(rankings, k) / num_positives if num_positives else float("nan")


def f1(rankings: Sequence[Ranking], k: int) -> float:
    """2 TP_k / (predictions + G). Every image predicts k classes, also one without positives (MTSS, App. C); one that ranks fewer
    predicts these. NaN without positives."""
    num_positives = sum(len(ranking.positives.ranks) for ranking in rankings)
    num_predictions = sum(int(ranking.num_predictions(k).sum()) for ranking in rankings)
    return 2 * _true_positives(rankings, k) / (num_predictions + num_positives) if num_positives else float("nan")


def accuracy(rankings: Sequence[Ranking], k: int) -> float:
    """Of exclusive types: images with their class in the top k / images whose class is known. NaN where none is known."""
    known = sum(int((ranking.num_positives > 0).sum()) for ranking in rankings)
    return sum(int((ranking.hits(k) > 0).sum()) for ranking in rankings) / known if known else float("nan")


def macro_recall(ranking: Ranking, k: int, best: int = 50) -> float:
    """recall@k per class, then the mean over the best so many classes, over all where fewer have positives. mmfashion's figure
    where the ranking spans all attributes. NaN without positives."""
    recalls, support = ranking.class_recalls(k)
    chosen = np.sort(recalls[support > 0])[-best:]
    return float(chosen.mean()) if len(chosen) else float("nan")


def top_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """int16 (N, k): the best classes of each row, best first, by the rules above; -1 where there are fewer than k."""
    top = np.full((len(scores), k), -1, dtype=np.int16)
    step = max(1, _BLOCK_VALUES // scores.shape[1])
    for start in range(0, len(scores), step):
        left = scores[start : start + step].copy()
        rows = np.arange(len(left))
        for place in range(min(k, scores.shape[1])):  # k passes of argmax, which takes the first of equals
            best = left.argmax(axis=1)
            top[start : start + step, place] = np.where(left[rows, best] > -np.inf, best, -1)
            left[rows, best] = -np.inf
    return top


def _positive_ranks(scores: np.ndarray, labels: np.ndarray) -> Positives:
    flat = np.flatnonzero(labels.ravel() == POSITIVE)  # on the flattened matrix: nine times as fast as np.nonzero
    rows, classes = np.divmod(flat, scores.shape[1])
    own = scores.ravel()[flat]
    ranks = np.full(len(flat), UNRANKED, dtype=np.int32)
    todo = np.flatnonzero(own > -np.inf)
    step = max(1, _BLOCK_VALUES // scores.shape[1])
    for part in (todo[start : start + step] for start in range(0, len(todo), step)):
        ranks[part] = _num_ahead(scores.take(rows[part], axis=0), own[part], classes[part])
    return Positives(rows, classes, ranks)


def _true_positives(rankings: Sequence[Ranking], k: int) -> int:
    return sum(int(np.count_nonzero(ranking.positives.ranks < k)) for ranking in rankings)


def _num_ahead(scores: np.ndarray, own: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """scores: (P, C), the rows of P positives. own: (P,), their scores. classes: (P,)."""
    larger = _count(scores > own[:, None])
    tied = np.flatnonzero(_count(scores >= own[:, None]) > larger + 1)  # somebody else has the same score
    if len(tied):
        earlier = np.arange(scores.shape[1]) < classes[tied, None]
        larger[tied] += _count((scores[tied] == own[tied, None]) & earlier)
    return larger


def _count(mask: np.ndarray) -> np.ndarray:
    """True values of each row, int32; a sum of bytes is faster than np.count_nonzero along an axis."""
    counts: np.ndarray = np.add.reduce(mask.view(np.uint8), axis=1, dtype=np.uint16 if mask.shape[1] < 1 << 16 else np.uint32)
    return counts.astype(np.int32)
