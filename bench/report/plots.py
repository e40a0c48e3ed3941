"""The papers' figures as SVG, from the same tables and records. Nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.report.figures import Cell, Figures
from bench.report.kept import attention_maps, training_curves
from bench.report.svg import draw_figure, render
from bench.report.tables import Filled, World, paired, place_of
from bench.statistics import paired_difference
from bench.tables import Column, Row, Table

_BANNER = "synthetic stand-ins, preset {preset}"


def of_table(world: World, figures: Figures) -> str | None:
    """The figure of a table entry that has one; None where what it needs was not run. Raises ValueError for a kind that nobody draws."""
    drawers = {"change": _draw_change, "line": _draw_lines, "pairs": _draw_pairs}
    kind, column = world.table.figure["kind"], world.table.columns[0]
    cells = [place_of(row, column, world.source, world.preset) for row in _own_rows(world.table)]
    if kind == "classes":
        return class_changes(figures, cells[0], cells[1], world.table.figure["type"], column.metric)
    if kind == "embeddings":
        return embedding_maps(figures, cells, world.table.figure["type"])
    if kind in ("history", "attention"):
        groups = [figures.clean(cell) for cell in cells]
        draw = training_curves if kind == "history" else attention_maps
        return draw(groups, [row.label for row in _own_rows(world.table)], world.table.title, _note(world))
    if kind not in drawers:
        choices = ", ".join((*drawers, "classes", "embeddings", "history", "attention"))
        raise ValueError(f"results/tables.toml, {world.table.name}: figure of kind {kind!r}; expected {choices}")
    return render(lambda axes: drawers[kind](axes, world, figures), world.table.title, _note(world))


def class_changes(figures: Figures, before: Cell, after: Cell, kind: str, metric: str = "recall@3") -> str | None:
    """Figure 8 of MTSS: by how much a metric of each class of a type moves from one method to another, most images first; None where
    either is missing, or they saw other images."""
    one, other = figures.clean(before), figures.clean(after)
    if one is None or other is None or not (one.ok and other.ok) or one.split is None or not figures.same_images([before, after]):
        return None
    schema, positives = one.split
    order = np.argsort(-positives[kind].sum(axis=0), kind="stable")
    names = [schema[kind].classes[index] for index in order if positives[kind][:, index].any()]
    differences = [_class_difference(figures, before, after, name, metric) for name in names]
    shown = [(name, difference) for name, difference in zip(names, differences, strict=True) if difference is not None]

    def draw(axes: Any) -> None:
        places = np.arange(len(shown))
        means = np.array([100 * difference.mean for _, difference in shown])
        ends = np.array([[100 * (difference.mean - difference.low), 100 * (difference.high - difference.mean)] for _, difference in shown])
        axes.bar(places, means, yerr=np.abs(ends.T), color="#4c78a8", ecolor="#555", capsize=2)
        axes.axhline(0, color="green", linewidth=1)
        axes.set_xticks(places, [name for name, _ in shown], rotation=60, ha="right")
        axes.set_ylabel(f"change of {metric}, points")

    title = f"{kind}: {before.method} → {after.method}, {before.dataset}"
    return render(draw, title, _BANNER.format(preset=before.preset) if before.source == "synthetic" else "")


def embedding_maps(figures: Figures, cells: Sequence[Cell], kind: str, num_classes: int = 8) -> str | None:
    """Figure 7 of MTSS: t-SNE of the embeddings of one type, a panel a method, coloured by the most frequent classes; None where no
    embeddings were kept."""
    groups = [figures.clean(cell) for cell in cells]
    found = [group for group in groups if group is not None and group.ok and f"embedding/{kind}" in group.arrays[0]]
    if len(found) < len(cells) or found[0].split is None:
        return None
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    schema, positives = found[0].split

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, len(cells), squeeze=False)
        for axes, group, cell in zip(panels[0], found, cells, strict=True):
            points = group.arrays[0][f"embedding/{kind}"].astype(np.float32)
            carried = positives[kind][: len(points)]
            flatten = TSNE(n_components=2, random_state=0, perplexity=min(30.0, (len(points) - 1) / 3), init="pca")
            with threadpool_limits(1):  # waiting threads spin: beside other work it would take ten times as long
                flat = flatten.fit_transform(points)
            for index in np.argsort(-carried.sum(axis=0), kind="stable")[:num_classes]:
                shown = carried[:, index]
                axes.scatter(*flat[shown].T, s=6, label=schema[kind].classes[index])
            axes.set_title(f"{cell.method}, {kind}")
            axes.set_xticks([])
            axes.set_yticks([])
        panels[0][-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))

    return draw_figure(draw, (4 * len(cells), 3.8))


def _class_difference(figures: Figures, before: Cell, after: Cell, name: str, metric: str) -> Any:
    (one, other), _ = figures.paired([before, after], name, [metric, metric])
    return None if one is None or other is None else paired_difference(other, one)


def _note(world: World) -> str:
    return _BANNER.format(preset=world.preset) if world.source == "synthetic" else ""


def _place(row: Row) -> tuple[str, float]:
    """Line and place on the axis of a row, from its label."""
    number = re.search(r"\d+(?:\.\d+)?", row.label)
    return (row.label.partition(",")[0] if "," in row.label else ""), float(number[0]) if number else float("nan")


def _figure(world: World, row: Row, column: Column) -> Filled:
    return world.cells[row.label, column]


def _own_rows(table: Table) -> list[Row]:
    return [row for row in table.rows if row.method]


def _draw_change(axes: Any, world: World, figures: Figures) -> None:
    """Each column's figure less that of the baseline row, as differences in pairs."""
    base = world.table.row(world.table.figure["baseline"])
    for column in world.table.columns:
        points = []
        for row in _own_rows(world.table):
            pair = paired(figures, row, base, column, world.source, world.preset)
            if pair[0] is not None and pair[1] is not None:
                points.append((_place(row)[1], paired_difference(pair[0], pair[1])))
        if points:
            _line(axes, [(x, 100 * d.mean, 100 * d.low, 100 * d.high) for x, d in sorted(points)], f"{column.attribute} {column.metric}")
    axes.axhline(0, color="#888", linewidth=0.8)
    _finish(axes, world.table, "change in points")


