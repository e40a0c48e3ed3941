"""The papers' tables as data: what each row is here, what the paper prints for it, and the sweeps that fill it.

An entry of results/tables.toml and a CSV of results/reported make a table; results/tables.toml says at its top what an entry holds."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from bench import registry, toml_files
from bench.plan import Sweep, make_conditions
from bench.spec import CLEAN, UsageError, check_value

RESULTS = registry.ROOT / "results"
ALL = "all"
_ILLEGIBLE = ("integer part only is legible in the source", "decimals illegible in the source")  # notes in print
_TABLE_KEYS = {"title", "reported", "table", "rows", "columns", "attributes", "metrics", "gain_over", "definitions", "notes", "floors"}
_TABLE_KEYS |= {"figure"}
_SHAPES = {
    **dict.fromkeys(("title", "reported"), str),
    **{"definitions": [str], "notes": [str], "table": (str, [str]), "rows": {str: (str, dict)}, "columns": [[str]], "floors": bool},
    **{"attributes": {str: str}, "metrics": {str: str}, "gain_over": {str: str}, "figure": {str: str}},
}
_ROW_SHAPES = {
    **dict.fromkeys(("method", "definition"), str),
    **dict.fromkeys(("label_fraction", "unlabeled"), toml_files.NUMBER),
    **{"set": dict, "metrics": {str: str}, "datasets": [str]},
}
_ROW_KEYS = {"method", "set", "label_fraction", "unlabeled", "metrics", "definition", "datasets"}


class Column(NamedTuple):
    """What a figure is of. dataset: a name, or A->B for a transfer. corrupted: the mean over the 75 conditions. metric: as in records.
    gain: the row that the figure is a relative gain over, in percent, or nothing."""

    dataset: str
    attribute: str
    metric: str
    corrupted: bool = False
    gain: str = ""


class Reported(NamedTuple):
    """A figure in print. scale: what turns ours into its unit. width: what is printed lies in [value, value + width)."""

    value: float
    scale: float
    note: str
    width: float = 0.0


@dataclass(frozen=True)
class Row:
    """A row in print and the cells that stand for it here; method "" where nothing does. definition: which meaning of "all" its
    figure in print has, such as all_mean; metrics: theirs -> ours, for this row alone."""

    label: str
    method: str = ""
    row: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    label_fraction: float = 1.0
    unlabeled: float = 1.0
    definition: str = ""
    metrics: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()

    def metric(self, column: Column) -> str:
        """Our metric for a column of the table."""
        return self.metrics.get(column.metric, column.metric)


@dataclass(frozen=True)
class Table:
    """A table of a paper. reported: (row label, column) -> what is printed. scales: column -> unit of its figures."""

    name: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    reported: Mapping[tuple[str, Column], Reported]
    scales: Mapping[Column, float]
    notes: tuple[str, ...] = ()
    floors: bool = True
    figure: Mapping[str, str] = field(default_factory=dict)

    def row(self, label: str) -> Row:
        return next(row for row in self.rows if row.label == label)


def names() -> list[str]:
    """All tables, in the order of results/tables.toml."""
    return list(_entries())


def load(name: str) -> Table:
    """One table. Raises UnknownNameError with the nearest name, or UsageError for an entry that is not well made."""
    entries = _entries()
    if name not in entries:
        raise registry.UnknownNameError(registry.unknown("table", name, list(entries), "list tables"))
    return _load(name)


def select(text: str) -> list[Table]:
    """`mtss-1,naver-2`, `mtss-*` or `all`. Raises UnknownNameError."""
    chosen: dict[str, None] = {}
    for part in (piece.strip() for piece in text.split(",")):
        pattern = "" if part == "all" else part.removesuffix("*") if part.endswith("*") else None
        found = [part] if pattern is None else [name for name in names() if name.startswith(pattern)]
        chosen |= dict.fromkeys(found or [part])
    return [load(name) for name in chosen]


def sweeps(table: Table, base: Sweep) -> list[Sweep]:
    """Exactly the cells that a table needs; base says the preset, seeds, backend and what --set changed."""
    found = []
    corruptions = registry.load_part("datasets.corruptions").NAMES
    for row, dataset, corrupted in _needs(table):
        source, arrow, target = dataset.partition("->")
        overrides = {method: dict(values) for method, values in base.overrides.items()}
        overrides[row.method] = {**overrides.get(row.method, {}), **row.overrides}
        found.append(
            replace(
                base,
                rows=[(row.method, row.row)],
                datasets=[] if arrow else [source],
                transfers=[(source, target)] if arrow else [],
                label_fractions=[row.label_fraction],
                unlabeled=[row.unlabeled],
                conditions=make_conditions(corruptions, range(6)) if corrupted else [(CLEAN, 0)],
                overrides=overrides,
            )
        )
    return found


def floor_rows(table: Table) -> list[Row]:
    """The floors that every table of figures is held against."""
    if not table.floors:
        return []
    rows = registry.entry("methods", "floor").rows
    return [Row(f"floor: {row.replace('_', ' ')}", "floor", row) for row in rows]


def _needs(table: Table) -> Iterator[tuple[Row, str, bool]]:
    """Each row with each data set that it has a column of, once; corrupted where any of these columns is."""
    for row in table.rows:
        if row.method:
            for dataset in dict.fromkeys(column.dataset for column in table.columns if covers(table, row, column)):
                own = [column for column in table.columns if column.dataset == dataset and covers(table, row, column)]
                yield row, dataset, any(column.corrupted for column in own)
    for row in floor_rows(table):
        for dataset in dict.fromkeys(column.dataset for column in table.columns):
            yield row, dataset, any(column.corrupted for column in table.columns if column.dataset == dataset)


def covers(table: Table, row: Row, column: Column) -> bool:
    """Whether a row of ours has a figure in a column: where the paper has one on that data set, or where the entry says so."""
    printed = {where.dataset for label, where in table.reported if label == row.label}
    return column.dataset in (row.datasets or printed)


@cache
def _entries() -> dict[str, Any]:
    return toml_files.read(RESULTS / "tables.toml", "results/tables.toml")


@cache
def _load(name: str) -> Table:
    entry = _entries()[name]
    _check_entry(f"results/tables.toml, {name}", entry)
    if unknown := set(entry) - _TABLE_KEYS:
        raise UsageError(f"results/tables.toml, {name}: {', '.join(sorted(unknown))} given; it may hold {', '.join(sorted(_TABLE_KEYS))}")
    printed = _read_reported(name, entry)
    labels = dict.fromkeys([*(label for label, *_ in printed), *entry.get("rows", {})])
    rows = tuple(make_row(f"results/tables.toml, {name}", label, entry.get("rows", {}).get(label)) for label in labels)
    by_label = {row.label: row for row in rows}
    reported: dict[tuple[str, Column], Reported] = {}
    scales: dict[Column, float] = {}
    for label, column, figure in printed:
        defined = column
        if column.attribute == ALL and by_label[label].definition:
            defined = column._replace(metric=f"{column.metric}/{by_label[label].definition}")
        for each in (column, defined, *(column._replace(metric=f"{column.metric}/{each}") for each in _definitions(entry, column))):
            scales.setdefault(each, figure.scale)
        reported[label, defined] = figure
    for each in entry.get("columns", ()):
        scales.setdefault(_column(entry, *each), 1.0 if each[2] == "cross_entropy" else 100.0)
    return Table(
        name,
        entry["title"],
        rows,
        tuple(scales),
        reported,
        scales,
        tuple(entry.get("notes", ())),
        entry.get("floors", True),
        entry.get("figure", {}),
    )


def _check_entry(where: str, entry: Any) -> None:
    toml_files.check(where, entry, _SHAPES)
    for key in ("title", *(["table"] if "reported" in entry else [])):
        if key not in entry:
            raise UsageError(f"{where}: {key} is missing")
    if any(len(column) != 3 for column in entry.get("columns", ())):
        raise UsageError(f"{where}: columns are [dataset, attribute, metric] each")


def _definitions(entry: Mapping[str, Any], column: Column) -> Sequence[str]:
    return entry.get("definitions", ()) if column.attribute == ALL and not column.gain else ()


def _read_reported(name: str, entry: Mapping[str, Any]) -> list[tuple[str, Column, Reported]]:
    if "reported" not in entry:
        return []
    found = []
    for number, line in _read_csv(f"results/tables.toml, {name}", entry["reported"]):
        if line["table"] in (entry["table"] if isinstance(entry["table"], list) else [entry["table"]]):
            try:
                column = _column(entry, line["dataset"], line["attribute"], line["metric"])
                width = 1.0 if line["note"] in _ILLEGIBLE else 0.0
                figure = Reported(_finite(line["value"]), 100.0 if line["unit"] == "percent" else 1.0, line["note"], width)
            except (KeyError, ValueError) as error:
                raise UsageError(f"results/reported/{entry['reported']}:{number}: {error}; see gain_over of {name}") from None
            found.append((line["method"], column, figure))
    if not found:
        raise UsageError(f"results/tables.toml, {name}: {entry['reported']} prints nothing of table {entry['table']!r}")
    return found


def _read_csv(where: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, column -> cell) of a CSV of printed figures. Raises UsageError."""
    columns = {"table", "method", "dataset", "attribute", "metric", "value", "unit", "note"}
    if "/" in file or "\0" in file or not (RESULTS / "reported" / file).is_file():
        raise UsageError(f"{where}: reported is {file!r}; a file of results/reported expected")
    with (RESULTS / "reported" / file).open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            for line in reader:
                if not columns <= {name for name, cell in line.items() if cell is not None}:
                    raise UsageError(f"results/reported/{file}:{reader.line_num}: columns {', '.join(sorted(columns))} expected")
                yield reader.line_num, line
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"results/reported/{file}:{reader.line_num + 1}: {error}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no figure")
    return value


