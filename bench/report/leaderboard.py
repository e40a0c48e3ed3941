"""The leaderboard: one row a data set, method, condition, attribute and metric, with its interval, rank and ties."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.report.groups import ALL, Group, Split, like_newest, method_label, source_of
from bench.statistics import Arrays, Replicates, percentile_intervals, tied_with_best
from bench.store import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALL", "AT_FLOOR", "COLUMNS", "COUNTED", "LOWER_IS_BETTER", "OTHERS", "Condition", "build", "condition_rows", "conditions"]
__all__ += ["method_label", "num_seeds", "older_methods"]

COLUMNS = (
    *("dataset", "source", "method", "label_fraction", "corruption", "severity", "attribute", "metric"),
    *("mean", "ci_low", "ci_high", "n_seeds", "rank", "tied_with_best", "status"),
)
COUNTED = ("f1@1", "recall@1", "recall@3", "recall@5", "accuracy@1")  # from per-image counts
OTHERS = ("map", "f2", "f2@0.5", "cross_entropy", "mean_accuracy")
LOWER_IS_BETTER = frozenset({"cross_entropy"})
FLOOR = "floor/prior"
AT_FLOOR = "at floor"
OK, MISSING = "ok", "missing"
NO_FIGURE = "ok, no figure"  # of records whose images carry no label
_NAN = math.nan

Load = Callable[[str], Arrays]
Seeds = Mapping[str, Sequence[Record]]  # method -> its records of one condition


class Condition(NamedTuple):
    """What methods are ranked under."""

    dataset: str
    source: str
    label_fraction: float
    corruption: str
    severity: int


def build(records: Iterable[Record], load: Load, load_split: Callable[[str, str], Split] | None = None) -> pd.DataFrame:
    """All rows, best first within a condition. load reads a record's predictions_path, load_split what a split's images carry.

    Of several records of one cell (an older source, say) the newest counts. A cell that is not ok has one row without figures whose
    status says what became of it; nothing missing is counted as zero."""
    import pandas as pd

    source = _Loaders(load, load_split)
    found = conditions(records)
    wanted = num_seeds(found)

    def group_of(records: Sequence[Record]) -> Group:
        return Group(list(records), source)

    rows = [row for condition in sorted(found) for row in condition_rows(condition, found[condition], group_of, wanted)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def conditions(records: Iterable[Record]) -> dict[Condition, dict[str, list[Record]]]:
    """The newest record of each cell and seed, by condition and method. A method of a data set and label fraction that has no record
    under a condition that others have there stands with none."""
    found: dict[Condition, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    methods: dict[tuple, dict[str, None]] = defaultdict(dict)
    for record in _name_protocols(_newest(records)):
        condition = Condition(*(record[name] for name in Condition._fields))
        found[condition][method_label(record)].append(record)
        methods[condition[:3]][method_label(record)] = None
    for condition, present in found.items():
        for label in methods[condition[:3]]:
            present.setdefault(label, [])
    return {condition: dict(present) for condition, present in found.items()}


def condition_rows(
    condition: Condition, methods: Seeds, group_of: Callable[[Sequence[Record]], Group], wanted: Mapping[tuple, int]
) -> list[tuple]:
    """The rows of one condition: figures of all methods side by side, so that they can be ranked. wanted: as num_seeds has it; what a
    method lacks is said."""
    groups = {label: group_of(like_newest(found, source_of)) for label, found in methods.items()}
    status = {label: _status(group.statuses, wanted[*condition[:3], label]) for label, group in groups.items()}
    ok = {label: group for label, group in groups.items() if group.ok}
    compared = [found for found in _figures(ok) if found.replicates]
    for each, own, over_floor in zip(compared, *_intervals(compared), strict=True):
        each.ends, each.over_floor = own, over_floor
    rows = [row for each in compared for row in _ranked(condition, each, ok, status)]
    shown = {label for each in compared for label in each.replicates}
    return rows + [
        (*_cell(condition, label), ALL, "", _NAN, _NAN, _NAN, 0, None, None, NO_FIGURE if label in ok else status[label])
        for label in methods
        if label not in shown
    ]


def num_seeds(found: Mapping[Condition, Seeds]) -> dict[tuple, int]:
    """(dataset, source, label fraction, method) -> the seeds that it has under any condition."""
    seeds: dict[tuple, set[int]] = defaultdict(set)
    for condition, methods in found.items():
        for label, records in methods.items():
            seeds[*condition[:3], label] |= {record["seed"] for record in records}
    return {place: len(each) for place, each in seeds.items()}


def older_methods(found: Mapping[Condition, Seeds]) -> dict[Condition, set[str]]:
    """The methods whose figure under a condition is of an older version of their sources than the newest of their other conditions."""
    newest: dict[tuple, tuple[float, str | None]] = {}
    sources: dict[tuple[Condition, str], str | None] = {}
    for condition, methods in found.items():
        for label, records in methods.items():
            ok = [record for record in records if record["status"] == OK]
            if ok:
                last = max(ok, key=lambda record: record["finished"])
                sources[condition, label] = source_of(last)
                place, state = (*condition[:3], label), (last["finished"], source_of(last))
                newest[place] = max(newest.get(place, state), state, key=lambda each: each[0])
    older: dict[Condition, set[str]] = {condition: set() for condition in found}
    for (condition, label), source in sources.items():
        if source != newest[*condition[:3], label][1]:
            older[condition].add(label)
    return older


@dataclass
class _Compared:
    """One attribute and metric of every method that has it; ends and over_floor are intervals, of the figure and of what it has
    above the floor."""

    attribute: str
    metric: str
    replicates: dict[str, Replicates]
    ends: dict[str, np.ndarray] | None = None
    over_floor: dict[str, np.ndarray] | None = None


def _figures(groups: Mapping[str, Group]) -> list[_Compared]:
    """In the order of the rows: the pool of all types first, then each type."""
    if not groups:
        return []
    types = next(iter(groups.values())).types
    counted = {metric: _counted(groups, metric, types) for metric in COUNTED}
    found = []
    for attribute in (ALL, *types):
        found += [_Compared(attribute, metric, counted[metric].get(attribute, {})) for metric in COUNTED]
        for metric in OTHERS:
            if metric != "mean_accuracy" or attribute == ALL:
                plain = {label: group.replicates(attribute, metric, keep=attribute == ALL) for label, group in groups.items()}
                found.append(_Compared(attribute, metric, {label: each for label, each in plain.items() if each is not None}))
    for each in found:
        each.replicates = {label: values for label, values in each.replicates.items() if not math.isnan(values.value)}
    return found


def _counted(groups: Mapping[str, Group], metric: str, types: Sequence[str]) -> dict[str, dict[str, Replicates]]:
    """attribute -> method -> replicates, for the types that have the metric and their pool."""
    found: dict[str, dict[str, Replicates]] = defaultdict(dict)
    for label, group in groups.items():
        for attribute, values in group.counted(metric, types).items():
            found[attribute][label] = values
    return found


def _intervals(compared: Sequence[_Compared]) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Of every figure at once, which is several times as fast as one by one."""
    own = [(each, label) for each in compared for label in each.replicates]
    ends = percentile_intervals([each.replicates[label] for each, label in own])
    against = [(each, label) for each, label in own if _has_floor(each, label)]
    differences = [_difference(each.replicates[label], each.replicates[FLOOR]) for each, label in against]
    floors = percentile_intervals(differences)
    return _by_figure(compared, own, ends), _by_figure(compared, against, floors)