def _draw_lines(axes: Any, world: World, figures: Figures) -> None:
    """One line a group of rows and column."""
    for column in world.table.columns:
        lines: dict[str, list[tuple[float, float, float, float]]] = {}
        for row in _own_rows(world.table):
            ours = _figure(world, row, column).ours
            if ours is not None:
                name, x = _place(row)
                lines.setdefault(name, []).append((x, ours.mean, ours.low, ours.high))
        for name, points in lines.items():
            _line(axes, sorted(points), " ".join(part for part in (name, column.attribute, column.metric) if part))
    _finish(axes, world.table, "%")


def _draw_pairs(axes: Any, world: World, figures: Figures) -> None:
    """The gain of each row with the ending over the one without."""
    ending, column = world.table.figure["with"], world.table.columns[0]
    labels: Mapping[str, Row] = {row.label: row for row in _own_rows(world.table)}
    bars = []
    for label, row in labels.items():
        if label + ending in labels:
            pair = paired(figures, labels[label + ending], row, column, world.source, world.preset)
            if pair[0] is not None and pair[1] is not None:
                bars.append((label, paired_difference(pair[0], pair[1])))
    places = np.arange(len(bars))
    ends = np.array([[100 * (d.mean - d.low), 100 * (d.high - d.mean)] for _, d in bars]).reshape(-1, 2)
    axes.bar(places, [100 * d.mean for _, d in bars], yerr=np.abs(np.nan_to_num(ends)).T, color="#4c78a8", ecolor="#555", capsize=3)
    axes.axhline(0, color="#888", linewidth=0.8)
    axes.set_xticks(places, [label for label, _ in bars])
    axes.set_ylabel(f"gain{ending.replace(' +', ' by')}, points of {column.metric}")


def _line(axes: Any, points: Sequence[tuple[float, float, float, float]], label: str) -> None:
    x, mean, low, high = np.array(points).T
    (line,) = axes.plot(x, mean, marker="o", markersize=3, label=label)
    axes.fill_between(x, low, high, alpha=0.12, color=line.get_color(), linewidth=0)


def _finish(axes: Any, table: Table, unit: str) -> None:
    axes.set_xlabel(table.figure["x"])
    axes.set_ylabel(unit)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False)
