"""Figures of groups of records with their resamples: what tables, claims and plots are made of. Nothing here imports torch.

A group is one method under one condition on one data set, with a record a seed. Every figure of it comes as Replicates over the same
resampled images, so that any two groups on the same images can be compared in pairs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bench.report.leaderboard import method_label
from bench.statistics import NUM_RESAMPLES, Arrays, Replicates, Resamples, bootstrap_weights, combine_seeds, mean_replicates, resample
from bench.store import Record, Store

ALL = "all"
CATEGORY = "category"
NUM_CONDITIONS = 75


class Cell(NamedTuple):
    """What a record is of, less its seed."""

    method: str
    dataset: str
    source: str
    preset: str
    label_fraction: float
    pool: str
    corruption: str
    severity: int


def cell_of(record: Record) -> Cell:
    """The cell that a record belongs to."""
    pool = record["protocol_id"].rpartition("pool=")[2]
    condition = record["corruption"], record["severity"]
    return Cell(method_label(record), record["dataset"], record["source"], record["preset"], record["label_fraction"], pool, *condition)


@dataclass
class Group:
    """The records of one cell, a seed each; those that are not ok only count."""

    records: list[Record]
    store: Store
    statuses: Counter = field(init=False)

    def __post_init__(self) -> None:
        self.statuses = Counter(record["status"] for record in self.records)
        self.ok = sorted((record for record in self.records if record["status"] == "ok"), key=lambda record: record["seed"])

    @cached_property
    def arrays(self) -> list[Arrays]:
        return [self.store.load_arrays(record["predictions_path"]) for record in self.ok]

    @cached_property
    def resamples(self) -> Resamples:
        return resample(self.arrays)

    @property
    def types(self) -> list[str]:
        return list(self.ok[0]["per_attribute"])

    def replicates(self, attribute: str, metric: str) -> Replicates | None:
        """A metric of a type, of all types pooled, or of a class; None where nobody defines it."""
        if not self.ok:
            return None
        if attribute == ALL:
            return self._pooled(metric)
        if attribute in self.types:
            return self._counted(metric, [self.types.index(attribute)]) or self._plain(
                [record["per_attribute"][attribute].get(metric) for record in self.ok]
            )
        return self._of_class(attribute, metric)

    def _pooled(self, metric: str) -> Replicates | None:
        values = [record["metrics"].get(metric) for record in self.ok]
        name, _, variant = metric.partition("/")
        if variant == "all_mean":
            kinds = [kind for kind in self.types if kind != CATEGORY] or self.types
            return self._mean(name, kinds)
        if metric == "mean_accuracy":
            return self._mean("accuracy@1", [kind for kind in self.types if "accuracy@1" in self.ok[0]["per_attribute"][kind]])
        if metric.startswith("accuracy@"):
            kinds = [kind for kind in self.types if metric in self.ok[0]["per_attribute"][kind]]
            return self._counted(metric, [self.types.index(kind) for kind in kinds]) if kinds else None
        return self._counted(metric, None) or self._plain(values)

    def _mean(self, metric: str, kinds: Sequence[str]) -> Replicates | None:
        parts = [self._counted(metric, [self.types.index(kind)]) for kind in kinds]
        defined = [part for part in parts if part is not None and not math.isnan(part.value)]
        return mean_replicates(defined) if defined else None

    def _counted(self, metric: str, places: Sequence[int] | None) -> Replicates | None:
        try:
            return self.resamples.metric(metric, places)
        except ValueError:
            return None

    def _plain(self, values: Sequence[float | None]) -> Replicates | None:
        """A metric without counts of its images: only seeds are resampled, and one seed gives no interval."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        if len(known) == 1:
            return Replicates(known[0], np.full(NUM_RESAMPLES, np.nan), num_images=0)
        return combine_seeds([np.full(1 + NUM_RESAMPLES, value) for value in known], num_images=0)

    def _of_class(self, name: str, metric: str) -> Replicates | None:
        schema, positives = self.store.load_split(self.ok[0]["data_hash"], self.ok[0]["split"])
        for place, kind in enumerate(schema):
            if name in kind.classes:
                index = kind.classes.index(name)
                if metric in ("f1@1", "recall@1", "recall@3", "recall@5"):
                    return combine_seeds(
                        [_class_values(arrays, place, index, positives[kind.name], metric) for arrays in self.arrays],
                        len(positives[kind.name]),
                    )
                found = [arrays.get(f"per_class/{metric}/{kind.name}") for arrays in self.arrays]
                return self._plain([None if values is None or math.isnan(values[index]) else float(values[index]) for values in found])
        return None


