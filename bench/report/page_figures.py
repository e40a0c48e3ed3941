"""The leaderboard as columns for the page: cells, dictionaries, and blocks of figures, as many as the page has room for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.report.figures import extras
from bench.report.leaderboard import ALL, AT_FLOOR, COUNTED, LOWER_IS_BETTER, OTHERS
from bench.report.page_codec import pack, quantise, quantise_intervals, to_json, unit_of
from bench.report.render import PRIMARY

CELL = ("dataset", "source", "method", "label_fraction", "corruption", "severity")
TIED, FLOOR = 1, 2  # bits of a figure's flags
_ORDER = ("dataset", "source", "severity", "corruption", "label_fraction", "method")  # of the cells: a data set's clean ones come first
_OTHER_COUNTED = tuple(name for name in COUNTED if name != PRIMARY)


class _Group(NamedTuple):
    """Figures that enter the page together, or not at all. clean: None for clean and corrupted. pooled: of all types."""

    text: str
    clean: bool | None
    pooled: bool
    metrics: tuple[str, ...]


_GROUPS = (  # most wanted first
    _Group(f"{PRIMARY} of all types", None, True, (PRIMARY,)),
    _Group(f"{PRIMARY} of each type, clean", True, False, (PRIMARY,)),
    _Group("other metrics of all types, clean", True, True, (*_OTHER_COUNTED, *OTHERS)),
    _Group("recall@3 of all types under corruption", False, True, ("recall@3",)),
    _Group("other metrics of each type, clean", True, False, (*_OTHER_COUNTED, *OTHERS)),
    _Group("recall@1, recall@5 and accuracy@1 of all types under corruption", False, True, ("recall@1", "recall@5", "accuracy@1")),
    _Group("other metrics of all types under corruption", False, True, OTHERS),
    _Group(f"{PRIMARY} of each type under corruption", False, False, (PRIMARY,)),
    _Group("other metrics of each type under corruption", False, False, (*_OTHER_COUNTED, *OTHERS)),
)


def encode_figures(frame: pd.DataFrame, max_bytes: int) -> dict[str, Any]:
    """Dictionaries, cells and blocks. All cells come; of the figures as many groups as max_bytes allow, and `left_out` names the rest.

    A block is a matrix (cells, kinds) of a range of cells, its columns quantised; a kind is [attribute, metric, step]."""
    columns = _Columns(frame)
    found = {**columns.dictionaries(), **columns.cells()}
    max_bytes -= len(to_json(found).encode()) + sum(len(group.text) + 5 for group in _GROUPS)
    blocks: list[dict[str, Any]] = []
    left_out: list[str] = []
    for group in _GROUPS:
        new = list(columns.blocks(group))
        size = sum(_size(block) for block in new)
        if size > max_bytes:
            left_out.append(group.text)
            continue
        max_bytes -= size
        blocks += new
    return {**found, "blocks": blocks, "left_out": left_out}


def _size(block: dict[str, Any]) -> int:
    return len(to_json(block)) + 1


class _Columns:
    """The frame's columns as numbers, its rows sorted by cell."""

    def __init__(self, frame: pd.DataFrame) -> None:
        codes, self.names = {}, {}
        for column in (*CELL, "attribute", "metric"):
            codes[column], levels = pd.factorize(frame[column], sort=column not in ("attribute", "metric"))
            self.names[column] = levels.tolist()
        packed = np.zeros(len(frame), dtype=np.int64)
        for column in _ORDER:
            packed = packed * len(self.names[column]) + codes[column]
        _, cell_of = np.unique(packed, return_inverse=True)
        rows = np.argsort(cell_of, kind="stable")
        self.cell = cell_of[rows]
        self.num_cells = int(cell_of.max(initial=-1)) + 1
        self.codes = {name: values[rows].astype(np.int64) for name, values in codes.items()}
        self.first = np.searchsorted(self.cell, np.arange(self.num_cells))
        self.kind = self.codes["attribute"] * len(self.names["metric"]) + self.codes["metric"]
        self.figures = {name: frame[name].to_numpy(dtype=np.float64)[rows] for name in ("mean", "ci_low", "ci_high")}
        self.status = frame["status"].to_numpy()[rows]
        self.seeds = frame["n_seeds"].to_numpy()[rows].astype(np.int64)
        tied = frame["tied_with_best"].astype(str).eq("True").to_numpy()[rows]
        floor = frame["status"].str.endswith(AT_FLOOR).to_numpy()[rows]
        self.flags = (TIED * tied + FLOOR * floor).astype(np.uint8)
        self.steps = [
            unit_of(self.figures["mean"][self.codes["metric"] == number]) if name else 0.0
            for number, name in enumerate(self.names["metric"])
        ]
        self.ranges = self._ranges()

    def _ranges(self) -> list[tuple[int, int, int, int]]:
        """(first row, first cell, first corrupted cell, end) of each data set and source."""
        severity = np.array(self.names["severity"], dtype=np.int64)[self.codes["severity"][self.first]]
        worlds = self.codes["dataset"][self.first] * len(self.names["source"]) + self.codes["source"][self.first]
        starts = np.flatnonzero(np.diff(worlds, prepend=-1))
        ends = [*starts[1:].tolist(), self.num_cells][: len(starts)]
        return [
            (int(self.first[start]), int(start), int(start + np.searchsorted(severity[start:end], 1)), end)
            for start, end in zip(starts, ends, strict=True)
        ]

    def dictionaries(self) -> dict[str, Any]:
        names = self.names
        sets = [(names["dataset"][self.codes["dataset"][row]], names["source"][self.codes["source"][row]]) for row, *_ in self.ranges]
        return {
            "datasets": [
                {"name": str(name), "source": str(source), "range": place[1:]}
                for (name, source), place in zip(sets, self.ranges, strict=True)
            ],
            "methods": names["method"],
            "corruptions": names["corruption"],
            "extras": [name for name in names["corruption"] if name in extras()],
            "fractions": [float(value) for value in names["label_fraction"]],
            "attributes": names["attribute"],
            "metrics": names["metric"],
            "lower_is_better": sorted(LOWER_IS_BETTER),
            "all": ALL,
            "primary": PRIMARY,
        }

    def cells(self) -> dict[str, Any]:
        """What each cell is and what became of it; a figure at the floor says nothing of its cell."""
        said = np.full(self.num_cells, "ok", dtype=object)
        more = self.status != AT_FLOOR
        said[self.cell[more]] = self.status[more]
        status, levels = pd.factorize(pd.Series(said).str.removesuffix(f", {AT_FLOOR}"))
        seeds = np.zeros(self.num_cells, dtype=np.int64)
        np.maximum.at(seeds, self.cell, self.seeds)
        severity = np.array(self.names["severity"], dtype=np.int64)[self.codes["severity"][self.first]]
        columns = {
            "method": pack(self.codes["method"][self.first], "u2"),
            "fraction": pack(self.codes["label_fraction"][self.first], "u1"),
            "corruption": pack(self.codes["corruption"][self.first], "u1"),
            "severity": pack(severity, "u1"),
            "seeds": pack(np.minimum(seeds, 255), "u1"),
            "status": pack(status, "u2"),
        }
        return {"statuses": [str(level) for level in levels], "num_cells": self.num_cells, "cells": columns}

    def blocks(self, group: _Group) -> Iterator[dict[str, Any]]:
        """One a data set and kind of figure, those with an interval apart from those without."""
        pooled = np.array([name == ALL for name in self.names["attribute"]])
        for number, (_, low, middle, high) in enumerate(self.ranges):
            start, stop = (low, high) if group.clean is None else (low, middle) if group.clean else (middle, high)
            bounds = np.searchsorted(self.cell, [start, stop])
            rows = np.arange(*bounds)
            wanted = np.array([name in group.metrics for name in self.names["metric"]])
            rows = rows[wanted[self.codes["metric"][rows]] & (pooled[self.codes["attribute"][rows]] == group.pooled)]
            bounded = np.isin(self.kind[rows], self.kind[rows][np.isfinite(self.figures["ci_low"][rows])])
            for with_interval in (True, False):
                mine = rows[bounded == with_interval]
                if len(mine):
                    yield self._block(number, start, stop, mine, with_interval=with_interval)

    def _block(self, dataset: int, start: int, stop: int, rows: np.ndarray, *, with_interval: bool) -> dict[str, Any]:
        kinds, place = np.unique(self.kind[rows], return_inverse=True)
        attributes, metrics = np.divmod(kinds, len(self.names["metric"]))
        steps = np.array([self.steps[metric] for metric in metrics])
        where = self.cell[rows] - start, place

        def dense(name: str) -> np.ndarray:
            values = np.full((stop - start, len(kinds)), np.nan)
            values[where] = self.figures[name][rows]
            return values

        described = [[int(a), int(m), float(f"{step:g}")] for a, m, step in zip(attributes, metrics, steps, strict=True)]
        mean = pack(quantise(dense("mean"), steps), "u2")
        block: dict[str, Any] = {"dataset": dataset, "start": start, "stop": stop, "kinds": described, "mean": mean}
        if with_interval:
            flags = np.zeros((stop - start, len(kinds)), dtype=np.uint8)
            flags[where] = self.flags[rows]
            low, high = quantise_intervals(dense("ci_low"), dense("ci_high"), steps)
            block |= {"low": pack(low, "u2"), "high": pack(high, "u2"), "flags": pack(flags, "u1")}
        return block
