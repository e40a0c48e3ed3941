"""The leaderboard: one row a data set, method, condition, attribute and metric, with its interval, rank and ties."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean

import numpy as np
import pandas as pd

from bench.statistics import Arrays, Replicates, Resamples, paired_difference, resample, tied_with_best
from bench.store import Record

COLUMNS = (
    *("dataset", "source", "method", "label_fraction", "corruption", "severity", "attribute", "metric"),
    *("mean", "ci_low", "ci_high", "n_seeds", "rank", "tied_with_best", "status"),
)
COUNTED = ("f1@1", "recall@1", "recall@3", "recall@5", "accuracy@1")  # from per-image counts: these have intervals
OTHERS = ("map", "f2", "f2@0.5", "cross_entropy")
LOWER_IS_BETTER = frozenset({"cross_entropy"})
FLOOR = "floor/prior"
ALL = "all"  # the attribute that stands for the pool of all types
AT_FLOOR = "at floor"

Load = Callable[[str], Arrays]
Condition = tuple[str, str, float, str, int]  # dataset, source, label_fraction, corruption, severity


def build(records: Iterable[Record], load: Load) -> pd.DataFrame:
    """All rows, best first within a condition. load reads a record's predictions_path.

    Of several records of one cell (an older source, say) the newest counts. A cell that is not ok has one row without figures whose
    status says what became of it; nothing missing is counted as zero."""
    cells: dict[Condition, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in _name_protocols(_newest(records)):
        condition = (record["dataset"], record["source"], record["label_fraction"], record["corruption"], record["severity"])
        cells[condition][method_label(record)].append(record)
    rows = [row for condition in sorted(cells) for row in _condition_rows(condition, cells[condition], load)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def method_label(record: Record) -> str:
    """mtss/student, supervised, supervised[width=8]."""
    row = record["row"]
    return f"{record['method']}{'/' if row and not row.startswith('[') else ''}{row}"


def _name_protocols(records: list[Record]) -> list[Record]:
    """Where one data set was seen under several protocols or with different files, each becomes a data set of its own: they share
    no column."""
    seen: dict[tuple, set[str]] = defaultdict(set)
    for record in records:
        if record["data_hash"]:
            seen[record["dataset"], record["source"]].add(_protocol(record))
    return [
        {**record, "dataset": f"{record['dataset']} ({_protocol(record)})"}
        if record["data_hash"] and len(seen[record["dataset"], record["source"]]) > 1
        else record
        for record in records
    ]


def _protocol(record: Record) -> str:
    return f"{record['protocol_id']}/{record['data_hash'][:8]}"


def _newest(records: Iterable[Record]) -> list[Record]:
    """The newest record of each cell. One without data gives way to any that has it."""
    names = ("dataset", "source", "method", "row", "label_fraction", "corruption", "severity", "seed")
    chosen: dict[tuple, dict[str, Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda each: (each["finished"], each["key"])):
        chosen[tuple(record[name] for name in names)][_protocol(record) if record["data_hash"] else ""] = record
    return [record for group in chosen.values() for protocol, record in group.items() if protocol or len(group) == 1]


def _condition_rows(condition: Condition, methods: Mapping[str, Sequence[Record]], load: Load) -> list[tuple]:
    """The rows of one condition: figures of all methods side by side, so that they can be ranked."""
    ok = {label: [record for record in group if record["status"] == "ok"] for label, group in methods.items()}
    ok = {label: sorted(group, key=lambda each: each["seed"]) for label, group in ok.items() if group}
    totals = {label: resample([load(record["predictions_path"]) for record in group]) for label, group in ok.items()}
    status = {label: _status(group) for label, group in methods.items()}
    types = list(next(iter(ok.values()))[0]["per_attribute"]) if ok else []
    rows = []
    for attribute in [ALL, *types]:
        for metric in COUNTED:
            replicates = {label: found for label in ok if (found := _replicates(ok[label], totals[label], types, attribute, metric))}
            rows += _ranked(condition, attribute, metric, replicates, ok, status)
        for metric in OTHERS:
            values = {label: value for label, group in ok.items() if (value := _mean(group, attribute, metric)) is not None}
            rows += _plain(condition, attribute, metric, values, ok, status)
    nan = float("nan")
    return rows + [(*_cell(condition, label), ALL, "", nan, nan, nan, 0, None, None, status[label]) for label in methods if label not in ok]


def _cell(condition: Condition, label: str) -> tuple:
    dataset, source, fraction, corruption, severity = condition
    return dataset, source, label, fraction, corruption, severity


def _status(group: Sequence[Record]) -> str:
    counts = Counter(record["status"] for record in group)
    if set(counts) == {"ok"}:
        return "ok"
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda item: item[0] != "ok"))


def _replicates(group: Sequence[Record], totals: Resamples, types: list[str], attribute: str, metric: str) -> Replicates | None:
    """Bootstrap values of a metric for one type or the pool; accuracy pools the exclusive types only. None where undefined."""
    chosen = [name for name in types if metric in group[0]["per_attribute"][name]] if attribute == ALL else [attribute]
    if not chosen or metric not in group[0]["per_attribute"][chosen[0]]:
        return None
    found = totals.metric(metric, [types.index(name) for name in chosen])
    return None if np.isnan(found.value) else found


def _ranked(
    condition: Condition,
    attribute: str,
    metric: str,
    replicates: Mapping[str, Replicates],
    ok: Mapping[str, Sequence[Record]],
    status: Mapping[str, str],
) -> list[tuple]:
    tied = tied_with_best(replicates)
    order = sorted(replicates, key=lambda label: (-replicates[label].value, label))
    rows = []
    for rank, label in enumerate(order, start=1):
        interval = replicates[label].interval()
        said = _at_floor(label, replicates) or status[label]
        rows.append((*_cell(condition, label), attribute, metric, *interval, len(ok[label]), rank, label in tied, said))
    return rows


def _at_floor(label: str, replicates: Mapping[str, Replicates]) -> str:
    """Says so where a method cannot be told from the prior: the interval of the paired difference reaches zero."""
    if FLOOR not in replicates or label.startswith("floor/"):
        return ""
    return AT_FLOOR if paired_difference(replicates[label], replicates[FLOOR]).low <= 0 else ""


def _mean(group: Sequence[Record], attribute: str, metric: str) -> float | None:
    values = [(record["metrics"] if attribute == ALL else record["per_attribute"][attribute]).get(metric) for record in group]
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None


def _plain(
    condition: Condition,
    attribute: str,
    metric: str,
    values: Mapping[str, float],
    ok: Mapping[str, Sequence[Record]],
    status: Mapping[str, str],
) -> list[tuple]:
    sign = 1 if metric in LOWER_IS_BETTER else -1
    order = sorted(values, key=lambda label: (sign * values[label], label))
    nan = float("nan")
    return [
        (*_cell(condition, label), attribute, metric, values[label], nan, nan, len(ok[label]), rank, None, status[label])
        for rank, label in enumerate(order, start=1)
    ]