def _by_figure(compared: Sequence[_Compared], places: Sequence[tuple[_Compared, str]], ends: np.ndarray) -> list[dict[str, np.ndarray]]:
    found: dict[int, dict[str, np.ndarray]] = {id(each): {} for each in compared}
    for (each, label), values in zip(places, ends, strict=True):
        found[id(each)][label] = values
    return list(found.values())


def _has_floor(each: _Compared, label: str) -> bool:
    """Whether a figure can be held against the prior's: another method's, of the same images."""
    floor = each.replicates.get(FLOOR)
    return floor is not None and not label.startswith("floor/") and 0 < floor.num_images == each.replicates[label].num_images


def _difference(a: Replicates, b: Replicates) -> Replicates:
    return Replicates(a.value - b.value, a.values - b.values, a.num_images)


def _ranked(condition: Condition, each: _Compared, ok: Mapping[str, Group], status: Mapping[str, str]) -> list[tuple]:
    """Best first. Ties need figures of the same images; where these vary with the seeds alone, nothing is said of ties."""
    assert each.ends is not None
    assert each.over_floor is not None
    signed = {label: found.negative() if each.metric in LOWER_IS_BETTER else found for label, found in each.replicates.items()}
    images = {found.num_images for found in signed.values()}
    tied = tied_with_best(signed) if len(images) == 1 and images != {0} else None
    order = sorted(signed, key=lambda label: (-signed[label].value, label))
    bounded = each.metric not in LOWER_IS_BETTER
    rows = []
    for rank, label in enumerate(order, start=1):
        low, high = each.ends[label].clip(0.0, 1.0 if bounded else None)
        said = _with_floor(status[label], each, label)
        figures = each.replicates[label].value, float(low), float(high)
        rows.append(
            (
                *_cell(condition, label),
                each.attribute,
                each.metric,
                *figures,
                len(ok[label].ok),
                rank,
                None if tied is None else label in tied,
                said,
            )
        )
    return rows


