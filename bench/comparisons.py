"""Comparisons over many conditions: mean ranks with their critical difference, the area under a label curve, the cheapest best methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.statistics import Replicates


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of methods over blocks, best first. p_value: Friedman's, that all are alike. critical_difference: mean ranks further
    apart than this differ (Nemenyi). groups: runs of methods, as places in the order, that cannot be told apart."""

    names: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    num_blocks: int
    p_value: float
    critical_difference: float
    groups: tuple[tuple[int, int], ...]

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Ranking:
        """What JSON made of dataclasses.asdict, lists for tuples."""
        return cls(**{**fields, "groups": tuple((first, last) for first, last in fields["groups"])})


def rank_methods(scores: Mapping[str, Sequence[float]], alpha: float = 0.05) -> Ranking:
    """scores: method -> its figure in each block, higher is better (Demšar, 2006). Equal figures share the mean of their places.

    Raises ValueError for fewer than three methods or two blocks, or figures of differing number."""
    names, table = list(scores), np.array([list(values) for values in scores.values()], dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 2:
        raise ValueError(f"{len(names)} methods: expected three or more, with the same two blocks or more each")
    ranks = np.array([_ranks(-block) for block in table.T])  # (blocks, methods)
    means = ranks.mean(axis=0)
    order = sorted(range(len(names)), key=lambda place: (means[place], names[place]))
    difference = critical_difference(len(names), table.shape[1], alpha)
    found = tuple(float(means[place]) for place in order)
    return Ranking(tuple(names[place] for place in order), found, table.shape[1], friedman(table), difference, _groups(found, difference))


def friedman(table: np.ndarray) -> float:
    """p of Friedman's test with its correction for ties. table: (methods, blocks). 1 where every block is all ties."""
    from scipy.special import chdtrc

    methods, blocks = table.shape
    ranks = np.array([_ranks(-block) for block in table.T])
    ties = sum(float((counts**3 - counts).sum()) for counts in (np.unique(block, return_counts=True)[1] for block in table.T))
    correction = 1 - ties / (blocks * (methods**3 - methods))
    if correction <= 0:
        return 1.0
    spread = 12 / (blocks * methods * (methods + 1)) * float((ranks.sum(axis=0) ** 2).sum()) - 3 * blocks * (methods + 1)
    return float(chdtrc(methods - 1, spread / correction))


def critical_difference(num_methods: int, num_blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's: q_α √(k (k + 1) / 6 N), where q_α is the studentised range over √2."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, num_methods, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(num_methods * (num_methods + 1) / (6 * num_blocks))


def complete_blocks(figures: Mapping[str, Mapping[str, float]], least: int = 1) -> tuple[list[str], list[str]]:
    """The methods and blocks of the largest table without a gap that has as many blocks as `least`, where methods come in by how many
    blocks they have; nothing where there is none. figures: method -> block -> figure."""
    order = sorted(figures, key=lambda name: (-len(figures[name]), name))
    best: tuple[list[str], list[str]] = [], []
    for count in range(1, len(order) + 1):
        common = sorted(set.intersection(*(set(figures[name]) for name in order[:count])))
        if len(common) >= least and count * len(common) >= len(best[0]) * len(best[1]):
            best = order[:count], common
    return best


def area_under_curve(points: Mapping[float, Replicates]) -> Replicates:
    """The mean height of a figure over label fractions, on a logarithmic axis: trapezoids between neighbouring fractions, over the
    width, so that every doubling of the labels counts the same. Raises ValueError for fewer than two fractions."""
    if len(points) < 2:
        raise ValueError(f"{len(points)} label fractions: expected two or more")
    fractions = sorted(points)
    places = np.log2(fractions)
    widths = np.diff(places)
    weights = (np.append(widths, 0) + np.append(0, widths)) / 2 / (places[-1] - places[0])
    found = [points[fraction] for fraction in fractions]
    values = sum(weight * each.values for weight, each in zip(weights, found, strict=True))
    value = float(sum(weight * each.value for weight, each in zip(weights, found, strict=True)))
    return Replicates(value, np.asarray(values), found[0].num_images, found[0].num_seeds)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The methods that no other beats in both, cheapest first. points: method -> (cost, figure), less cost and more of the figure is
    better; a method that equals another in both stays."""

    def beaten(name: str) -> bool:
        cost, figure = points[name]
        return any(c <= cost and f >= figure and (c, f) != (cost, figure) for c, f in points.values())

    return sorted((name for name in points if not beaten(name)), key=lambda name: (points[name], name))


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 for the smallest; equal values share the mean of their places."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    ranks: np.ndarray = below + (equal + 1) / 2
    return ranks


def _groups(mean_ranks: Sequence[float], difference: float) -> tuple[tuple[int, int], ...]:
    """The longest runs (first, last) of two or more methods within the critical difference, none inside another."""
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(mean_ranks):
        last = max(place for place, other in enumerate(mean_ranks) if other - rank <= difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return tuple(runs)