def _class_values(arrays: Arrays, place: int, index: int, positives: np.ndarray, metric: str) -> np.ndarray:
    """(1 + R,): a metric of one class over the images and over each resample of them."""
    kind, _, k = metric.partition("@")
    carries = positives[:, index]
    predicted = (arrays["top_classes"][:, place, : int(k)] == index).any(axis=1)
    counts = np.stack([carries & predicted, predicted, carries], axis=1).astype(np.float32)
    weights = bootstrap_weights(len(counts))
    hit, tried, there = np.concatenate([counts.sum(axis=0)[None], weights @ counts]).astype(np.float64).T
    bottom = there if kind == "recall" else (tried + there) / 2
    values: np.ndarray = np.divide(hit, bottom, out=np.full_like(hit, np.nan), where=there > 0)
    return values


class Figures:
    """All records of a store, by cell. Of several records of one cell and seed the newest counts."""

    def __init__(self, records: Iterable[Record], store: Store) -> None:
        newest: dict[tuple[Cell, int], Record] = {}
        for record in records:
            place = cell_of(record), record["seed"]
            if place not in newest or record["finished"] > newest[place]["finished"]:
                newest[place] = record
        grouped: dict[Cell, list[Record]] = defaultdict(list)
        for (cell, _), record in newest.items():
            grouped[cell].append(record)
        self.groups = {cell: Group(found, store) for cell, found in grouped.items()}

    @cached_property
    def worlds(self) -> list[tuple[str, str]]:
        """(source, preset) of the records, real before synthetic."""
        return sorted({(cell.source, cell.preset) for cell in self.groups})

    def clean(self, cell: Cell) -> Group | None:
        """The group of a clean cell."""
        return self.groups.get(cell._replace(corruption="none", severity=0))

    def corrupted(self, cell: Cell) -> list[Group]:
        """The groups of a cell under the corruptions that have records."""
        return self._by_fit.get(cell._replace(corruption="", severity=0), [])

    @cached_property
    def _by_fit(self) -> Mapping[Cell, list[Group]]:
        found: dict[Cell, list[Group]] = defaultdict(list)
        for cell, group in self.groups.items():
            if cell.severity:
                found[cell._replace(corruption="", severity=0)].append(group)
        return found

    def statuses(self, cell: Cell, *, corrupted: bool, num_seeds: int) -> Counter:
        """How many records a figure rests on, by status, with those that are missing."""
        groups = self.corrupted(cell) if corrupted else [group for group in (self.clean(cell),) if group]
        counts: Counter = Counter()
        for group in groups:
            counts += group.statuses
        wanted = num_seeds * (NUM_CONDITIONS if corrupted else 1)
        counts["missing"] = max(0, wanted - counts.total())
        return counts

    def replicates(self, cell: Cell, attribute: str, metric: str, *, corrupted: bool = False) -> Replicates | None:
        """A figure, or its mean over the 75 corrupted conditions; None unless all that it rests on is there."""
        if not corrupted:
            group = self.clean(cell)
            return group.replicates(attribute, metric) if group else None
        groups = [group for group in self.corrupted(cell) if group.ok]
        if len(groups) < NUM_CONDITIONS:
            return None
        found = [group.replicates(attribute, metric) for group in groups]
        known = [each for each in found if each is not None]
        return mean_replicates(known) if len(known) == len(found) else None