def _with_floor(status: str, each: _Compared, label: str) -> str:
    """Says so where a method cannot be told from the prior: the interval of the paired difference reaches zero."""
    assert each.over_floor is not None
    if label not in each.over_floor:
        return status
    low, high = each.over_floor[label]
    if not (high >= 0 if each.metric in LOWER_IS_BETTER else low <= 0):
        return status
    return AT_FLOOR if status == OK else f"{status}, {AT_FLOOR}"


def _cell(condition: Condition, label: str) -> tuple:
    dataset, source, fraction, corruption, severity = condition
    return dataset, source, label, fraction, corruption, severity


def _status(statuses: Counter, wanted: int) -> str:
    counts = Counter(statuses)
    counts[MISSING] = max(0, wanted - statuses.total())
    found = {status: count for status, count in counts.items() if count}
    if set(found) == {OK}:
        return OK
    return ", ".join(f"{count} {status}" for status, count in sorted(found.items(), key=lambda item: (item[0] != OK, item[0])))


@dataclass
class _Loaders:
    """Two functions as a source of groups."""

    load_arrays: Load
    splits: Callable[[str, str], Split] | None

    def load_split(self, data_hash: str, split: str) -> Split:
        if self.splits is None:
            raise FileNotFoundError(f"{data_hash}-{split}")
        return self.splits(data_hash, split)


def _name_protocols(records: list[Record]) -> list[Record]:
    """Where one data set was seen under several protocols, presets or with different files, each becomes a data set of its own: they
    share no column."""
    protocols: dict[tuple, set[str]] = defaultdict(set)
    presets: dict[tuple, set[str]] = defaultdict(set)
    for record in records:
        if record["data_hash"]:
            place = record["dataset"], record["source"]
            protocols[place].add(_protocol(record))
            presets[place].add(record["preset"])
    return [
        _named(record, protocols[record["dataset"], record["source"]], presets[record["dataset"], record["source"]]) for record in records
    ]


def _named(record: Record, protocols: set[str], presets: set[str]) -> Record:
    if not record["data_hash"] or (len(protocols) < 2 and len(presets) < 2):
        return record
    parts = _own_parts(_protocol(record), protocols) + ([f"preset {record['preset']}"] if len(presets) > 1 else [])
    renamed = record.copy()
    renamed["dataset"] = f"{record['dataset']} ({', '.join(parts)})"
    return renamed


def _own_parts(protocol: str, protocols: set[str]) -> list[str]:
    """Those parts of a protocol that tell it from others of its data set: pool=2, 224px, data=829ae56d. All of it where
    another has other parts."""
    columns = [each.split("/") for each in sorted(protocols)]
    if len({len(each) for each in columns}) > 1:
        return [protocol]
    differing = [len(set(column)) > 1 for column in zip(*columns, strict=True)]
    return [part for part, differs in zip(protocol.split("/"), differing, strict=True) if differs]


def _protocol(record: Record) -> str:
    return f"{record['protocol_id']}/data={record['data_hash'][:8]}"


def _newest(records: Iterable[Record]) -> list[Record]:
    """The newest record of each cell. One without data gives way to any that has it."""
    chosen: dict[tuple, dict[str, Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda each: (each["finished"], each["key"])):
        place = (
            *(record["dataset"], record["source"], record["method"], record["row"], record["label_fraction"]),
            *(record["corruption"], record["severity"], record["seed"]),
        )
        chosen[place][f"{_protocol(record)}/{record['preset']}" if record["data_hash"] else ""] = record
    return [record for group in chosen.values() for protocol, record in group.items() if protocol or len(group) == 1]
