"""The leaderboard as text: an overview for the terminal, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from tabulate import tabulate

from bench.report.leaderboard import ALL, AT_FLOOR

PRIMARY = "f1@1"
_BANNER = "SYNTHETIC: rendered stand-ins in this data set's layout, not its photographs; comparable only among themselves."
_LEGEND = "F1@1 in percent ± half the 95 % interval (bootstrap over images and seeds). {star} tied with the best. ▽ not above the prior."

Row = dict[str, Any]


def overview(frame: pd.DataFrame) -> str:
    """The clean results of each data set, F1@1 by attribute type, and what is not ok."""
    parts = []
    for name, source, rows in _blocks(frame):
        banner = f"\n{_BANNER}" if source == "synthetic" else ""
        parts.append(f"{name} ({source}), F1@1, clean{banner}\n{_clean_table(rows, 'simple')}")
    return "\n\n".join([*parts, *_failures(frame), _LEGEND.format(star="*")])


def to_markdown(frame: pd.DataFrame) -> str:
    """Every data set: clean results by attribute type, then the pool of all types under corruption."""
    parts = ["# Leaderboard", _LEGEND.format(star="\\*")]
    for name, source, rows in _blocks(frame):
        parts += [f"## {name}", *([f"**{_BANNER}**"] if source == "synthetic" else []), _clean_table(rows, "pipe")]
        parts += ["### Under corruption, all attribute types", _corrupted_table(rows, "pipe")]
    failures = _failures(frame)
    return "\n\n".join([*parts, *(["## Not ok"] if failures else []), *failures]) + "\n"


def to_tex(frame: pd.DataFrame) -> str:
    """The clean tables with booktabs rules."""
    parts = []
    for name, source, rows in _blocks(frame):
        banner = f"% {_BANNER}\n" if source == "synthetic" else ""
        table = _clean_table(rows, "latex_booktabs").replace("±", "$\\pm$").replace("▽", "$\\triangledown$")
        parts.append(f"% {name} ({source})\n{banner}{table}")
    return "\n\n".join(parts) + "\n"


def _blocks(frame: pd.DataFrame) -> Iterator[tuple[str, str, list[Row]]]:
    for (name, source), block in frame.groupby(["dataset", "source"], sort=True):
        yield str(name), str(source), _rows(block)


def _rows(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _clean_table(rows: list[Row], form: str) -> str:
    chosen = [row for row in rows if row["severity"] == 0 and row["metric"] == PRIMARY]
    return _table(chosen, list(dict.fromkeys(row["attribute"] for row in chosen)), "attribute", form)


def _corrupted_table(rows: list[Row], form: str) -> str:
    chosen = [row | {"condition": _condition(row)} for row in rows if row["metric"] == PRIMARY and row["attribute"] == ALL]
    chosen.sort(key=lambda row: (row["severity"] > 0, row["corruption"], row["severity"]))
    order = dict.fromkeys(row["condition"] for row in chosen)
    return _table(chosen, list(order), "condition", form)


def _condition(row: Row) -> str:
    return f"{row['corruption']}/{row['severity']}" if row["severity"] else "clean"


def _table(rows: list[Row], order: list[str], column: str, form: str) -> str:
    """One line a method and label fraction, best first; an empty cell is one without a result."""
    cells = {(row["method"], row["label_fraction"], row[column]): _figure(row) for row in rows}
    first = sorted((row for row in rows if row[column] == order[0]), key=lambda row: (row["label_fraction"], row["rank"]))
    lines = [
        [row["method"], f"{row['label_fraction']:g}", *(cells.get((row["method"], row["label_fraction"], name), "") for name in order)]
        for row in first
    ]
    return tabulate(lines, headers=["method", "labels", *order], tablefmt=form, disable_numparse=True)


def _figure(row: Row) -> str:
    mark = ("*" if row["tied_with_best"] else "") + ("▽" if row["status"] == AT_FLOOR else "")
    return f"{100 * row['mean']:.1f} ± {50 * (row['ci_high'] - row['ci_low']):.1f}{mark}"


def _failures(frame: pd.DataFrame) -> list[str]:
    lost = {(row["status"], row["method"], row["dataset"], row["label_fraction"], _condition(row)) for row in _rows(frame) if _is_lost(row)}
    lines = [f"{status}: {method} {dataset} f={fraction:g} {condition}" for status, method, dataset, fraction, condition in sorted(lost)]
    return ["\n".join(lines)] if lines else []


def _is_lost(row: Row) -> bool:
    return row["status"] not in ("ok", AT_FLOOR)
