"""Which training images show their labels, and which join the unlabelled pool.

One seeded ranking of the training rows serves every fraction: its first part is the label set, so 25 % lies inside 50 %. The ranking
is stratified over multi-labels in the spirit of Sechidis, Tsoumakas & Vlahavas (ECML PKDD 2011), rarest class first, but for all
prefixes at once: rows are sorted by their classes, rarest first, so that neighbours share rare classes; the two of each pair of
neighbours go to different halves, whichever way evens out the classes; and the first half, halved again, is ranked before the second."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping

import numpy as np

from bench.protocol import POSITIVE

_LEAF = 16  # rows of a part so small are ranked by chance
_DEPTH = 8  # rows are sorted by so many of their rarest classes


def label_ranking(labels: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """All training rows, int64 (N,), in the order in which their labels are shown. labels: type -> int8 (N, C).

    The first rows hold one image of every class that has any; the rest keep the classes' shares."""
    values = list(labels.values())
    rng = np.random.Generator(np.random.PCG64(int(hashlib.sha256(f"label set {seed}".encode()).hexdigest()[:16], 16)))
    num_rows = len(values[0])
    rows, classes, num_classes = _positives(values)
    ties = rng.random(num_rows)
    order = np.lexsort((ties, *_rarest(rows, classes, num_rows).T[::-1]))
    ranking = np.array(_spread(order.tolist(), _lists(rows, classes, num_rows), ties.tolist(), num_classes), dtype=np.int64)
    first = _cover(rows, classes, ranking, num_classes)
    return np.concatenate([first, ranking[~np.isin(ranking, first)]]).astype(np.int64)


def label_set(labels: Mapping[str, np.ndarray], fraction: float, seed: int) -> np.ndarray:
    """Training rows whose labels are shown: ascending int64, round(fraction * N) of them and at least one."""
    return np.sort(label_ranking(labels, seed)[: num_shown(fraction, len(next(iter(labels.values()))))])


def num_shown(fraction: float, num_rows: int) -> int:
    """Size of the label set. Raises ValueError unless 0 < fraction <= 1."""
    if not 0 < fraction <= 1:
        raise ValueError(f"label fraction {fraction}, expected more than 0 and at most 1")
    return max(1, int(fraction * num_rows + 0.5))


def unlabeled_pool(ranking: np.ndarray, num_labeled: int, num_extra: int, multiple: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows without labels: (training rows outside the label set, positions in the data set's own unlabelled split), ascending.

    There are round(multiple * number of training rows) of them, or all there are. Training rows outside the label set are taken
    first, in the order of the ranking, then the unlabelled split in its own order; so pools of one fraction are nested too, and
    multiple 1 of a data set without an unlabelled split is every training row outside the label set.
    Raises ValueError if multiple is negative."""
    if not multiple >= 0:
        raise ValueError(f"unlabelled multiple {multiple}, expected 0 or more")
    available = len(ranking) - num_labeled + num_extra
    wanted = min(available, multiple * len(ranking))  # also where multiple is infinite
    outside = ranking[num_labeled:][: int(wanted + 0.5)]
    return np.sort(outside), np.arange(int(wanted + 0.5) - len(outside), dtype=np.int64)


def _spread(order: list[int], classes: list[list[int]], ties: list[float], num_classes: int) -> list[int]:
    """Ranks rows so that each half, quarter, eighth ... of the ranking has its share of every class."""
    if len(order) <= _LEAF:
        return sorted(order, key=ties.__getitem__)
    first, second = _halve(order, classes, ties, num_classes)
    return _spread(first, classes, ties, num_classes) + _spread(second, classes, ties, num_classes)


def _halve(order: list[int], classes: list[list[int]], ties: list[float], num_classes: int) -> tuple[list[int], list[int]]:
    """Splits neighbours, each pair the way that leaves the smaller imbalance; order is kept within the halves."""
    excess = [0] * num_classes  # images of a class in the first half less those in the second
    first, second = [], []
    for one, other in zip(order[::2], order[1::2], strict=False):
        tilt = sum([excess[c] for c in classes[one]]) - sum([excess[c] for c in classes[other]])
        if tilt > 0 or (tilt == 0 and ties[one] < ties[other]):
            one, other = other, one
        first.append(one)
        second.append(other)
        for c in classes[one]:
            excess[c] += 1
        for c in classes[other]:
            excess[c] -= 1
    if len(order) % 2:
        last = order[-1]
        (second if sum([excess[c] for c in classes[last]]) > 0 else first).append(last)
    return first, second


def _lists(rows: np.ndarray, classes: np.ndarray, num_rows: int) -> list[list[int]]:
    """The classes of each row."""
    bounds = np.searchsorted(rows, np.arange(num_rows + 1)).tolist()
    flat = classes.tolist()
    return [flat[begin:end] for begin, end in itertools.pairwise(bounds)]


def _positives(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Row and class of each positive label, sorted by row; class 0 is the rarest, classes without any are not counted."""
    rows, classes, num_classes = [], [], 0
    for value in values:
        row, column = np.nonzero(value == POSITIVE)
        rows.append(row)
        classes.append(column + num_classes)
        num_classes += value.shape[1]
    row, column = np.concatenate(rows), np.concatenate(classes)
    counts = np.bincount(column, minlength=num_classes)
    rarity = np.empty(num_classes, np.int64)
    by_count = np.argsort(counts, kind="stable")
    by_count = np.concatenate([by_count[counts[by_count] > 0], by_count[counts[by_count] == 0]])
    rarity[by_count] = np.arange(num_classes)
    order = np.lexsort((rarity[column], row))
    return row[order], rarity[column][order], int((counts > 0).sum())


def _rarest(rows: np.ndarray, classes: np.ndarray, num_rows: int) -> np.ndarray:
    """(N, depth): each row's rarest classes, rarest first, filled up with a class after all others."""
    filler = int(classes.max(initial=0)) + 1
    table = np.full((num_rows, _DEPTH), filler, np.int64)
    starts = np.searchsorted(rows, np.arange(num_rows))
    place = np.arange(len(rows)) - starts[rows]
    kept = place < _DEPTH
    table[rows[kept], place[kept]] = classes[kept]
    return table


def _cover(rows: np.ndarray, classes: np.ndarray, ranking: np.ndarray, num_classes: int) -> np.ndarray:
    """For each class that no chosen row shows yet, rarest first, its earliest row; in the order of the ranking."""
    rank = np.empty(len(ranking), np.int64)
    rank[ranking] = np.arange(len(ranking))
    by_class = np.lexsort((rank[rows], classes))
    starts = np.searchsorted(classes[by_class], np.arange(num_classes))
    earliest = rows[by_class[starts]] if num_classes else np.empty(0, np.int64)
    begins, ends = np.searchsorted(rows, earliest), np.searchsorted(rows, earliest, side="right")
    covered, chosen = np.zeros(num_classes, bool), []
    for index in range(num_classes):
        if not covered[index]:
            chosen.append(earliest[index])
            covered[classes[begins[index] : ends[index]]] = True
    return np.array(sorted(chosen, key=lambda row: rank[row]), dtype=np.int64)
