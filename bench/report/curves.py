"""How much labels buy: the area under each method's curve over label fractions, as a table and a figure a data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.comparisons import area_under_curve
from bench.report.cache import Cache
from bench.report.figures import Group
from bench.report.grids import grid
from bench.report.groups import ALL
from bench.report.origins import OTHER, images_of, most_common
from bench.report.summaries import FLOOR, Text, World, draw, half, left_out, points, section, write_table
from bench.report.svg import render
from bench.statistics import Replicates, tied_with_best

METRIC = "f1@1"
HEADS = (
    *("dataset", "source", "preset", "method", "metric", "area", "area_low", "area_high", "tied_with_best", "per_doubling", "doubling_low"),
    *("doubling_high", "label_fraction", "n_labeled", "mean", "ci_low", "ci_high", "n_seeds"),
)
_NOTES = (
    "area: the mean height of F1@1 over label fractions on a logarithmic axis, so that every doubling of the labels counts the same; "
    "with 95 % intervals by bootstrap over images and seeds. \\* cannot be told from the best, in pairs and corrected by Holm's method.",
    "per doubling: points gained by twice the labels, from the smallest fraction to the largest.",
)


def write(out: Path, found: list[World], cache: Cache) -> None:
    """tables/label-curve.{csv,md} and figures/label-curve-DATASET.svg."""
    texts = []
    for world in found:
        lines, markdown = cache.of(f"label curve {world.title}", world.stamp, partial(_text, world))
        texts.append(Text(lines, markdown))
        if lines:
            draw(out, cache, f"label-curve-{world.name}", world.stamp, partial(_drawing, world, lines))
    write_table(out, cache, "label-curve", "What labels buy", HEADS, texts, _NOTES)


def _text(world: World) -> list[Any]:
    """CSV lines, and Markdown."""
    groups, lost = _side_by_side(world)
    curves = {name: _curve(own) for name, own in sorted(groups.items())}
    shown = {name: curve for name, curve in curves.items() if curve is not None}
    areas = {name: area_under_curve(curve) for name, curve in shown.items()}
    if not areas:
        return [[], ""]
    tied = tied_with_best(areas) if len({area.num_images for area in areas.values()}) == 1 else set()
    order = sorted(areas, key=lambda name: (-areas[name].value, name))
    lines = [line for name in order for line in _lines(world, name, shown[name], areas[name], name in tied, groups[name])]
    return [lines, section(world, _grid(order, shown, areas, tied), left_out(lost))]


def _side_by_side(world: World) -> tuple[dict[str, dict[float, Group]], dict[str, str]]:
    """method -> label fraction -> group, at the fractions that most methods have; and why others are left out."""
    groups = world.by_fraction()
    images, wanted = most_common({name: (images_of(own), frozenset(own)) for name, own in groups.items() if len(own) > 1})
    found, lost = {}, {}
    for name, own in groups.items() if wanted else ():
        if images_of(own) != images:
            lost[name] = OTHER
        elif not wanted <= set(own):
            lost[name] = f"only at {', '.join(f'{at:g}' for at in sorted(own))}"
        else:
            found[name] = {at: own[at] for at in wanted}
    return found, lost


def _curve(groups: Mapping[float, Group]) -> dict[float, Replicates] | None:
    """fraction -> figure; None unless all are over the same images."""
    found = {at: group.replicates(ALL, METRIC) for at, group in sorted(groups.items())}
    known = {at: each for at, each in found.items() if each is not None}
    return known if len(known) == len(found) and len({each.num_images for each in known.values()}) == 1 else None


def _slope(curve: Mapping[float, Replicates]) -> Replicates:
    """Points per doubling of the labels."""
    low, high = min(curve), max(curve)
    doublings = float(np.log2(high / low))
    return Replicates(
        (curve[high].value - curve[low].value) / doublings, (curve[high].values - curve[low].values) / doublings, curve[low].num_images
    )


def _lines(
    world: World, name: str, curve: Mapping[float, Replicates], area: Replicates, tied: bool, groups: Mapping[float, Group]
) -> list[list[Any]]:
    slope = _slope(curve)
    start = [
        world.dataset,
        world.source,
        world.preset,
        name,
        METRIC,
        area.value,
        *area.percentiles(),
        tied,
        slope.value,
        *slope.percentiles(),
    ]
    return [
        [*start, at, groups[at].ok[0]["n_labeled"], each.value, *each.percentiles(), len(groups[at].ok)]
        for at, each in sorted(curve.items())
    ]


def _grid(order: list[str], curves: Mapping[str, Mapping[float, Replicates]], areas: Mapping[str, Replicates], tied: set[str]) -> str:
    fractions = sorted(next(iter(curves.values())))
    rows = []
    for name in order:
        slope = _slope(curves[name])
        area = points(areas[name].value, half(areas[name].percentiles())) + ("\\*" if name in tied else "")
        row = [name, area, points(slope.value, half(slope.percentiles()))]
        rows.append([*row, *(points(curves[name][at].value, half(curves[name][at].percentiles())) for at in fractions)])
    return grid(["method", "area", "per doubling", *(f"{at:g}" for at in fractions)], rows)


def _drawing(world: World, lines: list[list[Any]]) -> str:
    def paint(axes: Any) -> None:
        for name in dict.fromkeys(line[3] for line in lines):
            own = [line for line in lines if line[3] == name]
            x, mean, low, high = np.array([[line[12], *line[14:17]] for line in own]).T
            style = "--" if name.startswith(FLOOR) else "-"
            (drawn,) = axes.plot(x, 100 * mean, style, marker="o", markersize=3, linewidth=1, label=name)
            axes.fill_between(x, 100 * low, 100 * high, alpha=0.12, color=drawn.get_color(), linewidth=0)
        axes.set_xscale("log", base=2)
        shares = sorted({line[12] for line in lines})
        axes.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
        axes.minorticks_off()
        axes.set_xlabel("share of the labels")
        axes.set_ylabel("F1@1, %")
        axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    note = f"synthetic stand-ins, preset {world.preset}" if world.source == "synthetic" else ""
    return render(paint, f"What labels buy: {world.dataset}", note)
