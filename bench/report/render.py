"""The leaderboard as text: an overview for the terminal, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bench.report.grids import grid
from bench.report.leaderboard import ALL, AT_FLOOR

PRIMARY = "f1@1"
_BANNER = "SYNTHETIC: rendered stand-ins in this data set's layout, not its photographs; comparable only among themselves."
_LEGEND = "F1@1 in percent ± half the 95 % interval (bootstrap over images and seeds). {star} tied with the best. ▽ not above the prior."
OLDER = "†"
_OLDER_MEANS = f"{OLDER} of an older version of the method's sources than another figure of its line."
_MAX_CONDITIONS = 4  # of one method that are named one by one

Row = Mapping[str, Any]


def is_shown(row: Row) -> bool:
    """Whether a row of the leaderboard is in its texts: the primary metric, and cells without any figure."""
    return row["metric"] in (PRIMARY, "")


def overview(rows: Iterable[Row]) -> str:
    """The clean results of each data set, F1@1 by attribute type, and what is not ok. rows: those that are shown."""
    rows, parts = list(rows), []
    for name, source, block in _blocks(rows):
        banner = f"\n{_BANNER}" if source == "synthetic" else ""
        parts.append(f"{name} ({source}), F1@1, clean{banner}\n{_clean_table(block, 'simple')}")
    return "\n\n".join([*parts, *_failures(rows), _LEGEND.format(star="*")])


def to_markdown(rows: Iterable[Row]) -> str:
    """Every data set: clean results by attribute type, then the pool of all types under corruption."""
    rows, parts = list(rows), ["# Leaderboard", _LEGEND.format(star="\\*")]
    for name, source, block in _blocks(rows):
        parts += [f"## {name}", *([f"**{_BANNER}**"] if source == "synthetic" else []), _clean_table(block, "pipe")]
        table = _corrupted_table(block, "pipe")
        parts += ["### Under corruption, all attribute types", table, *([_OLDER_MEANS] if OLDER in table else [])]
    failures = _failures(rows)
    return "\n\n".join([*parts, *(["## Not ok"] if failures else []), *failures]) + "\n"


def to_tex(rows: Iterable[Row]) -> str:
    """The clean tables with booktabs rules."""
    parts = []
    for name, source, block in _blocks(list(rows)):
        banner = f"% {_BANNER}\n" if source == "synthetic" else ""
        table = _clean_table(block, "latex_booktabs").replace("±", "$\\pm$").replace("▽", "$\\triangledown$")
        parts.append(f"% {name} ({source})\n{banner}{table}")
    return "\n\n".join(parts) + "\n"


def _blocks(rows: list[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    def place(row: Row) -> tuple[str, str]:
        return row["dataset"], row["source"]

    for (name, source), block in groupby(sorted(rows, key=place), key=place):
        yield name, source, list(block)


def _clean_table(rows: list[Row], form: str) -> str:
    chosen = [row for row in rows if row["severity"] == 0 and is_shown(row)]
    order = dict.fromkeys(row["attribute"] for row in chosen)
    return _table(rows, [{**row, "older": False} for row in chosen], list(order) or [ALL], "attribute", form)


def _corrupted_table(rows: list[Row], form: str) -> str:
    chosen = [{**row, "condition": _condition(row)} for row in rows if is_shown(row) and row["attribute"] == ALL]
    chosen.sort(key=lambda row: (row["severity"] > 0, row["corruption"], row["severity"]))
    order = dict.fromkeys(row["condition"] for row in chosen)
    return _table(rows, chosen, list(order), "condition", form)


def _condition(row: Row) -> str:
    return f"{row['corruption']}/{row['severity']}" if row["severity"] else "clean"


def _table(rows: Sequence[Row], chosen: Sequence[Row], order: list[str], column: str, form: str) -> str:
    """One line a method and label fraction of rows, best first in the first column that its label fraction has any row of, those without
    a figure last; a cell without one says why. chosen: the rows behind the cells."""
    cells = {((row["label_fraction"], row["method"]), row[column]): row for row in chosen}
    places = {name: place for place, name in enumerate(order)}
    first: dict[float, int] = defaultdict(lambda: len(order))
    for (fraction, _), name in cells:
        first[fraction] = min(first[fraction], places[name])

    def rank(place: tuple[float, str]) -> float:
        row = cells.get((place, order[first[place[0]]])) if first[place[0]] < len(order) else None
        return math.inf if row is None or row["rank"] is None or math.isnan(row["rank"]) else row["rank"]

    lines = []
    for place in sorted({(row["label_fraction"], row["method"]) for row in rows}, key=lambda place: (place[0], rank(place), place[1])):
        found = [_figure(row) if (row := cells.get((place, name))) else "" for name in order]
        lines.append([place[1], f"{place[0]:g}", *(found if any(found) else ["missing", *found[1:]])])
    return grid(["method", "labels", *order], lines, form)


def _figure(row: Row) -> str:
    if not row["metric"]:
        return str(row["status"])
    mark = ("*" if row["tied_with_best"] else "") + ("▽" if str(row["status"]).endswith(AT_FLOOR) else "")
    mark += OLDER if row.get("older") else ""
    return f"{100 * row['mean']:.1f} ± {50 * (row['ci_high'] - row['ci_low']):.1f}{mark}"


def _failures(rows: list[Row]) -> list[str]:
    """One line a status, method, data set and label fraction, with its conditions."""
    lost: dict[tuple, dict[str, None]] = defaultdict(dict)
    for row in rows:
        if row["status"] not in ("ok", AT_FLOOR):
            status = row["status"].removesuffix(f", {AT_FLOOR}")
            lost[status, row["method"], row["dataset"], row["label_fraction"]][_condition(row)] = None
    lines = [
        f"{status}: {method} {dataset} f={fraction:g} {_list(sorted(conditions, key=lambda name: (name != 'clean', name)))}"
        for (status, method, dataset, fraction), conditions in sorted(lost.items())
    ]
    return ["\n".join(lines)] if lines else []


def _list(conditions: list[str]) -> str:
    if len(conditions) <= _MAX_CONDITIONS:
        return " ".join(conditions)
    return f"{' '.join(conditions[:_MAX_CONDITIONS])} and {len(conditions) - _MAX_CONDITIONS} more"
