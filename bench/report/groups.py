"""The records of one cell, a seed each, and every figure of them as Replicates over the same resampled images. No torch here."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Generic, Protocol, TypeVar

import numpy as np

from bench.image_groups import is_group, of_group
from bench.imagewise import ClassScores, class_f_beta, image_mean, unpack_decisions
from bench.protocol import Schema
from bench.statistics import NUM_RESAMPLES, Arrays, Replicates, Resamples, bootstrap_weights, combine_seeds, mean_replicates, resample
from bench.store import Record

ALL = "all"  # the attribute that stands for the pool of all types
CATEGORY = "category"
F2S = ("f2", "f2@0.5")
Split = tuple[Schema, Mapping[str, np.ndarray]]
Value = TypeVar("Value")


class Source(Protocol):
    """Where per-image arrays and labels come from: bench.store.Store, or what stands before it."""

    def load_arrays(self, relative: str) -> Arrays: ...

    def load_split(self, data_hash: str, split: str) -> Split: ...


def method_label(record: Record) -> str:
    """mtss/student, supervised, supervised[width=8]."""
    row = record["row"]
    return f"{record['method']}{'/' if row and not row.startswith('[') else ''}{row}"


def stamp_of(record: Record) -> str:
    """Tells one state of a record from the next."""
    return f"{record['key']}:{dict.get(record, 'stamp') or record['finished']}"


def like_newest(records: Sequence[Record], fact: Callable[[Record], object]) -> list[Record]:
    """The records of one cell, a seed each, without results of which a fact is not that of the newest result. What is not ok stays."""
    newest = max((record for record in records if record["status"] == "ok"), key=lambda each: each["finished"], default=None)
    return [record for record in records if newest is None or record["status"] != "ok" or fact(record) == fact(newest)]


def source_of(record: Record) -> str | None:
    """Of the code that made a record: a mean over seeds of two versions of a method is the figure of neither."""
    found: str | None = record["source_hash"] if "source_hash" in record else record["env"].get("source_hash")
    return found


class _Recent(Generic[Value]):
    """What the groups used last have; those used less recently are made anew, so that memory stays bounded over any number."""

    def __init__(self, num_kept: int) -> None:
        self.num_kept = num_kept
        self.kept: OrderedDict[int, tuple[object, Value]] = OrderedDict()

    def of(self, owner: object, make: Callable[[], Value]) -> Value:
        found = self.kept.get(id(owner))
        value = found[1] if found else make()
        self.kept[id(owner)] = owner, value  # keeps the owner alive, so that its id is its own
        self.kept.move_to_end(id(owner))
        if len(self.kept) > self.num_kept:
            self.kept.popitem(last=False)
        return value


_ARRAYS: _Recent[list[Arrays]] = _Recent(48)
_RESAMPLES: _Recent[Resamples] = _Recent(96)
_ClassScores = tuple[ClassScores, Mapping[str, range]]  # of every class, and which of them are a type's
_SCORES: _Recent[dict[str, _ClassScores | None]] = _Recent(8)


@dataclass(eq=False)
class Group:
    """The records of one cell, a seed each; those that are not ok only count."""

    records: list[Record]
    store: Source
    statuses: Counter = field(init=False)
    _found: dict[tuple[str, str], Replicates | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.statuses = Counter(record["status"] for record in self.records)
        self.ok = sorted((record for record in self.records if record["status"] == "ok"), key=lambda record: record["seed"])

    @property
    def arrays(self) -> list[Arrays]:
        """Of each seed that is ok."""
        return _ARRAYS.of(self, lambda: [self.store.load_arrays(record["predictions_path"]) for record in self.ok])

    @property
    def resamples(self) -> Resamples:
        return _RESAMPLES.of(self, lambda: resample(self.arrays))

    @property
    def stamps(self) -> tuple[str, ...]:
        """Of each record, one state of it apart from the next."""
        return tuple(stamp_of(record) for record in self.records)

    @cached_property
    def split(self) -> Split | None:
        """The schema and labels of its images, None where the store has none."""
        try:
            return self.store.load_split(self.ok[0]["data_hash"], self.ok[0]["split"])
        except FileNotFoundError:
            return None

    @cached_property
    def types(self) -> list[str]:
        """The attribute types in the order of the arrays, which is the schema's."""
        return list(self.split[0].names) if self.split else list(self.ok[0]["per_attribute"])

    def replicates(self, attribute: str, metric: str, *, keep: bool = True) -> Replicates | None:
        """A metric of a type, of all types pooled, of a group of images (marketplace=MX) or of a class; None where nobody defines it.

        keep: whether to hold on to its resamples, 8 KB, for whoever asks again."""
        place = attribute, metric
        if place in self._found:
            return self._found[place]
        made = self._make(attribute, metric) if self.ok else None
        if keep:
            self._found[place] = made
        return made

    def counted(self, metric: str, types: Sequence[str]) -> dict[str, Replicates]:
        """A metric of per-image counts of those types that have it, and of the pool as ALL, in one go; empty where none has it. The pool is
        that of the record: of every type, since k classes are predicted for each, but for accuracy, which types that are not exclusive have
        none of. The pool's is kept, as replicates keeps it."""
        having = [kind for kind in types if metric in self.ok[0]["per_attribute"].get(kind, ())]
        if not having:
            return {}
        places = [self.types.index(kind) for kind in having]
        pool = places if metric.startswith("accuracy@") else list(range(len(self.types)))
        values = self.resamples.metrics(metric, [pool, *([place] for place in places)])
        found = {
            attribute: Replicates(float(column[0]), column[1:].copy(), self.resamples.num_images)
            for attribute, column in zip((ALL, *having), values, strict=True)
        }
        self._found.setdefault((ALL, metric), found[ALL])
        return found

    def _make(self, attribute: str, metric: str) -> Replicates | None:
        if attribute == ALL:
            return self._pooled(metric)
        if attribute in self.types:
            values = [record["per_attribute"][attribute].get(metric) for record in self.ok]
            return self._counted(metric, [self.types.index(attribute)]) or self._imagewise(metric, [attribute], values) or _plain(values)
        if is_group(self.arrays[0], attribute):
            return of_group(self.arrays, attribute, metric)
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
        return self._counted(metric, None) or self._imagewise(metric, self.types, values) or _plain(values)

    def _mean(self, metric: str, kinds: Sequence[str]) -> Replicates | None:
        parts = [self._counted(metric, [self.types.index(kind)]) for kind in kinds]
        defined = [part for part in parts if part is not None and not math.isnan(part.value)]
        return mean_replicates(defined) if defined else None

    def _counted(self, metric: str, places: Sequence[int] | None) -> Replicates | None:
        if metric.partition("@")[0] not in ("recall", "f1", "accuracy") or "/" in metric:
            return None
        try:
            return self.resamples.metric(metric, places)
        except ValueError:
            return None

    def _imagewise(self, metric: str, kinds: Sequence[str], values: Sequence[float | None]) -> Replicates | None:
        """F2 or cross-entropy, where each seed's file has what its images contribute."""
        if any(value is None for value in values):
            return None
        if metric == "cross_entropy" and all("cross_entropy" in arrays for arrays in self.arrays):
            places = [self.types.index(kind) for kind in kinds]
            return image_mean([arrays["cross_entropy"][:, places] for arrays in self.arrays])
        if metric in F2S:
            return self._f2(metric, [kind for kind in kinds if f"{metric}/{kind}" in self.arrays[0]])
        return None

    def _f2(self, metric: str, kinds: Sequence[str], chosen: int | None = None) -> Replicates | None:
        """Over the classes of some types, or of one class of a type."""
        found = self._class_scores(metric) if kinds and self.split is not None else None
        if found is None or not all(kind in found[1] for kind in kinds):
            return None
        scores, places = found
        classes = [place for kind in kinds for place in places[kind]]
        return scores.mean(classes if chosen is None else [classes[chosen]])

    def _class_scores(self, metric: str) -> _ClassScores | None:
        """Of every class whose decisions all seeds have kept, and which classes are of a type; None where there is none."""
        made = _SCORES.of(self, dict)
        if metric not in made:
            made[metric] = self._make_class_scores(metric)
        return made[metric]

    def _make_class_scores(self, metric: str) -> _ClassScores | None:
        assert self.split is not None
        positives = {kind: self.split[1][kind] for kind in self.types if all(f"{metric}/{kind}" in arrays for arrays in self.arrays)}
        if not positives:
            return None
        decided = [
            np.concatenate([unpack_decisions(arrays[f"{metric}/{kind}"], each.shape[1]) for kind, each in positives.items()], axis=1)
            for arrays in self.arrays
        ]
        ends = [0, *accumulate(each.shape[1] for each in positives.values())]
        places = {kind: range(start, end) for kind, (start, end) in zip(positives, pairwise(ends), strict=True)}
        return class_f_beta(decided, np.concatenate(list(positives.values()), axis=1)), places

    def _of_class(self, name: str, metric: str) -> Replicates | None:
        if self.split is None:
            return None
        schema, positives = self.split
        for place, kind in enumerate(schema):
            if name in kind.classes:
                index = kind.classes.index(name)
                if metric in ("f1@1", "recall@1", "recall@3", "recall@5"):
                    if not all("top_classes" in arrays for arrays in self.arrays):
                        return None  # an archive leaves them out
                    return combine_seeds(
                        [_class_values(arrays, place, index, positives[kind.name], metric) for arrays in self.arrays],
                        len(positives[kind.name]),
                    )
                found = [arrays.get(f"per_class/{metric}/{kind.name}") for arrays in self.arrays]
                values = [None if each is None or math.isnan(each[index]) else float(each[index]) for each in found]
                exact = None if metric not in F2S or None in values else self._f2(metric, [kind.name], index)
                return exact or _plain(values)
        return None


def _plain(values: Sequence[float | None]) -> Replicates | None:
    """A metric without counts of its images: only seeds are resampled, and one seed gives no interval."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    if len(known) == 1:
        return Replicates(known[0], np.full(NUM_RESAMPLES, np.nan), num_images=0)
    return combine_seeds([np.full(1 + NUM_RESAMPLES, value) for value in known], num_images=0)


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