def _column(entry: Mapping[str, Any], dataset: str, attribute: str, metric: str) -> Column:
    parts = re.sub(r"\+\w+", "", dataset).replace(" ", "")  # deepfashion+darn -> darn: what is mixed is the row's matter
    corrupted, gain = parts.endswith("-c"), ""
    if "relative gain over " in metric:
        metric, _, phrase = metric.partition("relative gain over ")
        known = entry.get("gain_over", {})
        gain = known[phrase]
        metric = metric.strip() or known["metric"]
    attribute = entry.get("attributes", {}).get(attribute, attribute)
    return Column(parts.removesuffix("-c"), attribute, entry.get("metrics", {}).get(metric, metric), corrupted, gain)


def make_row(where: str, label: str, entry: str | Mapping[str, Any] | None) -> Row:
    """A row as an entry names it: METHOD/ROW, or a table of method and what else. Raises UsageError, also for a row that no
    method has; where says whose entry it is."""
    if entry is None:
        return Row(label)
    given: dict[str, Any] = {"method": entry} if isinstance(entry, str) else dict(entry)
    toml_files.check(f"{where}, {label!r}", given, _ROW_SHAPES)
    if unknown := set(given) - _ROW_KEYS:
        may = ", ".join(sorted(_ROW_KEYS))
        raise UsageError(f"{where}, {label!r}: {', '.join(sorted(unknown))} given; it may hold {may}")
    method, _, row = given.get("method", "").partition("/")
    if method and row not in registry.entry("methods", method).rows:
        raise UsageError(f"{where}, {label!r}: no row {row!r} of {method}")
    try:
        overrides = {name: check_value(method, name, value) for name, value in given.get("set", {}).items()}
    except UsageError as error:
        raise UsageError(f"{where}, {label!r}: {error}") from None
    return Row(
        label,
        method,
        row,
        overrides,
        float(given.get("label_fraction", 1.0)),
        float(given.get("unlabeled", 1.0)),
        given.get("definition", ""),
        given.get("metrics", {}),
        tuple(given.get("datasets", ())),
    )
